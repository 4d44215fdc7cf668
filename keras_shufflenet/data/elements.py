"""Elements of datasets of any kind: tf.data, PyDataset, lists, generators; tuples, dictionaries.

`elements` takes them one by one; `labeled_elements` makes images with classes of them, whether they
come alone or in batches.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np
import tensorflow as tf

from keras_shufflenet.data.pipeline import file_errors, num_batches, source_errors

IMAGE_KEYS = ("images", "image")  # of dictionaries
LABEL_KEYS = ("labels", "label", "classes", "class")
CHANNELS = (1, 3)
PIXEL_MAX = 255
LARGEST_CLASS = 2**31 - 1
KEEPING_BATCHES = ("CacheDataset", "_OptionsDataset", "_PrefetchDataset")  # of tf.data


def is_iterable(source: Any) -> bool:
    """Return whether something yields elements: no path, no name, no number."""
    return not isinstance(source, str | bytes) and (
        hasattr(source, "__iter__") or hasattr(source, "__getitem__") or callable(source)
    )


def iter_once(source: Any) -> bool:
    """Return whether a source is an iterator, such as a generator."""
    return hasattr(source, "__next__")


def elements(dataset: Any, name: str = "representative_dataset") -> Iterator[Any]:
    """Yield the elements of a dataset.

    Args:
        dataset: A `tf.data.Dataset`, a `keras.utils.PyDataset`, a list or another iterable, a
            function without arguments that returns one (a generator function), or a single batch.
        name: Name of the argument, for the message.

    Raises:
        ValueError: If it is something else.
    """
    with file_errors():
        yield from _elements(dataset, name)


def _elements(dataset: Any, name: str) -> Iterator[Any]:
    made = dataset() if callable(dataset) and not hasattr(dataset, "__iter__") else dataset
    if isinstance(made, np.ndarray | Mapping):
        yield made
    elif isinstance(made, str | bytes) or not is_iterable(made):
        raise ValueError(
            f"`{name}` must be a tf.data.Dataset or another iterable of batches of images, or a "
            f"function that returns one. Received: {name}={dataset!r}"
        )
    elif hasattr(made, "__iter__"):
        yield from made
    else:  # a PyDataset
        yield from (made[index] for index in range(len(made)))


def parts_of(element: Any) -> list[Any]:
    """Return images, labels and weights of an element; a dictionary has them by name."""
    if isinstance(element, Mapping):
        images, labels = (
            [element[key] for key in keys if key in element] for keys in (IMAGE_KEYS, LABEL_KEYS)
        )
        return [*(images or [element])[:1], *labels[:1]]
    return list(element) if isinstance(element, tuple | list) else [element]


def labeled_elements(dataset: Any, name: str = "source") -> Iterator[tuple[np.ndarray, int]]:
    """Yield the images of a dataset, one by one, with their classes.

    Args:
        dataset: As for `elements`: of pairs of an image (H, W, C) and a class () or (1,), or of
            batches of them, with classes (N,) or (N, 1); tuples, or dictionaries with "image" and
            "label". C is 1 or 3. Also the pair of arrays (images, classes).
        name: Name of the argument, for messages.

    Yields:
        An image (H, W, 3) uint8 RGB, and its class.

    Raises:
        ValueError: If an element is something else.
    """
    for element in elements([dataset] if _is_batch(dataset) else dataset, name):
        parts = parts_of(element)
        if len(parts) < 2:
            raise ValueError(
                f"`{name}` must yield images with classes: (image, class), or a dictionary with "
                f'"image" and "label". Received: {_described(element)}'
            )
        if len(parts) > 2:
            raise ValueError(
                f"`{name}` must yield pairs (image, class), without sample weights. "
                f"Received: {_described(element)}"
            )
        if isinstance(parts[0], tf.RaggedTensor):  # a batch of images of different sizes
            rows = [row.to_tensor() if hasattr(row, "to_tensor") else row for row in parts[0]]
            labels = np.asarray(parts[1])
            _check_number(rows, labels, name)
            yield from labeled_elements(list(zip(rows, labels, strict=True)), name)
            continue
        try:
            images, classes = np.asarray(parts[0]), np.asarray(parts[1])
        except (ValueError, TypeError) as error:  # lists of arrays of different shapes
            raise ValueError(
                f"`{name}` must yield images of one size in a batch: yield others one by one. "
                f"Received: {type(parts[0]).__name__} of {len(parts[0])}"
            ) from error
        if images.ndim == 3:
            images, classes = images[np.newaxis], classes[np.newaxis]
        if classes.ndim == 2 and classes.shape[1] == 1:  # as of keras.datasets
            classes = classes[:, 0]
        _check(images, classes, element, name)
        yield from zip(_pixels(images, name), classes.tolist(), strict=True)


def _check(images: np.ndarray, classes: np.ndarray, element: Any, name: str) -> None:
    is_image = images.ndim == 4 and images.shape[3] in CHANNELS and images.dtype.kind in "uif"
    if not is_image or 0 in images.shape[1:]:
        raise ValueError(
            f"`{name}` must yield images (H, W, 3), or batches of them (N, H, W, 3). "
            f"Received: {_described(element)}"
        )
    _check_number(images, classes, name)
    whole = classes.ndim == 1 and classes.dtype.kind in "ui"
    if not whole or not all(0 <= number <= LARGEST_CLASS for number in classes.tolist()):
        hint = "; these seem one-hot: use argmax" if classes.ndim == 2 else ""
        raise ValueError(
            f"`{name}` must yield a class for each image, an integer from 0{hint}. "
            f"Received: {_described(element)}"
        )


def _check_number(images: Any, classes: np.ndarray, name: str) -> None:
    """Check that a batch has as many classes as images."""
    if len(images) != (count := len(np.atleast_1d(classes))):
        raise ValueError(
            f"`{name}` must yield a class for each image of a batch. "
            f"Received: {len(images)} images and {count} classes"
        )


def _is_batch(dataset: Any) -> bool:
    """Return whether a dataset is the arrays (images, classes) themselves."""
    is_tuple = isinstance(dataset, tuple) and len(dataset) in (2, 3)  # with weights, for a message
    return is_tuple and len(getattr(dataset[0], "shape", ())) == 4


def _pixels(images: np.ndarray, name: str) -> np.ndarray:
    """Return images (N, H, W, 3) as bytes."""
    if images.dtype.kind == "f" or images.dtype.itemsize > 1:
        low, high = (float(edge) for edge in (images.min(initial=0), images.max(initial=0)))
        fractions = 0 < high <= 1 and not np.array_equal(images, np.rint(images))
        if fractions or not (low >= -0.5 and high <= PIXEL_MAX + 0.5):
            raise ValueError(
                f"`{name}` must yield images in 0..255. Received: {low:.4g} to {high:.4g}"
            )
        images = np.rint(images).clip(0, PIXEL_MAX)
    return np.broadcast_to(images.astype(np.uint8), (*images.shape[:3], 3))


def _described(element: Any) -> str:
    if isinstance(element, Mapping):
        return f"a dictionary with {', '.join(map(repr, element))}"
    parts = [
        f"{type(part).__name__} {np.shape(part)}" if np.ndim(part) else f"{part!r:.60}"
        for part in parts_of(element)
    ]
    return f"({', '.join(parts)})"


def number_of_images(dataset: Any) -> float | None:
    """Return the number of images of a dataset, infinity for no end; None if it does not tell."""
    number = num_batches(dataset)
    if _is_batch(dataset):
        return len(dataset[0])
    if isinstance(dataset, Mapping):
        return _batch_size(dataset)
    if number is None or number == math.inf:
        return number
    if isinstance(dataset, tf.data.Dataset):
        return _number_in_batches(dataset, int(number))
    if isinstance(dataset, list | tuple):
        return sum(_batch_size(element) for element in dataset)
    if hasattr(dataset, "__getitem__") and not isinstance(dataset, np.ndarray) and number:
        first, last = (_batch_size(dataset[index]) for index in (0, int(number) - 1))
        return (int(number) - 1) * first + last  # of a PyDataset
    return None


def _batch_size(element: Any) -> int:
    images = parts_of(element)[0]
    shape = getattr(images, "shape", None) or np.shape(images)
    return int(shape[0]) if len(shape) == 4 else 1


def _number_in_batches(dataset: tf.data.Dataset, batches: int) -> int | None:
    """Return the number of images of a tf.data dataset whose last batch may be smaller."""
    while type(dataset).__name__ in KEEPING_BATCHES:
        dataset = dataset._input_dataset
    shape = tf.nest.flatten(parts_of(dataset.element_spec)[0])[0].shape
    if shape.rank == 3 or (shape.rank == 4 and shape[0] is not None):
        return batches * (1 if shape.rank == 3 else shape[0])
    single = getattr(dataset, "_input_dataset", None)
    if not hasattr(dataset, "_batch_size") or single is None:
        return None
    inside = tf.nest.flatten(parts_of(single.element_spec)[0])[0].shape
    number = num_batches(single)
    return int(number) if inside.rank == 3 and number is not None else None


def image_dataset(dataset: Any) -> tf.data.Dataset:
    """Return a tf.data dataset of the images of any dataset, one by one, with their classes.

    Args:
        dataset: As for `labeled_elements`. A generator itself is read once; a function that
            returns one can be read again.

    Returns:
        A dataset of images (H, W, 3) uint8 and classes () int64.
    """
    number = number_of_images(dataset)
    passes = count(1)

    def images() -> Iterator[tuple[np.ndarray, int]]:
        found, again = 0, next(passes) > 1
        if not (again and iter_once(dataset)):
            for sample in labeled_elements(dataset):
                found += 1
                if number is not None and found > number:
                    break
                yield sample
        if not found:
            raise ValueError(
                "`source` must have at least one image whenever it is read, not only once: pass "
                "the function that makes a generator, not the generator. "
                f"Received: a {type(dataset).__name__} that is {'exhausted' if again else 'empty'}"
            )
        if number not in (None, found):
            raise ValueError(
                f"`source` must have as many images as it states, {number}, in batches of one size "
                f"but for the last. Received: {found} images{' or more' * (found > number)}"
            )

    def watched_images() -> Iterator[tuple[np.ndarray, int]]:
        with source_errors():
            yield from images()

    streamed = tf.data.Dataset.from_generator(
        watched_images,
        output_signature=(
            tf.TensorSpec((None, None, 3), tf.uint8),
            tf.TensorSpec((), tf.int64),
        ),
    )
    if number is None:
        return streamed
    cardinality = tf.data.INFINITE_CARDINALITY if number == math.inf else int(number)
    return streamed.apply(tf.data.experimental.assert_cardinality(cardinality))
