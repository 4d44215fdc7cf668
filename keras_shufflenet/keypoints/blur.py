"""Gaussian blur of heatmaps, with OpenCV's kernels and borders."""

from functools import lru_cache
from typing import Literal

import numpy as np

Border = Literal["constant", "reflect"]

# OpenCV's fixed kernels of the smallest sizes; the others are sampled gaussians.
_SMALL_KERNELS = {
    1: (1.0,),
    3: (0.25, 0.5, 0.25),
    5: (0.0625, 0.25, 0.375, 0.25, 0.0625),
    7: (0.03125, 0.109375, 0.21875, 0.28125, 0.21875, 0.109375, 0.03125),
}


def gaussian_kernel(size: int) -> np.ndarray:
    """Return OpenCV's gaussian of an odd size whose sigma follows from the size."""
    if size in _SMALL_KERNELS:
        return np.array(_SMALL_KERNELS[size])
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    kernel = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * sigma**2))
    return kernel / kernel.sum()


@lru_cache(maxsize=32)
def blur_matrix(length: int, kernel: int, border: Border) -> np.ndarray:
    """Return the blur of one axis as a matrix: row i is the response to an impulse at i.

    Args:
        length: pixels along the axis.
        kernel: odd size of the kernel.
        border: `"constant"` is black outside, `"reflect"` mirrors about the last pixel.

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
    """Blur heatmaps as if black outside and scale each to the maximum it had."""
    blurred = blur(heatmaps, kernel, "constant")
    before, after = (maps.max((-2, -1), keepdims=True) for maps in (heatmaps, blurred))
    return blurred * np.divide(before, after, out=np.ones_like(after), where=after != 0)
