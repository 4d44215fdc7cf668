"""Affine warp of images in NumPy: the reference for the compiled warp of the data pipeline."""

import numpy as np

from keras_shufflenet._types import Size
from keras_shufflenet.keypoints.boxes import invert_affine


def warp(
    image: np.ndarray, matrix: np.ndarray, output_size: Size, *, quantize: bool = False
) -> np.ndarray:
    """Warp an image with bilinear interpolation, with zeros outside of the image.

    Args:
        image: (H, W, C), uint8 or float.
        matrix: (2, 3) from image points to output points; integer coordinates are pixel centers.
        output_size: Output size (height, width).
        quantize: Whether to round the sampled positions to 1/32 of a pixel, like `warpAffine` of
            OpenCV 4; otherwise positions are exact, as in OpenCV 5.

    Returns:
        (height, width, C): uint8 for a uint8 image, else float32.
    """
    inverse = invert_affine(matrix)
    x, y = (_quantized if quantize else _exact)(inverse, output_size)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right_weight, bottom_weight = (x - left)[..., None], (y - top)[..., None]
    upper = _pixels(image, left, top) * (1 - right_weight)
    upper = upper + _pixels(image, left + 1, top) * right_weight
    lower = _pixels(image, left, top + 1) * (1 - right_weight)
    lower = lower + _pixels(image, left + 1, top + 1) * right_weight
    value = upper * (1 - bottom_weight) + lower * bottom_weight
    if image.dtype == np.uint8:
        return (np.floor(value + 0.5) if quantize else np.rint(np.float32(value))).astype(np.uint8)
    return value.astype(np.float32)


def _exact(inverse: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.indices(size)
    x, y = inverse @ np.stack([columns, rows, np.ones(size)]).reshape(3, -1)
    return x.reshape(size), y.reshape(size)


def _quantized(inverse: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return positions in OpenCV 4's fixed-point arithmetic, rounded to 1/32 of a pixel."""
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])
    positions = [
        np.rint(1024 * a * columns) + np.rint(1024 * (b * rows + c)) for a, b, c in inverse
    ]
    x, y = [((position.astype(np.int64) + 16) >> 5) / 32 for position in positions]
    return x, y


def _pixels(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return float64 pixels at integer positions, 0 outside of the image."""
    height, width = image.shape[:2]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    pixels = image[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return np.where(inside[..., None], pixels, 0).astype(np.float64)
