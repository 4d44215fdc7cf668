"""Representative images, from which the ranges of activations are taken."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from rich.progress import track

PIXEL_MAX = 255.0
BRIGHT = 2.0  # normalized images that exceed it have negative values as well
ROUNDING = 0.5  # interpolation may overshoot the range by this much


def read_images(
    dataset: Iterable[Any], input_size: tuple[int, int], limit: int, verbose: bool = False
) -> np.ndarray:
    """Read the first images of a representative dataset.

    Args:
        dataset: A `tf.data.Dataset` or an iterable of batches: images (N, H, W, 3), or tuples and
            lists that begin with them. It may be infinite.
        input_size: (height, width) of the model.
        limit: Maximum number of images.
        verbose: Whether to show a progress bar.

    Returns:
        (N, H, W, 3) float32, N at least 1.

    Raises:
        ValueError: If there are no images, or they have another size, are not finite, or have a
            single value.
    """
    if isinstance(dataset, (str, bytes)) or not isinstance(dataset, Iterable):
        raise ValueError(
            "`representative_dataset` must be a tf.data.Dataset or another iterable of batches of "
            f"images. Received: representative_dataset={dataset!r}"
        )
    if isinstance(dataset, np.ndarray):
        dataset = [dataset]
    batches = track(
        _batches(dataset, input_size, limit),
        "Reading representative images",
        disable=not verbose,
        transient=True,
    )
    images = np.concatenate([np.zeros((0, *input_size, 3), np.float32), *batches])[:limit]
    _check_content(images)
    return images


def _batches(
    dataset: Iterable[Any], input_size: tuple[int, int], limit: int
) -> Iterator[np.ndarray]:
    count = 0
    for element in dataset:
        images = np.asarray(element[0] if isinstance(element, (tuple, list)) else element)
        numbers = images.dtype.kind not in "OSU"
        if images.ndim != 4 or images.shape[1:] != (*input_size, 3) or not numbers:
            height, width = input_size
            received = f"shape {images.shape}" if numbers else f"the batch {element!r:.60}"
            raise ValueError(
                f"Representative images must have the shape (N, {height}, {width}, 3). "
                f"Received: {received}"
            )
        yield images.astype(np.float32, copy=False)
        count += len(images)
        if count >= limit:
            return


def _check_content(images: np.ndarray) -> None:
    if len(images) == 0:
        raise ValueError("`representative_dataset` must have at least one image. Received: none")
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


def representative(images: np.ndarray, verbose: bool = False) -> Iterator[dict[str, np.ndarray]]:
    """Yield the images one by one, as TensorFlow's converter expects them.

    The first one gets a black and a white pixel in its corner: the range of the input becomes
    exactly 0..255 and its scale 1, so that bytes are not rounded.
    """
    pixels = are_pixels(images)
    numbered = enumerate(images.clip(0, PIXEL_MAX) if pixels else images)
    for index, image in track(
        numbered, "Calibrating", total=len(images), disable=not verbose, transient=True
    ):
        if index == 0 and pixels:
            image = image.copy()
            image[0, 0], image[0, 1] = 0.0, PIXEL_MAX
        yield {"images": image[np.newaxis]}


def check_images(name: str, images: Any, size: Sequence[int | None]) -> None:
    """Raise ValueError unless these are images of (height, width), None for any."""
    array = np.asarray(images)
    height, width = (side or wanted for side, wanted in zip(size, "HW", strict=True))
    fits = array.ndim == 4 and array.shape[3] == 3 and len(array) > 0
    fits = fits and all(w in (None, n) for w, n in zip(size, array.shape[1:3], strict=True))
    if not fits or array.dtype.kind in "OSU" or not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be finite images of shape (N, {height}, {width}, 3), N at least 1. "
            f"Received: {type(images).__name__} of shape {array.shape}"
        )
