"""Affine warp of images in NumPy: the measure for the faster warps of the data pipeline."""

import numpy as np

from keras_shufflenet.keypoints.boxes import Size, invert_affine


def warp(
    image: np.ndarray, matrix: np.ndarray, output_size: Size, *, quantize: bool = False
) -> np.ndarray:
    """Resample an image bilinearly, black outside.

    Args:
        image: (H, W, C), uint8 or float.
        matrix: (2, 3) from image points to output points; whole numbers are pixel centers.
        output_size: (height, width).
        quantize: round the sampled positions to 1/32 of a pixel as OpenCV 4's `warpAffine` does;
            otherwise sample at the exact positions, as OpenCV 5 does. For uint8 images both give
            what OpenCV gives, bit for bit.

    Returns:
        (height, width, C): uint8 for a uint8 image, else float32.
    """
    inverse = invert_affine(matrix)
    x, y = (_quantized if quantize else _exact)(inverse, output_size)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right_share, bottom_share = (x - left)[..., None], (y - top)[..., None]
    upper = _pixels(image, left, top) * (1 - right_share)
    upper = upper + _pixels(image, left + 1, top) * right_share
    lower = _pixels(image, left, top + 1) * (1 - right_share)
    lower = lower + _pixels(image, left + 1, top + 1) * right_share
    value = upper * (1 - bottom_share) + lower * bottom_share
    if image.dtype == np.uint8:
        return (np.floor(value + 0.5) if quantize else np.rint(np.float32(value))).astype(np.uint8)
    return value.astype(np.float32)


def _exact(inverse: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.indices(size)
    x, y = inverse @ np.stack([columns, rows, np.ones(size)]).reshape(3, -1)
    return x.reshape(size), y.reshape(size)


def _quantized(inverse: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return positions in OpenCV 4's fixed point: sums of 1/1024, rounded to 1/32."""
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])
    positions = [
        np.rint(1024 * a * columns) + np.rint(1024 * (b * rows + c)) for a, b, c in inverse
    ]
    x, y = [((position.astype(np.int64) + 16) >> 5) / 32 for position in positions]
    return x, y


def _pixels(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return float64 pixels at whole positions, 0 outside the image."""
    height, width = image.shape[:2]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    pixels = image[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    return np.where(inside[..., None], pixels, 0).astype(np.float64)
