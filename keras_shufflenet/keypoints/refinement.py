"""Heatmap decoding: maxima of heatmaps and their sub-pixel refinement.

Heatmaps are (N, K, height, width), each contiguous in memory (`channels_first`); keypoints are
(N, K, 2) as (x, y) in heatmap pixels, scores (N, K). Every function takes the kernel size of the
blur, whether it blurs or not. Sources: mmpose v0.29 and v1; DARK (Zhang et al., CVPR 2020); UDP
(Huang et al., CVPR 2020).
"""

import numpy as np

from keras_shufflenet.keypoints.blur import blur, blur_keeping_maximum
from keras_shufflenet.keypoints.heatmaps import COMBINED_RADIUS

Keypoints = tuple[np.ndarray, np.ndarray]


def channels_first(heatmaps: np.ndarray) -> np.ndarray:
    """Return heatmaps (N, height, width, K) as (N, K, height, width)."""
    return np.ascontiguousarray(np.moveaxis(heatmaps, -1, 1))


def find_maxima(heatmaps: np.ndarray, kernel: int = 1) -> Keypoints:
    """Return the first maximum of each heatmap and its value; (-1, -1) if no value is positive."""
    height, width = heatmaps.shape[2:]
    flat = heatmaps.reshape(*heatmaps.shape[:2], height * width)  # -1 fails for no persons
    index = flat.argmax(-1)
    scores = np.take_along_axis(flat, index[..., None], axis=-1)[..., 0]
    points = np.stack([index % width, index // width], axis=-1).astype(np.float32)
    points[scores <= 0] = -1
    return points, scores


def refine_quarter_offset(heatmaps: np.ndarray, kernel: int = 1) -> Keypoints:
    """Shift each maximum by a quarter pixel towards its higher neighbor along each axis."""
    points, scores = find_maxima(heatmaps)
    return points + 0.25 * _gradient_signs(heatmaps, points), scores


def refine_megvii(heatmaps: np.ndarray, kernel: int) -> Keypoints:
    """Blur, then shift maxima by a quarter and a half pixel; heatmaps have the peak value 255."""
    blurred = blur_keeping_maximum(heatmaps, kernel)
    points, scores = find_maxima(blurred)
    inside = _margin(heatmaps, points, 1)[..., None]
    return points + 0.25 * _gradient_signs(blurred, points) + 0.5 * inside, scores / 255 + 0.5


def refine_dark(heatmaps: np.ndarray, kernel: int) -> Keypoints:
    """Refine maxima by a Newton step on the logarithm of the blurred heatmaps (DARK)."""
    points, scores = find_maxima(heatmaps)
    smooth = blur_keeping_maximum(heatmaps, kernel)

    def log(dx: int, dy: int) -> np.ndarray:
        return np.log(np.maximum(_at(smooth, points, dx, dy), 1e-10))

    here = log(0, 0)
    gradient = (log(1, 0) - log(-1, 0)) / 2, (log(0, 1) - log(0, -1)) / 2
    dxx = (log(2, 0) - 2 * here + log(-2, 0)) / 4
    dyy = (log(0, 2) - 2 * here + log(0, -2)) / 4
    dxy = (log(1, 1) - log(-1, 1) - log(1, -1) + log(-1, -1)) / 4
    step = _newton(gradient, dxx, dyy, dxy)
    return _shift(points, np.where(_margin(heatmaps, points, 2)[..., None], step, 0)), scores


def refine_udp(heatmaps: np.ndarray, kernel: int) -> Keypoints:
    """Refine maxima by a Newton step with 3 x 3 derivatives and a damped Hessian (UDP).

    The blur pads with zeros and keeps the maximum, as in mmpose 1.x.
    """
    return _refine_udp(heatmaps, blur_keeping_maximum(heatmaps, kernel))


def refine_udp_v0(heatmaps: np.ndarray, kernel: int) -> Keypoints:
    """Refine maxima as mmpose 0.x does: the blur mirrors the maps at their border.

    A maximum near the border is then mixed with its mirror image.
    """
    return _refine_udp(heatmaps, blur(heatmaps, kernel, "reflect"))


def _refine_udp(heatmaps: np.ndarray, smooth: np.ndarray) -> Keypoints:
    points, scores = find_maxima(heatmaps)

    def log(dx: int, dy: int) -> np.ndarray:
        return np.log(np.clip(_at(smooth, points, dx, dy), 0.001, 50))

    here, right, left, below, above = log(0, 0), log(1, 0), log(-1, 0), log(0, 1), log(0, -1)
    damping = np.finfo(np.float32).eps
    dxx = right - 2 * here + left + damping
    dyy = below - 2 * here + above + damping
    dxy = (log(1, 1) - right - below + 2 * here - left - above + log(-1, -1)) / 2
    step = _newton(((right - left) / 2, (below - above) / 2), dxx, dyy, dxy)
    return _shift(points, step), scores


def refine_udp_combined(heatmaps: np.ndarray, kernel: int) -> Keypoints:
    """Add the predicted offsets to the maxima of the discs; heatmaps have 3K channels (UDP)."""
    discs = blur(heatmaps[:, 0::3], 2 * kernel + 1, "reflect")
    points, scores = find_maxima(discs)
    radius = COMBINED_RADIUS * heatmaps.shape[2]
    offsets = [_at(blur(heatmaps[:, i::3], kernel, "reflect"), points, 0, 0) for i in (1, 2)]
    return _shift(points, radius * np.stack(offsets, -1)), scores


def _at(heatmaps: np.ndarray, points: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """Return the values (N, K) float64 at an offset from points, clamped to the border."""
    height, width = heatmaps.shape[2:]
    x = np.clip(points[..., 0].astype(np.int64) + dx, 0, width - 1)
    y = np.clip(points[..., 1].astype(np.int64) + dy, 0, height - 1)
    flat = heatmaps.reshape(*heatmaps.shape[:2], height * width)
    return np.take_along_axis(flat, (y * width + x)[..., None], axis=-1)[..., 0].astype(np.float64)


def _margin(heatmaps: np.ndarray, points: np.ndarray, margin: int) -> np.ndarray:
    """Return which points (N, K) satisfy 1 < x < width - margin, and likewise for y."""
    last = np.array([heatmaps.shape[3], heatmaps.shape[2]]) - margin
    return np.asarray(((points > 1) & (points < last)).all(-1))


def _gradient_signs(heatmaps: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the signs of the central differences, (N, K, 2); 0 near the border."""
    x = np.sign(_at(heatmaps, points, 1, 0) - _at(heatmaps, points, -1, 0))
    y = np.sign(_at(heatmaps, points, 0, 1) - _at(heatmaps, points, 0, -1))
    inside = _margin(heatmaps, points, 1)[..., None]
    return (np.stack([x, y], -1) * inside).astype(np.float32)


def _newton(
    gradient: tuple[np.ndarray, np.ndarray], dxx: np.ndarray, dyy: np.ndarray, dxy: np.ndarray
) -> np.ndarray:
    """Return the Newton steps (N, K, 2), 0 where the Hessian is singular."""
    dx, dy = gradient
    determinant = dxx * dyy - dxy**2
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=-1)
    is_regular = (determinant != 0)[..., None]
    return np.divide(step, determinant[..., None], out=np.zeros_like(step), where=is_regular)


def _shift(points: np.ndarray, step: np.ndarray) -> np.ndarray:
    return (points + step).astype(np.float32)
