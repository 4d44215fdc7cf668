"""Object keypoint similarity (OKS) and non-maximum suppression of poses.

Source: mmpose v0.29, COCO (http://cocodataset.org/#keypoints-eval).
"""

import numpy as np

from keras_shufflenet._checks import check_fraction, check_positive
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.skeletons import SkeletonLike


def oks(
    keypoints: np.ndarray,
    areas: np.ndarray,
    skeleton: SkeletonLike = "coco",
    visibility_threshold: float | None = None,
) -> np.ndarray:
    """Return the OKS of every pair of poses, between 0 and 1.

    Args:
        keypoints: (N, K, 3): x, y and score.
        areas: (N,), in square pixels.
        skeleton: The K keypoints; its sigmas define the OKS.
        visibility_threshold: Compare only keypoints whose score in the second pose is above this
            value, which makes the matrix asymmetric; by default all keypoints.

    Returns:
        (N, N) float64, indexed by first and second pose.

    Raises:
        ValueError: If the shapes do not fit each other or the skeleton.
    """
    skeleton = skeletons.get(skeleton)
    keypoints, areas = np.asarray(keypoints, np.float64), np.asarray(areas, np.float64)
    expected = (*areas.shape, len(skeleton), 3)
    if areas.ndim != 1 or keypoints.shape != expected:
        raise ValueError(
            f"`keypoints` must have the shape (N, {len(skeleton)}, 3), and `areas` (N,). "
            f"Received: shapes {keypoints.shape} and {areas.shape}"
        )
    squares = ((keypoints[:, None, :, :2] - keypoints[None, :, :, :2]) ** 2).sum(-1)
    variances = (2 * np.array(skeleton.sigmas)) ** 2
    mean_area = (areas[:, None] + areas) / 2 + np.spacing(1)
    similarity = np.exp(-squares / variances / mean_area[..., None] / 2)
    if visibility_threshold is None:
        return similarity.mean(-1)
    confident = keypoints[..., 2] > visibility_threshold
    return (similarity * confident).sum(-1) / np.maximum(confident.sum(-1), 1)


def oks_nms(similarity: np.ndarray, scores: np.ndarray, threshold: float = 0.9) -> np.ndarray:
    """Keep poses in order of their score, unless their OKS with a kept one exceeds a threshold.

    Of poses of equal scores the last comes first, as in mmpose.

    Args:
        similarity: (N, N), the result of `oks`.
        scores: (N,).
        threshold: Maximum OKS of two poses that are both kept.

    Returns:
        Indices of the kept poses, best first.

    Raises:
        ValueError: If the shapes do not fit each other, a score is NaN, or the threshold is not
            between 0 and 1.
    """
    similarity, scores = _checked(similarity, scores)
    check_fraction("threshold", threshold)
    order, kept = _descending(scores), []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[similarity[best, order] <= threshold]
    return np.array(kept, np.int64)


def soft_oks_nms(
    similarity: np.ndarray, scores: np.ndarray, threshold: float = 0.9, max_poses: int = 20
) -> np.ndarray:
    """Order poses by scores that decay by `exp(-oks**2 / threshold)` with every better pose.

    Poses are ranked anew with every one that is kept, and each ranking reverses the order of equal
    scores, as in mmpose: of four equal ones without overlap 3, 0, 2, 1 are kept.

    Args:
        similarity: (N, N), the result of `oks`.
        scores: (N,).
        threshold: Scores decay more slowly with a larger value.
        max_poses: Maximum number of poses kept.

    Returns:
        Indices of the kept poses, best first.

    Raises:
        ValueError: If the shapes do not fit each other, a score is NaN, or the threshold is not
            above 0 and up to 1.
    """
    similarity, scores = _checked(similarity, scores)
    check_fraction("threshold", threshold)
    check_positive("threshold", threshold)
    order = np.arange(len(scores))
    kept: list[int] = []
    while len(order) and len(kept) < max_poses:
        ranking = _descending(scores)
        order, scores = order[ranking], scores[ranking]
        kept.append(order[0])
        scores = scores[1:] * np.exp(-(similarity[order[0], order[1:]] ** 2) / threshold)
        order = order[1:]
    return np.array(kept, np.int64)


def _checked(similarity: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    similarity, scores = np.asarray(similarity), np.asarray(scores, np.float64)
    count = scores.size
    if scores.ndim != 1 or (similarity.shape != (count, count) and similarity.size + count):
        raise ValueError(
            "`similarity` must have the shape (N, N), and `scores` (N,). "
            f"Received: shapes {similarity.shape} and {scores.shape}"
        )
    if np.isnan(scores).any():
        raise ValueError(
            f"`scores` must be numbers. Received: NaN of pose {np.isnan(scores).argmax()}"
        )
    return similarity, scores


def _descending(scores: np.ndarray) -> np.ndarray:
    return np.argsort(scores, kind="stable")[::-1]
