"""Heatmap encoding: keypoints to heatmaps and target weights.

Every function takes points (..., K, 2) as (x, y) in heatmap pixels, visibilities (..., K) and the
heatmap size (height, width), and returns heatmaps (..., height, width, K) and target weights
(..., K), both float32. The heatmap of an unlabeled keypoint is zero. Source: mmpose v0.29.
"""

from typing import Literal

import numpy as np

from keras_shufflenet._types import Size
from keras_shufflenet.keypoints.blur import blur_matrix

Gaussian = Literal["msra", "unbiased", "udp"]
COMBINED_RADIUS = 0.0546875  # as a fraction of the heatmap's height


def gaussians(
    points: np.ndarray, visible: np.ndarray, size: Size, sigma: float, kind: Gaussian
) -> tuple[np.ndarray, np.ndarray]:
    """Encode each keypoint as a Gaussian with peak value 1, if its 3-sigma square overlaps the map.

    `"msra"` centers the Gaussian on the nearest pixel and `"udp"` on the exact position; both
    truncate it to the 3-sigma square around the nearest pixel. `"unbiased"` centers it on the exact
    position and does not truncate it.
    """
    radius = int(3 * sigma)
    rounded = np.trunc(points + 0.5)
    weights = visible * _overlaps_heatmap(points if kind == "unbiased" else rounded, size, radius)
    centers = rounded if kind == "msra" else points
    window = None if kind == "unbiased" else radius
    columns = _profile(centers[..., 0], rounded[..., 0], size[1], sigma, window)
    rows = _profile(centers[..., 1], rounded[..., 1], size[0], sigma, window)
    return _outer(rows, columns, weights > 0), weights.astype(np.float32)


def offset_discs(
    points: np.ndarray, visible: np.ndarray, size: Size
) -> tuple[np.ndarray, np.ndarray]:
    """Encode each keypoint as a disc of ones and offsets to the keypoint in disc radii (UDP).

    The heatmaps have 3K channels: disc, x offset and y offset of each keypoint. Keypoints far
    outside keep their weight, as in the reference.
    """
    radius = COMBINED_RADIUS * size[0]
    rows, columns = np.indices(size)[..., None]
    x = (points[..., None, None, :, 0] - columns) / radius
    y = (points[..., None, None, :, 1] - rows) / radius
    disc = (x**2 + y**2 <= 1) & (visible > 0)[..., None, None, :]
    heatmaps = np.stack([np.ones_like(x), x, y], axis=-1) * disc[..., None]
    return heatmaps.reshape(*heatmaps.shape[:-2], -1).astype(np.float32), visible.astype(np.float32)


def blurred_pixels(
    points: np.ndarray, visible: np.ndarray, size: Size, kernel: int
) -> tuple[np.ndarray, np.ndarray]:
    """Encode each keypoint as a blurred pixel with peak value 255 (Megvii)."""
    pixel = np.trunc(points).astype(np.int64)
    inside = ((pixel >= 0) & (pixel < [size[1], size[0]])).all(-1)
    weights = (visible * inside).astype(np.float32)
    x, y = np.moveaxis(np.where(inside[..., None], pixel, 0), -1, 0)
    rows = np.swapaxes(_impulse_responses(size[0], kernel)[y], -1, -2)
    columns = np.swapaxes(_impulse_responses(size[1], kernel)[x], -1, -2)
    return _outer(rows, columns, weights > 0) * np.float32(255), weights


def _overlaps_heatmap(centers: np.ndarray, size: Size, radius: int) -> np.ndarray:
    """Return whether the squares around centers (..., 2) overlap the heatmap."""
    overlaps = (centers - radius < [size[1], size[0]]) & (centers + radius + 1 >= 0)
    return np.asarray(overlaps.all(-1))


def _profile(
    center: np.ndarray, rounded: np.ndarray, length: int, sigma: float, window: int | None
) -> np.ndarray:
    """Return Gaussians along one axis (..., length, K), zero outside of a window half-width."""
    grid = np.arange(length)[:, None]
    values = np.exp(-((grid - center[..., None, :]) ** 2) / (2 * sigma**2))
    if window is None:
        return values
    return values * (np.abs(grid - rounded[..., None, :]) <= window)


def _outer(rows: np.ndarray, columns: np.ndarray, is_valid: np.ndarray) -> np.ndarray:
    """Return the outer products (..., height, width, K) of profiles along rows and columns."""
    rows = (rows * is_valid[..., None, :]).astype(np.float32)
    return rows[..., :, None, :] * columns.astype(np.float32)[..., None, :, :]


def _impulse_responses(length: int, kernel: int) -> np.ndarray:
    """Return the blurred impulse at each position as a row, scaled to a peak value of 1."""
    response = blur_matrix(length, kernel, "reflect")
    return response / np.diag(response)[:, None]
