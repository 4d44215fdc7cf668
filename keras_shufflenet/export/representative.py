"""Representative images, from which the ranges of activations are taken."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from rich.progress import track

from keras_shufflenet._requirements import FLOAT, check_memory
from keras_shufflenet.data.elements import IMAGE_KEYS, elements
from keras_shufflenet.data.pipeline import num_batches

PIXEL_MAX = 255.0
BRIGHT = 2.0  # normalized images that exceed it have negative values as well
ROUNDING = 0.5  # interpolation may overshoot the range by this much

ImageShape = tuple[int, int, int]
"""(height, width, channels)."""


def read_images(
    dataset: Any,
    shape: ImageShape,
    limit: int,
    verbose: bool = False,
    input_name: str = "",
    name: str = "representative_dataset",
) -> np.ndarray:
    """Read the first images of a representative dataset.

    Args:
        dataset: As for `elements`. It may be infinite.
        shape: (height, width, channels) of the model's input.
        limit: Maximum number of images.
        verbose: Whether to show a progress bar.
        input_name: Name of the model's input.
        name: Name of the argument, for messages.

    Returns:
        (N, H, W, C) float32, N at least 1.

    Raises:
        ValueError: If there are no images, or they have another size, are not finite, or have a
            single value.
    """
    batches = track(
        _batches(dataset, shape, limit, input_name, name),
        "Reading representative images",
        disable=not verbose,
        transient=True,
    )
    images = np.concatenate([np.zeros((0, *shape), np.float32), *batches])[:limit]
    _check_content(images, name)
    return images


def images_of(element: Any, shape: ImageShape, input_name: str = "") -> np.ndarray:
    """Return the images of an element of a dataset.

    Args:
        element: A batch of images (N, H, W, C) or one image (H, W, C), without the last axis also
            for one channel; a tuple or list that begins with it, as with labels; or a dictionary
            with it, by the name of the model's input, "images" or "image".
        shape: (height, width, channels) of the images.
        input_name: Name of the model's input.

    Returns:
        (N, H, W, C) float32.

    Raises:
        ValueError: If there are no such images in it.
    """
    found = element
    while isinstance(found, (tuple, list, Mapping)) and len(found):
        found = _entry(found, input_name) if isinstance(found, Mapping) else found[0]
    images = np.asarray(found)
    numbers = images.dtype.kind not in "OSU"
    if shape[2] == 1 and images.shape[-2:] == shape[:2]:
        images = images[..., np.newaxis]
    if images.ndim == 3:
        images = images[np.newaxis]
    if images.ndim != 4 or images.shape[1:] != shape or not numbers:
        height, width, channels = shape
        received = (
            f"shape {images.shape}" if numbers and images.ndim else f"the batch {element!r:.60}"
        )
        raise ValueError(
            f"Representative images must have the shape (N, {height}, {width}, {channels}). "
            f"Received: {received}"
        )
    return images.astype(np.float32, copy=False)


def _entry(batch: Mapping[str, Any], input_name: str) -> Any:
    """Return the images of a dictionary."""
    names = list(dict.fromkeys(name for name in (input_name, *IMAGE_KEYS) if name))
    keys = [name for name in names if name in batch]
    if not keys:
        raise ValueError(
            "A dictionary must have the representative images under one of "
            f"{', '.join(map(repr, names))}. "
            f"Received: the batch with the keys {', '.join(map(repr, batch))}"
        )
    return batch[keys[0]]


def _batches(
    dataset: Any, shape: ImageShape, limit: int, input_name: str, name: str
) -> Iterator[np.ndarray]:
    count, number = 0, num_batches(dataset)
    for element in elements(dataset, name):
        images = images_of(element, shape, input_name)
        total = min(limit, (number or 1) * len(images))  # if all batches are like the first
        check_memory("num_calibration_samples", limit, int(total) * prod(shape) * FLOAT)
        yield images
        count += len(images)
        if count >= limit:
            return


def _check_content(images: np.ndarray, name: str) -> None:
    if len(images) == 0:
        raise ValueError(f"`{name}` must have at least one image. Received: none")
    if not np.isfinite(images).all():
        raise ValueError("Representative images must be finite. Received: NaN or infinity")
    if images.min() == images.max():
        raise ValueError(
            "Representative images must be real images. "
            f"Received: nothing but the value {float(images.min())}"
        )


def are_pixels(images: np.ndarray) -> bool:
    """Return whether images hold pixels 0..255 rather than normalized values."""
    darkest, brightest = images.min(), images.max()
    return bool(darkest >= -ROUNDING and BRIGHT < brightest <= PIXEL_MAX + ROUNDING)


def representative(
    images: np.ndarray, batch_size: int = 1, verbose: bool = False
) -> Iterator[dict[str, np.ndarray]]:
    """Yield batches of the images, as TensorFlow's converter expects them.

    The first image gets a black and a white pixel in its corner: the range of the input becomes
    exactly 0..255 and its scale 1, so that bytes are not rounded.
    """
    pixels = are_pixels(images)
    images = images.clip(0, PIXEL_MAX) if pixels else images
    starts = range(0, len(images), batch_size)
    for start in track(starts, "Calibrating", disable=not verbose, transient=True):
        batch = full_batch(images, start, batch_size)
        if start == 0 and pixels:
            batch = batch.copy()
            batch[0, 0, 0], batch[0, 0, 1] = 0.0, PIXEL_MAX
        yield {"images": batch}


def full_batch(images: np.ndarray, start: int, size: int) -> np.ndarray:
    """Return `size` images from a start; the last ones are repeated where there are too few."""
    return images[np.minimum(np.arange(start, start + size), len(images) - 1)]


def check_images(name: str, images: Any, shape: Sequence[int | None]) -> None:
    """Raise ValueError unless these are images of (height, width, channels), None for any."""
    array = np.asarray(images)
    fits = array.ndim == 4 and len(array) > 0
    fits = fits and all(own in (None, n) for own, n in zip(shape, array.shape[1:], strict=True))
    if not fits or array.dtype.kind in "OSU" or not np.isfinite(array).all():
        wanted = ", ".join(str(own or axis) for own, axis in zip(shape, "HWC", strict=True))
        raise ValueError(
            f"`{name}` must be finite images of shape (N, {wanted}), N at least 1. "
            f"Received: {type(images).__name__} of shape {array.shape}"
        )
