"""Resizing for classification as the publishers of weights do it, bit for bit. No TensorFlow."""

from collections.abc import Callable
from math import ceil
from typing import Literal

import numpy as np
from PIL import Image

from keras_shufflenet._checks import check_choice, check_integer, check_size
from keras_shufflenet._requirements import PIXEL, check_memory
from keras_shufflenet._types import Size

ResizeMethod = Literal["torchvision", "megvii"]

DEFAULT_RESIZE_SIZE, DEFAULT_CROP_SIZE = 256, 224
RESIZED_PIXEL = 4 + 3  # bytes in Pillow and in NumPy, the least of the methods
MOST_PIXELS = 1 << 24  # that are resized before they are cropped
_FRACTION_BITS = 11  # of the weights in OpenCV's bilinear resizing


def resize_and_crop(image: Image.Image, resize_size: int, crop_size: Size) -> np.ndarray:
    """Resize with Pillow's antialiased bilinear filter and crop the center, as torchvision does.

    Args:
        image: An image of any size and mode.
        resize_size: Length of the shorter side after resizing, in pixels.
        crop_size: Crop size (height, width).

    Returns:
        (height, width, 3) uint8 RGB, padded with zeros if the image is smaller than the crop.
    """
    image = image.convert("RGB")
    short = min(image.size)
    width, height = (
        resize_size if side == short else resize_size * side // short for side in image.size
    )
    size, window = (height, width), _window((height, width), crop_size)
    if width * height > MOST_PIXELS:  # of a very long image
        return _padded(np.asarray(_resize_window(image, size, window)), crop_size)
    resized = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    return _padded(resized[np.ix_(*window)], crop_size)


def resize_and_crop_megvii(image: Image.Image, resize_size: int, crop_size: Size) -> np.ndarray:
    """Resize with OpenCV's bilinear interpolation and crop the center, as Megvii does.

    Args:
        image: An image of any size and mode.
        resize_size: Length of the shorter side after resizing, in pixels.
        crop_size: Crop size (height, width).

    Returns:
        (height, width, 3) uint8 RGB, padded with zeros if the image is smaller than the crop.
    """
    pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    if height < width:
        target = (resize_size, int(resize_size / height * width + 0.5))
    else:
        target = (int(resize_size / width * height + 0.5), resize_size)
    resized = _resize_opencv(pixels, target, _window(target, crop_size))
    return _padded(resized, crop_size)


_TRANSFORMS: dict[str, Callable[[Image.Image, int, Size], np.ndarray]] = {
    "torchvision": resize_and_crop,
    "megvii": resize_and_crop_megvii,
}


def eval_transform(
    resize_size: int | None, crop_size: int | Size, resize_method: str
) -> Callable[[Image.Image], np.ndarray]:
    """Return the function that resizes and crops images for evaluation.

    Args:
        resize_size: Length of the shorter side after resizing, in pixels; by default 256/224 of
            the longer side of the crop.
        crop_size: Crop size (height, width), or the side of a square.
        resize_method: `"torchvision"` or `"megvii"`.

    Returns:
        A function from an image to (height, width, 3) uint8 RGB.

    Raises:
        ValueError: If a size is not positive or the method is unknown.
    """
    size = as_size(crop_size)
    if resize_size is None:
        resize_size = max(1, round(max(size) * DEFAULT_RESIZE_SIZE / DEFAULT_CROP_SIZE))
    check_integer("resize_size", resize_size)
    check_memory("crop_size", crop_size, size[0] * size[1] * PIXEL)
    check_memory("resize_size", resize_size, resize_size**2 * RESIZED_PIXEL)
    check_choice("resize_method", resize_method, _TRANSFORMS)
    return lambda image: _TRANSFORMS[resize_method](image, resize_size, size)


def as_size(crop_size: int | Size) -> Size:
    """Return a crop size as (height, width).

    Raises:
        ValueError: If it is neither a positive integer nor a pair of them.
    """
    if isinstance(crop_size, tuple | list):
        return check_size("crop_size", crop_size)
    check_integer("crop_size", crop_size)
    return crop_size, crop_size


def _window(size: Size, crop_size: Size) -> tuple[range, range]:
    """Return rows and columns of the center; half pixels are rounded to even, as torchvision does.

    Nothing else of an image is resized: of one that is thousands of times as long as it is wide,
    that would be gigabytes.
    """
    rows, columns = (
        range(start := round((length - (kept := min(side, length))) / 2), start + kept)
        for side, length in zip(crop_size, size, strict=True)
    )
    return rows, columns


def _padded(pixels: np.ndarray, crop_size: Size) -> np.ndarray:
    """Pad pixels with zeros to the size of a crop."""
    missing = [side - length for side, length in zip(crop_size, pixels.shape, strict=False)]
    return np.pad(pixels, [*((count // 2, count - count // 2) for count in missing), (0, 0)])


def _resize_window(image: Image.Image, size: Size, window: tuple[range, range]) -> Image.Image:
    """Resize with Pillow's bilinear filter to a part of the pixels, equal but for their rounding.

    The image is cropped before, since Pillow has positions in single precision.
    """
    edges = []
    for source, target, wanted in zip(image.size, size[::-1], window[::-1], strict=True):
        scale = source / target
        support = max(scale, 1.0) + 1
        low, high = wanted.start * scale, wanted.stop * scale
        edges.append((max(0, int(low - support)), min(source, ceil(high + support)), low, high))
    (left, right, *across), (top, bottom, *down) = edges
    part = image.crop((left, top, right, bottom))
    box = (across[0] - left, down[0] - top, across[1] - left, down[1] - top)
    box = (*box[:2], min(box[2], part.width), min(box[3], part.height))
    return part.resize((len(window[1]), len(window[0])), Image.Resampling.BILINEAR, box)


def _resize_opencv(pixels: np.ndarray, size: Size, window: tuple[range, range]) -> np.ndarray:
    """Resize uint8 pixels like OpenCV's INTER_LINEAR, in its fixed-point arithmetic."""
    rows, row_weights = _taps(pixels.shape[0], size[0], window[0])
    columns, column_weights = _taps(pixels.shape[1], size[1], window[1])
    used = pixels[rows[:, :, None, None], columns].astype(np.int64)
    wide = (used * column_weights[..., None]).sum(axis=3)
    tall = ((wide >> 4) * row_weights[:, :, None, None]) >> 16
    return ((tall.sum(axis=1) + 2) >> 2).astype(np.uint8)


def _taps(source: int, target: int, wanted: range) -> tuple[np.ndarray, np.ndarray]:
    """Return the two source pixels of each target pixel wanted and their weights, both (n, 2)."""
    position = (np.arange(wanted.start, wanted.stop) + 0.5) * (source / target) - 0.5
    first = np.floor(position).astype(int)
    fraction = (position - first).astype(np.float32)
    fraction[(first < 0) | (first >= source - 1)] = 0
    first = first.clip(0, source - 1)
    weights = np.rint(np.stack([1 - fraction, fraction], axis=1) * (1 << _FRACTION_BITS))
    return np.stack([first, np.minimum(first + 1, source - 1)], axis=1), weights.astype(np.int64)
