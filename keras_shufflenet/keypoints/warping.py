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
    positions = _quantized if quantize else _exact
    if inverse[0, 1] == inverse[1, 0] == 0:  # no rotation
        (x, _), (_, y) = (
            positions(inverse, size) for size in ((1, output_size[1]), (output_size[0], 1))
        )
        value = _resampled(image, x[0], y[:, 0])
    else:
        value = _sampled(image, *positions(inverse, output_size))
    if image.dtype == np.uint8:
        return (np.floor(value + 0.5) if quantize else np.rint(np.float32(value))).astype(np.uint8)
    return value.astype(np.float32, copy=False)


def _resampled(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate (H, W, C) at all pairs of columns x and rows y, first along the rows.

    float32 is exact for uint8 pixels and positions that are multiples of 1/32.
    """
    (left, right), x_weights = _neighbors(x, image.shape[1])
    (top, bottom), y_weights = _neighbors(y, image.shape[0])
    first, last = int(min(top.min(), bottom.min())), int(max(top.max(), bottom.max())) + 1
    if last - first <= 2 * len(y):  # neighboring rows of the output share rows of the image
        rows, top, bottom = image[first:last], top - first, bottom - first
    else:
        rows = np.concatenate([image[top], image[bottom]])
        top, bottom = np.arange(len(y)), np.arange(len(y), 2 * len(y))
    columns = rows.take(left, axis=1) * x_weights[0][:, None]
    columns += rows.take(right, axis=1) * x_weights[1][:, None]
    value = columns[top] * y_weights[0][:, None, None]
    value += columns[bottom] * y_weights[1][:, None, None]
    return value


def _neighbors(
    positions: np.ndarray, count: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the indices below and above positions, and their weights, 0 outside of 0..count."""
    below = np.floor(positions).astype(np.int64)
    share = positions - below
    indices = below, below + 1
    weights = [
        np.where((index >= 0) & (index < count), weight, 0).astype(np.float32)
        for index, weight in zip(indices, (1 - share, share), strict=True)
    ]
    lower, upper = (index.clip(0, count - 1) for index in indices)
    return (lower, upper), (weights[0], weights[1])


def _sampled(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate (H, W, C) at points."""
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right_weight, bottom_weight = (x - left)[..., None], (y - top)[..., None]
    upper = _pixels(image, left, top) * (1 - right_weight)
    upper = upper + _pixels(image, left + 1, top) * right_weight
    lower = _pixels(image, left, top + 1) * (1 - right_weight)
    lower = lower + _pixels(image, left + 1, top + 1) * right_weight
    value: np.ndarray = upper * (1 - bottom_weight) + lower * bottom_weight
    return value


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
