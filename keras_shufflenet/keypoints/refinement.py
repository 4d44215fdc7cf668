"""Positions of joints in heatmaps: the maxima and the published ways to refine them.

Heatmaps are (N, K, height, width), so that each is one piece of memory (`channels_first`);
positions are (N, K, 2) as (x, y) in heatmap pixels, scores (N, K). Source: mmpose v0.29, DARK
(Zhang et al., CVPR 2020), UDP (Huang et al., CVPR 2020).
"""

import numpy as np

from keras_shufflenet.keypoints.blur import blur, blur_keeping_maximum
from keras_shufflenet.keypoints.heatmaps import COMBINED_RADIUS

Peaks = tuple[np.ndarray, np.ndarray]


def channels_first(heatmaps: np.ndarray) -> np.ndarray:
    """Return heatmaps (N, height, width, K) as (N, K, height, width)."""
    return np.ascontiguousarray(np.moveaxis(heatmaps, -1, 1))


def maxima(heatmaps: np.ndarray, kernel: int = 1) -> Peaks:
    """Return the first maximum of every map and its value; (-1, -1) where no value is positive."""
    width = heatmaps.shape[3]
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1)
    index = flat.argmax(-1)
    scores = np.take_along_axis(flat, index[..., None], axis=-1)[..., 0]
    points = np.stack([index % width, index // width], axis=-1).astype(np.float32)
    points[scores <= 0] = -1
    return points, scores


def quarter_offset(heatmaps: np.ndarray, kernel: int = 1) -> Peaks:
    """Move each maximum a quarter pixel towards its higher neighbor, along both axes."""
    points, scores = maxima(heatmaps)
    return points + 0.25 * _uphill(heatmaps, points), scores


def quarter_offset_megvii(heatmaps: np.ndarray, kernel: int) -> Peaks:
    """Blur first, move by a quarter pixel and to the pixel's center; maps have the height 255."""
    blurred = blur_keeping_maximum(heatmaps, kernel)
    points, scores = maxima(blurred)
    inside = _margin(heatmaps, points, 1)[..., None]
    return points + 0.25 * _uphill(blurred, points) + 0.5 * inside, scores / 255 + 0.5


def newton_dark(heatmaps: np.ndarray, kernel: int) -> Peaks:
    """Refine maxima by a Newton step on the logarithm of the blurred maps (DARK)."""
    points, scores = maxima(heatmaps)
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


def newton_udp(heatmaps: np.ndarray, kernel: int) -> Peaks:
    """Refine maxima by a Newton step with 3 x 3 derivatives and a damped Hessian (UDP)."""
    points, scores = maxima(heatmaps)
    smooth = blur(heatmaps, kernel, "reflect")

    def log(dx: int, dy: int) -> np.ndarray:
        return np.log(np.clip(_at(smooth, points, dx, dy), 0.001, 50))

    here, right, left, below, above = log(0, 0), log(1, 0), log(-1, 0), log(0, 1), log(0, -1)
    damping = np.finfo(np.float32).eps
    dxx = right - 2 * here + left + damping
    dyy = below - 2 * here + above + damping
    dxy = (log(1, 1) - right - below + 2 * here - left - above + log(-1, -1)) / 2
    step = _newton(((right - left) / 2, (below - above) / 2), dxx, dyy, dxy)
    return _shift(points, step), scores


def combined_offsets(heatmaps: np.ndarray, kernel: int) -> Peaks:
    """Add the predicted offsets to the maxima of the discs; maps have 3K channels (UDP)."""
    discs = blur(heatmaps[:, 0::3], 2 * kernel + 1, "reflect")
    points, scores = maxima(discs)
    radius = COMBINED_RADIUS * heatmaps.shape[2]
    offsets = [_at(blur(heatmaps[:, i::3], kernel, "reflect"), points, 0, 0) for i in (1, 2)]
    return _shift(points, radius * np.stack(offsets, -1)), scores


def heatmap_pck(
    predicted: np.ndarray, target: np.ndarray, weights: np.ndarray, threshold: float = 0.05
) -> tuple[np.ndarray, float]:
    """Return the share of maxima near the target's maximum, mmpose's metric during training.

    Args:
        predicted: (N, height, width, K).
        target: of the same shape.
        weights: (N, K); joints of weight 0 do not count.
        threshold: greatest distance, after x is divided by the map's height and y by its width
            (the order of the axes is the reference's).

    Returns:
        shares (K,), NaN where no joint counts, and the mean of the others (0 if there is none).
    """
    difference = maxima(channels_first(predicted))[0] - maxima(channels_first(target))[0]
    near = np.linalg.norm(difference / predicted.shape[1:3], axis=-1) < threshold
    counted = weights > 0
    count = counted.sum(0)
    right = (near & counted).sum(0)
    shares = np.divide(right, count, out=np.full(len(count), np.nan), where=count > 0)
    return shares, float(shares[count > 0].mean()) if count.any() else 0.0


def _at(heatmaps: np.ndarray, points: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """Return the maps' values (N, K), float64, beside the points; the border's beyond it."""
    height, width = heatmaps.shape[2:]
    x = np.clip(points[..., 0].astype(np.int64) + dx, 0, width - 1)
    y = np.clip(points[..., 1].astype(np.int64) + dy, 0, height - 1)
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1)
    return np.take_along_axis(flat, (y * width + x)[..., None], axis=-1)[..., 0].astype(np.float64)


def _margin(heatmaps: np.ndarray, points: np.ndarray, margin: int) -> np.ndarray:
    """Return which points (N, K) lie more than one pixel from 0 and `margin` from the far end."""
    last = np.array([heatmaps.shape[3], heatmaps.shape[2]]) - margin
    return np.asarray(((points > 1) & (points < last)).all(-1))


def _uphill(heatmaps: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the signs of the central differences, (N, K, 2); 0 near the border."""
    x = np.sign(_at(heatmaps, points, 1, 0) - _at(heatmaps, points, -1, 0))
    y = np.sign(_at(heatmaps, points, 0, 1) - _at(heatmaps, points, 0, -1))
    inside = _margin(heatmaps, points, 1)[..., None]
    return (np.stack([x, y], -1) * inside).astype(np.float32)


def _newton(
    gradient: tuple[np.ndarray, np.ndarray], dxx: np.ndarray, dyy: np.ndarray, dxy: np.ndarray
) -> np.ndarray:
    """Return minus the inverse Hessian times the gradient, (N, K, 2); 0 if it is singular."""
    dx, dy = gradient
    determinant = dxx * dyy - dxy**2
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=-1)
    regular = (determinant != 0)[..., None]
    return np.divide(step, determinant[..., None], out=np.zeros_like(step), where=regular)


def _shift(points: np.ndarray, step: np.ndarray) -> np.ndarray:
    return (points + step).astype(np.float32)
