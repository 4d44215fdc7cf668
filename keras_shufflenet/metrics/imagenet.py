"""Top-1 and top-5 accuracy of a classifier."""

import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.progress import track

from keras_shufflenet import data
from keras_shufflenet._types import Size
from keras_shufflenet.data.pipeline import iterate_arrays, num_batches
from keras_shufflenet.data.resizing import as_size
from keras_shufflenet.inference.image_io import with_channels
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.models.imagenet import imagenet_classes

CROP = 224


def imagenet(
    model: Any,
    source: Any,
    image_dir: str | Path | None = None,
    *,
    resize_size: int | None = None,
    crop_size: int | Size | None = None,
    resize_method: Literal["torchvision", "megvii"] = "torchvision",
    batch_size: int = 32,
    verbose: bool = True,
) -> dict[str, float]:
    """Compute the accuracy of a classifier.

    The shorter side of the images is resized, then the center is cropped.

    Args:
        model: A `keras.Model`, the path of a `.keras` or `.tflite` file, or a function that maps
            images (N, H, W, 3) float32 RGB 0..255 to scores (N, classes).
        source: A csv with the columns `filename` and `class_index`, a folder with such a file
            named labels.csv, or a folder with a folder of images for each class. Folders go by
            name if the model carries the names of its classes, or if they are WordNet ids and it
            has ImageNet's 1000; else there must be one for each class, in the order of their names.
            Or a dataset of `data.tfds` or its name, such as "tfds:imagenette/320px-v2:validation".
            Or a `tf.data.Dataset` or another iterable of images with classes, which are the
            model's, as for `data.classification`.
        image_dir: The folder of the csv's images. Defaults to `images` beside the csv, or if there
            is none, to the csv's own.
        resize_size: Length of the shorter side in pixels. Defaults to 256 for a crop of 224, and
            in proportion for others.
        crop_size: Side of the square crop in pixels, or its (height, width). Defaults to the input
            size of the model, or 224.
        resize_method: "torchvision" (Pillow, antialiased) or "megvii" (OpenCV).
        batch_size: Images per batch.
        verbose: Whether to show a progress bar.

    Returns:
        top1 and top5, between 0 and 1, and count, the number of images.

    Raises:
        FileNotFoundError: If the model, the labels or an image is missing.
        ValueError: If the images have no end, the labels are malformed, an image cannot be
            decoded, or the model does not output a score for each of their classes or has others.
    """
    predictor = Predictor.load(model)
    if not predictor.has_input_size:
        predictor = Predictor.load(predictor, as_size(crop_size or CROP))
    size = crop_size or predictor.input_size
    dataset = data.classification(
        source,
        image_dir,
        resize_size=resize_size,
        crop_size=size,
        resize_method=resize_method,
        batch_size=batch_size,
    )
    if num_batches(dataset) == math.inf:
        raise ValueError(
            "`source` must have an end: leave `repeat` out, or take a number of batches. "
            f"Received: source={source!r:.80}, which is infinite"
        )
    indices = _class_indices(dataset, predictor)
    correct, count = np.zeros(2, np.int64), 0
    batches = track(
        iterate_arrays(dataset), "Images", total=num_batches(dataset), disable=not verbose
    )
    for images, classes in batches:
        _check_classes(classes, predictor)
        classes = classes if indices is None else indices[classes]
        pixels = with_channels(images, predictor.channels, predictor.name)
        scores = predictor.predict(pixels)
        correct += [count_correct(scores, classes, 1), count_correct(scores, classes, 5)]
        count += len(classes)
    return {"top1": float(correct[0] / count), "top5": float(correct[1] / count), "count": count}


def _class_indices(dataset: Any, predictor: Predictor) -> np.ndarray | None:
    """Return the index of the model's class for each class of the files; None for the same."""
    if not hasattr(dataset, "classes"):  # not of files
        return None
    outputs = predictor.output_shape[-1]
    indices = _model_classes(dataset.class_names, predictor.metadata.labels, outputs)
    if dataset.class_names and indices is None:
        _check_folders(len(dataset.class_names), outputs, predictor.name)
    _check_classes(dataset.classes, predictor)
    return indices


def _model_classes(
    folders: Sequence[str], labels: Sequence[str], outputs: int
) -> np.ndarray | None:
    """Return the index of the model's class for each folder.

    WordNet ids are those of ImageNet's classes, all or some, for models of 1000 classes. None if
    there are no folders, or if they go by their order: the model has no names, or only ImageNet's.
    """
    names = [unicodedata.normalize("NFC", label) for label in labels]
    index = {name: n for n, name in enumerate(names)}
    unknown = [folder for folder in folders if folder not in index]
    is_imagenet = list(labels) == [words for _, words in imagenet_classes()]
    wnids = {wnid: n for n, (wnid, _) in enumerate(imagenet_classes())}
    if (
        folders
        and (is_imagenet or not labels)
        and outputs == len(wnids)
        and wnids.keys() >= {*folders}
    ):
        return np.array([wnids[folder] for folder in folders])
    if not folders or not labels or (is_imagenet and len(unknown) == len(folders)):
        return None
    if unknown:
        raise ValueError(
            f"Every folder of images must be named as a class of the model: {_shown(names)}. "
            f"Received: {_shown(unknown)}"
        )
    return np.array([index[folder] for folder in folders])


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _check_folders(folders: int, classes: int, name: str) -> None:
    if folders != classes:
        raise ValueError(
            f"There must be a folder for each of the {classes} classes of {name}, in the order of "
            f"their names, or a csv. Received: {folders} folders"
        )


def _check_classes(classes: np.ndarray, predictor: Predictor) -> None:
    if classes.min() < 0:
        raise ValueError(
            "Every image must have a class: pass a csv, or a folder with a folder for each class. "
            f"Received: class {classes.min()}"
        )
    shape = predictor.output_shape
    if len(shape) != 1:
        raise ValueError(
            f"{predictor.name} must output scores of shape (N, classes). "
            f"Received: shape (N, {', '.join(map(str, shape))})"
        )
    if classes.max() >= shape[0]:
        raise ValueError(
            f"Every class must be one of the {shape[0]} of {predictor.name}, from 0 to "
            f"{shape[0] - 1}. Received: class {classes.max()}"
        )


def count_correct(scores: np.ndarray, labels: np.ndarray, k: int) -> int:
    """Count the images whose class is among the k highest scores.

    Args:
        scores: Probabilities or logits (N, classes).
        labels: Indices (N,) of the true classes.
        k: Number of guesses; all classes if there are fewer.
    """
    k = min(k, scores.shape[1])
    best = np.argpartition(scores, -k, axis=1)[:, -k:]
    return int((best == labels[:, None]).any(axis=1).sum())
