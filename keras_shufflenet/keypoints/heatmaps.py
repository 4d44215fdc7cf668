"""Heatmap targets: points in heatmap coordinates to maps and weights, in the published ways.

Every function takes points (..., K, 2) as (x, y) in heatmap pixels, visibilities (..., K) and the
(height, width) of the maps, and returns maps (..., height, width, K) float32 and weights (..., K)
float32. An unlabeled joint has an empty map. Source: mmpose v0.29.
"""

from typing import Literal

import numpy as np

from keras_shufflenet.keypoints.blur import blur_matrix
from keras_shufflenet.keypoints.boxes import Size

Gaussian = Literal["msra", "unbiased", "udp"]
COMBINED_RADIUS = 0.0546875  # of the map's height


def gaussians(
    points: np.ndarray, visible: np.ndarray, size: Size, sigma: float, kind: Gaussian
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a gaussian of height 1 at every joint whose 3-sigma square touches the map.

    `"msra"` centers it on the nearest pixel, `"unbiased"` on the joint itself without truncation,
    `"udp"` on the joint itself, cut to the square around the nearest pixel.
    """
    radius = int(3 * sigma)
    rounded = np.trunc(points + 0.5)
    weights = visible * _reaches_map(points if kind == "unbiased" else rounded, size, radius)
    centers = rounded if kind == "msra" else points
    cut = None if kind == "unbiased" else radius
    columns = _profile(centers[..., 0], rounded[..., 0], size[1], sigma, cut)
    rows = _profile(centers[..., 1], rounded[..., 1], size[0], sigma, cut)
    return _outer(rows, columns, weights > 0.5), weights.astype(np.float32)


def offset_discs(
    points: np.ndarray, visible: np.ndarray, size: Size
) -> tuple[np.ndarray, np.ndarray]:
    """Draw UDP's combined target: a disc of ones and the offsets to the joint, in disc radii.

    The maps have 3K channels: for every joint the disc, the x offset and the y offset. Joints far
    outside keep their weight, as in the reference.
    """
    radius = COMBINED_RADIUS * size[0]
    rows, columns = np.indices(size)[..., None]
    x = (points[..., None, None, :, 0] - columns) / radius
    y = (points[..., None, None, :, 1] - rows) / radius
    disc = (x**2 + y**2 <= 1) & (visible > 0.5)[..., None, None, :]
    maps = np.stack([np.ones_like(x), x, y], axis=-1) * disc[..., None]
    return maps.reshape(*maps.shape[:-2], -1).astype(np.float32), visible.astype(np.float32)


def blurred_pixels(
    points: np.ndarray, visible: np.ndarray, size: Size, kernel: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw Megvii's target: one pixel per joint, blurred, scaled to 255 at the joint."""
    pixel = np.trunc(points).astype(np.int64)
    inside = ((pixel >= 0) & (pixel < [size[1], size[0]])).all(-1)
    weights = (visible * inside).astype(np.float32)
    x, y = np.moveaxis(np.where(inside[..., None], pixel, 0), -1, 0)
    rows = np.swapaxes(_blurred_impulses(size[0], kernel)[y], -1, -2)
    columns = np.swapaxes(_blurred_impulses(size[1], kernel)[x], -1, -2)
    return _outer(rows, columns, weights >= 1) * np.float32(255), weights


def _reaches_map(centers: np.ndarray, size: Size, radius: int) -> np.ndarray:
    """Return whether the square of a radius around the centers (..., 2) touches the map."""
    reaches = (centers - radius < [size[1], size[0]]) & (centers + radius + 1 >= 0)
    return np.asarray(reaches.all(-1))


def _profile(
    center: np.ndarray, rounded: np.ndarray, length: int, sigma: float, cut: int | None
) -> np.ndarray:
    """Return gaussians along one axis, (..., length, K), zero beyond `cut` of the nearest pixel."""
    grid = np.arange(length)[:, None]
    values = np.exp(-((grid - center[..., None, :]) ** 2) / (2 * sigma**2))
    if cut is None:
        return values
    return values * (np.abs(grid - rounded[..., None, :]) <= cut)


def _outer(rows: np.ndarray, columns: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Multiply profiles (..., height, K) and (..., width, K) to maps (..., height, width, K)."""
    rows = (rows * drawn[..., None, :]).astype(np.float32)
    return rows[..., :, None, :] * columns.astype(np.float32)[..., None, :, :]


def _blurred_impulses(length: int, kernel: int) -> np.ndarray:
    """Return for every position (row) the blur of an impulse there, 1 at the position."""
    response = blur_matrix(length, kernel, "reflect")
    return response / np.diag(response)[:, None]
