"""mmpose v0.29's augmentation of top-down crops in NumPy, as functions of given random numbers.

The OpenCV pipeline uses it, and the tests compare the batched augmentation of `data` with it.
`uniform` numbers are in [0, 1), `normal` ones standard normal.
"""

import numpy as np

from keras_shufflenet._types import Size
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.boxes import PIXEL_STD, expand_to_aspect
from keras_shufflenet.keypoints.skeletons import Skeleton

HALF_BODY_PADDING = 1.5


def flip_keypoints(
    keypoints: np.ndarray,
    keypoints_visible: np.ndarray,
    image_width: int,
    skeleton: str | Skeleton = "coco",
) -> tuple[np.ndarray, np.ndarray]:
    """Flip keypoints (..., K, 2) and visibilities (..., K); invisible keypoints become 0."""
    permutation = skeletons.get(skeleton).flip_permutation
    visible = keypoints_visible[..., permutation]
    keypoints = keypoints[..., permutation, :].copy()
    keypoints[..., 0] = image_width - 1 - keypoints[..., 0]
    return keypoints * (visible > 0)[..., None], visible


def shift_bbox(
    center: np.ndarray,
    scale: np.ndarray,
    uniform: np.ndarray,
    offset: np.ndarray,
    *,
    shift_factor: float = 0.16,
    shift_prob: float = 0.3,
) -> np.ndarray:
    """Shift centers by a fraction of the padded box.

    Args:
        center: (..., 2).
        scale: (..., 2).
        uniform: (...); the center is shifted if it is below `shift_prob`.
        offset: (..., 2), uniform in [-1, 1).
        shift_factor: Maximum shift, as a fraction of the padded box.
        shift_prob: Probability of a shift.

    Returns:
        The centers (..., 2).
    """
    is_shifted = np.asarray(uniform) < shift_prob
    return center + is_shifted[..., None] * shift_factor * PIXEL_STD * scale * offset


def scale_bbox(scale: np.ndarray, normal: np.ndarray, *, scale_factor: float = 0.5) -> np.ndarray:
    """Multiply scales (..., 2) by 1 + scale_factor * normal, clipped to 1 ± scale_factor."""
    factors = np.clip(1 + scale_factor * np.asarray(normal), 1 - scale_factor, 1 + scale_factor)
    return scale * factors[..., None]


def random_rotation(
    uniform: np.ndarray,
    normal: np.ndarray,
    *,
    rotate_factor: float = 40.0,
    rotate_prob: float = 0.6,
) -> np.ndarray:
    """Return degrees (...): rotate_factor * normal, clipped to ± 2 rotate_factor, or 0."""
    degrees = np.clip(rotate_factor * np.asarray(normal), -2 * rotate_factor, 2 * rotate_factor)
    return np.where(np.asarray(uniform) <= rotate_prob, degrees, 0.0)


def half_body(
    keypoints: np.ndarray,
    keypoints_visible: np.ndarray,
    input_size: Size,
    normal: float,
    skeleton: str | Skeleton = "coco",
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return center and scale of one person's upper or lower body.

    The upper body is selected if `normal` is below 0.5 and more than 2 of its keypoints are
    visible, else the lower body if more than 2 of its keypoints are, else the upper body.

    Args:
        keypoints: (K, 2).
        keypoints_visible: (K,).
        input_size: Input size (height, width) of the network.
        normal: The random number.
        skeleton: The K keypoints.

    Returns:
        Center (2,) and scale (2,), or None if fewer than 2 keypoints are selected.
    """
    skeleton = skeletons.get(skeleton)
    upper, lower = (
        keypoints[[index for index in half if keypoints_visible[index] > 0]]
        for half in (skeleton.upper_body, skeleton.lower_body)
    )
    use_lower = not (normal < 0.5 and len(upper) > 2) and len(lower) > 2
    selected = lower if use_lower else upper
    if len(selected) < 2:
        return None
    size = expand_to_aspect(np.ptp(selected, axis=0), input_size)
    return selected.mean(0), size / PIXEL_STD * HALF_BODY_PADDING


def is_half_body(
    keypoints_visible: np.ndarray,
    uniform: np.ndarray,
    *,
    min_keypoints: int = 8,
    half_body_prob: float = 0.3,
) -> np.ndarray:
    """Return whether persons (..., K) are cropped to half the body, if `half_body` allows it."""
    has_enough = (np.asarray(keypoints_visible) > 0).sum(-1) > min_keypoints
    return np.asarray(has_enough & (np.asarray(uniform) < half_body_prob))
