"""Gaussian blur of heatmaps with OpenCV's kernels and borders, for encoding and decoding."""

from functools import lru_cache
from typing import Literal

import numpy as np

Border = Literal["constant", "reflect"]

# OpenCV has fixed kernels for the smallest sizes and samples Gaussians for the others.
_SMALL_KERNELS = {
    1: (1.0,),
    3: (0.25, 0.5, 0.25),
    5: (0.0625, 0.25, 0.375, 0.25, 0.0625),
    7: (0.03125, 0.109375, 0.21875, 0.28125, 0.21875, 0.109375, 0.03125),
    9: tuple(weight / 256 for weight in (4, 13, 30, 51, 60, 51, 30, 13, 4)),
}


def gaussian_kernel(size: int) -> np.ndarray:
    """Return OpenCV's Gaussian kernel of an odd size, from which its sigma follows."""
    if size in _SMALL_KERNELS:
        return np.array(_SMALL_KERNELS[size])
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    kernel = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    return kernel / kernel.sum()


@lru_cache(maxsize=32)
def blur_matrix(length: int, kernel: int, border: Border) -> np.ndarray:
    """Return the matrix that blurs one axis; row i holds the weights of output pixel i.

    Args:
        length: Number of pixels along the axis.
        kernel: Odd kernel size.
        border: `"constant"` pads with zeros, `"reflect"` mirrors about the border pixel.

    Returns:
        (length, length) float64, read-only.
    """
    radius = kernel // 2
    padded = np.pad(np.eye(length), ((0, 0), (radius, radius)), mode=border)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=1)
    matrix = windows @ gaussian_kernel(kernel)
    matrix.flags.writeable = False
    return matrix


def blur(heatmaps: np.ndarray, kernel: int, border: Border) -> np.ndarray:
    """Blur heatmaps (..., height, width) along height and width."""
    height, width = heatmaps.shape[-2:]
    rows = blur_matrix(height, kernel, border).T.astype(heatmaps.dtype)
    columns = blur_matrix(width, kernel, border).astype(heatmaps.dtype)
    return rows @ heatmaps @ columns


def blur_keeping_maximum(heatmaps: np.ndarray, kernel: int) -> np.ndarray:
    """Blur zero-padded heatmaps and rescale each to its original maximum."""
    blurred = blur(heatmaps, kernel, "constant")
    before, after = (maps.max((-2, -1), keepdims=True) for maps in (heatmaps, blurred))
    return blurred * np.divide(before, after, out=np.ones_like(after), where=after != 0)
