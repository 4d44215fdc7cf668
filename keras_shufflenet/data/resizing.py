"""Resizing for classification as the publishers of weights do it, bit for bit. No TensorFlow."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image

from keras_shufflenet._checks import check_choice, check_integer, check_size
from keras_shufflenet._requirements import PIXEL, check_memory
from keras_shufflenet._types import Size

ResizeMethod = Literal["torchvision", "megvii"]

DEFAULT_RESIZE_SIZE, DEFAULT_CROP_SIZE = 256, 224
RESIZED_PIXEL = 4 + 3  # bytes in Pillow and in NumPy, the least of the methods
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
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return _center_crop(np.asarray(resized), crop_size)


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
    return _center_crop(_resize_opencv(pixels, target), crop_size)


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


def _center_crop(pixels: np.ndarray, crop_size: Size) -> np.ndarray:
    """Crop the center; half pixels are rounded to even, as torchvision does."""
    missing = [max(0, side - length) for side, length in zip(crop_size, pixels.shape, strict=False)]
    padding = [(count // 2, count - count // 2) for count in missing]
    pixels = np.pad(pixels, [*padding, (0, 0)])
    top, left = (
        round((length - side) / 2) for side, length in zip(crop_size, pixels.shape, strict=False)
    )
    return pixels[top : top + crop_size[0], left : left + crop_size[1]]


def _resize_opencv(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Resize uint8 pixels like OpenCV's INTER_LINEAR, in its fixed-point arithmetic."""
    rows, row_weights = _taps(pixels.shape[0], size[0])
    columns, column_weights = _taps(pixels.shape[1], size[1])
    wide = pixels.astype(np.int64)
    wide = (wide[:, columns] * column_weights[None, :, :, None]).sum(axis=2)
    tall = ((wide[rows] >> 4) * row_weights[:, :, None, None]) >> 16
    return ((tall.sum(axis=1) + 2) >> 2).astype(np.uint8)


def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the two source pixels of each target pixel and their weights, both (target, 2)."""
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    first = np.floor(position).astype(int)
    fraction = (position - first).astype(np.float32)
    fraction[(first < 0) | (first >= source - 1)] = 0
    first = first.clip(0, source - 1)
    weights = np.rint(np.stack([1 - fraction, fraction], axis=1) * (1 << _FRACTION_BITS))
    return np.stack([first, np.minimum(first + 1, source - 1)], axis=1), weights.astype(np.int64)
