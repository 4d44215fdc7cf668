"""Resizing for classifiers as the publishers of weights did it: pixel for pixel."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image

from keras_shufflenet.keypoints.boxes import Size

ResizeMethod = Literal["torchvision", "megvii"]

USUAL_RESIZE, USUAL_CROP = 256, 224
_FRACTION_BITS = 11  # of the weights of OpenCV's bilinear resizing


def resize_and_crop(image: Image.Image, resize: int, crop: Size) -> np.ndarray:
    """Prepare an image as torchvision does: Pillow's antialiased bilinear resizing, central crop.

    Args:
        image: of any size and mode.
        resize: length of the shorter side, in pixels.
        crop: (height, width).

    Returns:
        (height, width, 3) uint8 RGB; black where the image is smaller than the crop.
    """
    image = image.convert("RGB")
    short = min(image.size)
    width, height = (resize if side == short else resize * side // short for side in image.size)
    return _central(np.asarray(image.resize((width, height), Image.Resampling.BILINEAR)), crop)


def resize_and_crop_megvii(image: Image.Image, resize: int, crop: Size) -> np.ndarray:
    """Prepare an image as Megvii does: OpenCV's bilinear resizing, central crop.

    Args:
        image: of any size and mode.
        resize: length of the shorter side, in pixels.
        crop: (height, width).

    Returns:
        (height, width, 3) uint8 RGB.
    """
    pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    if height < width:
        target = (resize, int(resize / height * width + 0.5))
    else:
        target = (int(resize / width * height + 0.5), resize)
    return _central(_resize_like_opencv(pixels, target), crop)


_PREPARATIONS: dict[str, Callable[[Image.Image, int, Size], np.ndarray]] = {
    "torchvision": resize_and_crop,
    "megvii": resize_and_crop_megvii,
}


def preparation(
    resize_size: int | None, crop_size: int | Size, resize_method: str
) -> Callable[[Image.Image], np.ndarray]:
    """Return the function that prepares images in a publisher's way: (crop, crop, 3) uint8.

    Without `resize_size` the shorter side becomes 256 pixels for a crop of 224, and others in proportion
    to the longer side of the crop.

    Raises:
        ValueError: there is no such protocol, or a length is not positive.
    """
    size = (crop_size, crop_size) if isinstance(crop_size, int) else (crop_size[0], crop_size[1])
    if resize_size is None:
        resize_size = max(1, round(max(size) * USUAL_RESIZE / USUAL_CROP))
    if resize_size < 1 or min(size) < 1:
        raise ValueError(
            f"`resize` and `crop` must be positive. Received: resize={resize_size}, crop={crop_size}"
        )
    if resize_method not in _PREPARATIONS:
        raise ValueError(
            f"`protocol` must be one of {', '.join(map(repr, _PREPARATIONS))}. "
            f"Received: protocol={resize_method!r}"
        )
    return lambda image: _PREPARATIONS[resize_method](image, resize_size, size)


def _central(pixels: np.ndarray, crop: Size) -> np.ndarray:
    """Cut from the center; half pixels are rounded to even, as the originals do it."""
    lacking = [max(0, side - length) for side, length in zip(crop, pixels.shape, strict=False)]
    padding = [(lack // 2, lack - lack // 2) for lack in lacking]
    pixels = np.pad(pixels, [*padding, (0, 0)])
    top, left = (
        round((length - side) / 2) for side, length in zip(crop, pixels.shape, strict=False)
    )
    return pixels[top : top + crop[0], left : left + crop[1]]


def _resize_like_opencv(pixels: np.ndarray, size: Size) -> np.ndarray:
    """OpenCV's INTER_LINEAR for bytes, in its integer arithmetic."""
    rows, row_weights = _taps(pixels.shape[0], size[0])
    columns, column_weights = _taps(pixels.shape[1], size[1])
    wide = pixels.astype(np.int64)
    wide = (wide[:, columns] * column_weights[None, :, :, None]).sum(axis=2)
    tall = ((wide[rows] >> 4) * row_weights[:, :, None, None]) >> 16
    return ((tall.sum(axis=1) + 2) >> 2).astype(np.uint8)


def _taps(source: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """The two source pixels of each target pixel and their weights, both (target, 2)."""
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    first = np.floor(position).astype(int)
    fraction = (position - first).astype(np.float32)
    fraction[(first < 0) | (first >= source - 1)] = 0
    first = first.clip(0, source - 1)
    weights = np.rint(np.stack([1 - fraction, fraction], axis=1) * (1 << _FRACTION_BITS))
    return np.stack([first, np.minimum(first + 1, source - 1)], axis=1), weights.astype(np.int64)
