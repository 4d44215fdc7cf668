"""Random changes of a person's frame as pure functions of their draws.

Whoever calls them makes the draws: `uniform` ones from [0, 1), `normal` ones of standard deviation
1. Source: mmpose v0.29.
"""

import numpy as np

from keras_shufflenet._types import Size
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.boxes import PIXEL_STD, expand_to_aspect
from keras_shufflenet.keypoints.skeletons import Skeleton

HALF_BODY_PADDING = 1.5


def flip_joints(
    keypoints: np.ndarray, visible: np.ndarray, image_width: int, skeleton: str | Skeleton = "coco"
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror joints (..., K, 2) and visibilities (..., K); joints that are not visible become 0."""
    permutation = skeletons.get(skeleton).flip_permutation
    keypoints, visible = keypoints[..., permutation, :].copy(), visible[..., permutation]
    keypoints[..., 0] = image_width - 1 - keypoints[..., 0]
    return keypoints * (visible > 0)[..., None], visible


def shift_center(
    center: np.ndarray,
    scale: np.ndarray,
    uniform: np.ndarray,
    shift: np.ndarray,
    *,
    factor: float = 0.16,
    probability: float = 0.3,
) -> np.ndarray:
    """Move centers (..., 2) by up to `factor` of the padded box.

    Args:
        center: (..., 2).
        scale: (..., 2).
        uniform: (...), the center moves if it is below `probability`.
        shift: (..., 2), uniform in [-1, 1).
        factor: greatest share of the padded box's size.
        probability: how often centers move.
    """
    moves = np.asarray(uniform) < probability
    return center + moves[..., None] * factor * PIXEL_STD * scale * shift


def change_scale(scale: np.ndarray, normal: np.ndarray, *, factor: float = 0.5) -> np.ndarray:
    """Multiply scales (..., 2) by 1 + factor * normal, clipped to 1 - factor and 1 + factor."""
    factors = np.clip(1 + factor * np.asarray(normal), 1 - factor, 1 + factor)
    return scale * factors[..., None]


def draw_rotation(
    uniform: np.ndarray, normal: np.ndarray, *, factor: float = 40.0, probability: float = 0.6
) -> np.ndarray:
    """Return degrees (...): factor * normal, clipped to twice the factor, or 0."""
    degrees = np.clip(factor * np.asarray(normal), -2 * factor, 2 * factor)
    return np.where(np.asarray(uniform) <= probability, degrees, 0.0)


def half_body(
    keypoints: np.ndarray,
    visible: np.ndarray,
    input_size: Size,
    normal: float,
    skeleton: str | Skeleton = "coco",
) -> tuple[np.ndarray, np.ndarray] | None:
    """Frame one person's upper or lower body.

    The upper body is taken if `normal` is below 0.5 and more than 2 of its joints are visible,
    else the lower one if it has more than 2, else the upper one.

    Args:
        keypoints: (K, 2).
        visible: (K,).
        input_size: (height, width) of the network's input.
        normal: the draw.
        skeleton: tells the halves apart.

    Returns:
        center (2,) and scale (2,), or None if fewer than 2 joints are selected.
    """
    skeleton = skeletons.get(skeleton)
    upper, lower = (
        keypoints[[joint for joint in half if visible[joint] > 0]]
        for half in (skeleton.upper_body, skeleton.lower_body)
    )
    takes_lower = not (normal < 0.5 and len(upper) > 2) and len(lower) > 2
    selected = lower if takes_lower else upper
    if len(selected) < 2:
        return None
    size = expand_to_aspect(np.ptp(selected, axis=0), input_size)
    return selected.mean(0), size / PIXEL_STD * HALF_BODY_PADDING


def takes_half_body(
    visible: np.ndarray, uniform: np.ndarray, *, min_joints: int = 8, probability: float = 0.3
) -> np.ndarray:
    """Return for people (..., K) whether they may be cut: more than `min_joints` are visible."""
    enough = (np.asarray(visible) > 0).sum(-1) > min_joints
    return np.asarray(enough & (np.asarray(uniform) < probability))
