"""Augmentation of top-down pose estimation: random crop windows for whole batches.

Crops are transformed as numbers here; `decode` reads their pixels. Points are (x, y) in pixels, B
is the batch size, K the number of keypoints. Source: mmpose v0.29.
"""

from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from keras_shufflenet._checks import check_fraction
from keras_shufflenet._types import Size
from keras_shufflenet.data.geometry import CenterScale
from keras_shufflenet.data.pipeline import uniform
from keras_shufflenet.keypoints.boxes import PIXEL_STD
from keras_shufflenet.keypoints.skeletons import Skeleton


@dataclass(frozen=True)
class Augmentation:
    """Augmentation of top-down crops. The defaults are those of the published COCO networks.

    Attributes:
        shift_prob: Probability of shifting the padded box.
        shift_factor: Maximum shift, as a fraction of the padded box.
        flip_prob: Probability of flipping the image horizontally.
        half_body_prob: Probability of cropping to the upper or the lower body, for persons with
            more than `half_body_min_keypoints` labeled keypoints.
        half_body_min_keypoints: See `half_body_prob`.
        upper_body_prob: Probability of preferring the upper body. The default is the probability
            of a standard normal number below 0.5, which is what mmpose tests.
        half_body_padding: Padding factor of the half body's extent.
        scale_factor: Standard deviation of the scale's random factor, which is clipped to
            1 ± `scale_factor`.
        rotate_prob: Probability of rotating the crop.
        rotate_factor: Standard deviation of the rotation in degrees, which is clipped to
            ± 2 `rotate_factor`.
        color_jitter: Largest relative change of brightness, contrast and saturation, 0..1; that
            of single channels is a quarter of it.
        cutmix_prob: Probability of pasting a part of another person's crop into a crop. Its
            annotated keypoints are then not used: such crops are for training with a teacher.

    Raises:
        ValueError: If `color_jitter` or `cutmix_prob` is not between 0 and 1.
    """

    shift_prob: float = 0.3
    shift_factor: float = 0.16
    flip_prob: float = 0.5
    half_body_prob: float = 0.3
    half_body_min_keypoints: int = 8
    upper_body_prob: float = 0.6914624612740131
    half_body_padding: float = 1.5
    scale_factor: float = 0.5
    rotate_prob: float = 0.6
    rotate_factor: float = 40.0
    color_jitter: float = 0.0
    cutmix_prob: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        check_fraction("color_jitter", self.color_jitter)
        check_fraction("cutmix_prob", self.cutmix_prob)


COCO_AUGMENTATION = Augmentation()
MPII_AUGMENTATION = Augmentation(shift_prob=0.0, half_body_prob=0.0)


class Draws(NamedTuple):
    """Random numbers (B,) of crops: standard normal if so named, else uniform in [0, 1)."""

    shift_gate: tf.Tensor
    shift_x: tf.Tensor
    shift_y: tf.Tensor
    flip_gate: tf.Tensor
    half_body_gate: tf.Tensor
    upper_body_gate: tf.Tensor
    scale_normal: tf.Tensor
    rotation_gate: tf.Tensor
    rotation_normal: tf.Tensor


def uniform_draws(seed: int, number: tf.Tensor) -> tf.Tensor:
    """Return the uniform random numbers (9,) float64 of a sample."""
    return uniform(number, len(Draws._fields), seed)


def as_draws(uniform: tf.Tensor) -> Draws:
    """Convert uniform random numbers (B, 9) to draws."""
    columns = Draws(*tf.unstack(uniform, axis=-1))
    return columns._replace(
        scale_normal=tf.math.ndtri(columns.scale_normal),
        rotation_normal=tf.math.ndtri(columns.rotation_normal),
    )


def shift_bbox(bbox: CenterScale, draws: Draws, augmentation: Augmentation) -> CenterScale:
    """Shift some boxes by up to a fraction of their size."""
    offset = 2 * tf.stack([draws.shift_x, draws.shift_y], axis=-1) - 1
    shifted = bbox.center + offset * augmentation.shift_factor * bbox.scale * PIXEL_STD
    is_shifted = draws.shift_gate < augmentation.shift_prob
    return bbox._replace(center=_where(is_shifted, shifted, bbox.center))


def half_body(
    bbox: CenterScale,
    keypoints: tf.Tensor,
    is_visible: tf.Tensor,
    draws: Draws,
    augmentation: Augmentation,
    skeleton: Skeleton,
    input_size: Size,
) -> CenterScale:
    """Replace some boxes by that of the upper or the lower body.

    Args:
        bbox: Boxes of the whole persons.
        keypoints: (B, K, 2).
        is_visible: (B, K) bool.
        draws: The random numbers.
        augmentation: Probabilities and padding.
        skeleton: The K keypoints.
        input_size: Input size (height, width) of the network; boxes have its aspect ratio.

    Returns:
        The boxes; unchanged where fewer than two keypoints are selected or they coincide, and for
        skeletons without an upper or lower body.
    """
    if not (skeleton.upper_body and skeleton.lower_body):
        return bbox
    prefer_upper = draws.upper_body_gate < augmentation.upper_body_prob
    selected = _select_half(is_visible, prefer_upper, skeleton)
    center, extent = _extent(keypoints, selected)
    scale = _expand_to_aspect(extent, input_size) / PIXEL_STD * augmentation.half_body_padding
    is_half = (
        (_count(is_visible) > augmentation.half_body_min_keypoints)
        & (draws.half_body_gate < augmentation.half_body_prob)
        & (_count(selected) >= 2)
        & (tf.reduce_max(extent, axis=-1) > 0)
    )
    return CenterScale(_where(is_half, center, bbox.center), _where(is_half, scale, bbox.scale))


def scale_bbox(bbox: CenterScale, draws: Draws, augmentation: Augmentation) -> CenterScale:
    """Multiply the scales by random factors."""
    factor = tf.clip_by_value(
        1 + augmentation.scale_factor * draws.scale_normal,
        1 - augmentation.scale_factor,
        1 + augmentation.scale_factor,
    )
    return bbox._replace(scale=bbox.scale * factor[:, None])


def random_rotation(draws: Draws, augmentation: Augmentation) -> tf.Tensor:
    """Return random rotations (B,) in degrees."""
    limit = 2 * augmentation.rotate_factor
    degrees = tf.clip_by_value(augmentation.rotate_factor * draws.rotation_normal, -limit, limit)
    return tf.where(draws.rotation_gate <= augmentation.rotate_prob, degrees, 0.0)


def _select_half(is_visible: tf.Tensor, prefer_upper: tf.Tensor, skeleton: Skeleton) -> tf.Tensor:
    """Return which keypoints (B, K) are selected: a half needs more than two visible ones."""
    is_upper = tf.constant([index in skeleton.upper_body for index in range(len(skeleton))])
    upper, lower = is_visible & is_upper, is_visible & ~is_upper
    use_upper = (prefer_upper & (_count(upper) > 2)) | (_count(lower) <= 2)
    return _where(use_upper, upper, lower)


def _extent(keypoints: tf.Tensor, selected: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mean (B, 2) and (width, height) (B, 2) of the selected keypoints."""
    mask = selected[..., None]
    count = tf.cast(tf.maximum(_count(selected), 1), keypoints.dtype)[:, None]
    mean = tf.reduce_sum(tf.where(mask, keypoints, 0), axis=1) / count
    low = tf.reduce_min(tf.where(mask, keypoints, keypoints.dtype.max), axis=1)
    high = tf.reduce_max(tf.where(mask, keypoints, keypoints.dtype.min), axis=1)
    return mean, tf.maximum(high - low, 0)


def _expand_to_aspect(size: tf.Tensor, input_size: Size) -> tf.Tensor:
    aspect = input_size[1] / input_size[0]
    width = tf.maximum(size[:, 0], aspect * size[:, 1])
    return tf.stack([width, width / aspect], axis=-1)


def _count(mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=-1)


def _where(condition: tf.Tensor, yes: tf.Tensor, no: tf.Tensor) -> tf.Tensor:
    return tf.where(condition[:, None], yes, no)
