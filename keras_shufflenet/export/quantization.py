"""Real images, from which the quantizer learns the range of every tensor."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from rich.progress import track

PIXEL_MAX = 255.0
BRIGHT = 2.0  # normalized images never reach it without also being negative somewhere
ROUNDING = 0.5  # interpolation leaves the range by a little


def read_images(
    dataset: Iterable[Any], input_size: tuple[int, int], limit: int, verbose: bool = False
) -> np.ndarray:
    """Take the first images of a dataset.

    Args:
        dataset: a `tf.data.Dataset` or an iterable of batches: images (N, H, W, 3), or tuples and
            lists that begin with them. It may be infinite.
        input_size: (height, width) of the model.
        limit: images to take at most.
        verbose: show a progress bar.

    Returns:
        (N, H, W, 3) float32, N at least 1.

    Raises:
        ValueError: if there are no images, or they are not of the model's size, or not finite, or
            all of one color.
    """
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ValueError(
            "At least one calibration image is needed: a whole number, 1 or more. "
            f"Received: {limit!r}"
        )
    if isinstance(dataset, (str, bytes)) or not isinstance(dataset, Iterable):
        raise ValueError(
            "Images must come as a tf.data.Dataset or another iterable of batches. "
            f"Received: {dataset!r}"
        )
    if isinstance(dataset, np.ndarray):
        dataset = [dataset]
    batches = track(
        _batches(dataset, input_size, limit),
        "Reading images for calibration",
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
            received = f"shape={images.shape}" if numbers else f"a batch that is {element!r:.60}"
            raise ValueError(
                f"Calibration needs batches of images of shape (N, {height}, {width}, 3). "
                f"Received: {received}"
            )
        yield images.astype(np.float32, copy=False)
        count += len(images)
        if count >= limit:
            return


def _check_content(images: np.ndarray) -> None:
    if len(images) == 0:
        raise ValueError("Calibration needs at least one image. Received: an empty dataset")
    if not np.isfinite(images).all():
        raise ValueError("Calibration images must be finite. Received: NaN or infinity")
    if images.min() == images.max():
        raise ValueError(
            f"Calibration needs real images. Received: nothing but the value {float(images.min())}"
        )


def are_pixels(images: np.ndarray) -> bool:
    """Whether the images hold raw pixels 0..255 rather than normalized values."""
    darkest, brightest = images.min(), images.max()
    return bool(darkest >= -ROUNDING and BRIGHT < brightest <= PIXEL_MAX + ROUNDING)


def representative(images: np.ndarray, verbose: bool = False) -> Iterator[dict[str, np.ndarray]]:
    """Feed the images to the converter one by one.

    The first one gets a black and a white pixel in its corner: the input's range becomes exactly
    0..255, its scale 1, and bytes enter without being rounded.
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
