"""Random views of people: where a training crop looks, drawn and computed for whole batches.

Only numbers are made here; the pixels follow in `crops`. Points are (x, y) in pixels, B is the
batch, K the number of joints. The recipe is mmpose's v0.29.
"""

from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from keras_shufflenet.data.geometry import Frame
from keras_shufflenet.data.pipeline import uniform
from keras_shufflenet.keypoints.boxes import PIXEL_STD, Size
from keras_shufflenet.keypoints.skeletons import Skeleton


@dataclass(frozen=True)
class Augmentation:
    """How training views vary. The defaults are those of the published COCO networks.

    Attributes:
        shift_prob: chance to move the frame.
        shift_factor: largest move, as a share of the padded box.
        flip_prob: chance to mirror the image.
        half_body_prob: chance to frame only the upper or the lower body, for people with
            more than `half_body_min_keypoints` labeled joints.
        half_body_min_keypoints: see there.
        upper_body_prob: chance that the upper body is preferred; mmpose asks for a normal
            number below 0.5, hence the value.
        half_body_padding: factor on the extent of the chosen joints.
        scale_factor: standard deviation of the frame's size, and how far it may be from 1.
        rotate_prob: chance to turn the frame.
        rotate_factor: standard deviation in degrees; cut at twice that.
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


COCO_AUGMENTATION = Augmentation()
MPII_AUGMENTATION = Augmentation(shift_prob=0.0, half_body_prob=0.0)


class Draws(NamedTuple):
    """Random numbers of views: uniform in [0, 1) or standard normal where the name says so."""

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
    """Return the uniform numbers (9,) float64 of a sample, a pure function of the arguments."""
    return uniform(number, len(Draws._fields), seed)


def as_draws(uniform: tf.Tensor) -> Draws:
    """Name the uniform numbers (B, 9), and turn those that shall be normal."""
    columns = Draws(*tf.unstack(uniform, axis=-1))
    return columns._replace(
        scale_normal=tf.math.ndtri(columns.scale_normal),
        rotation_normal=tf.math.ndtri(columns.rotation_normal),
    )


def shift(frame: Frame, draws: Draws, recipe: Augmentation) -> Frame:
    """Move some frames by up to a share of their size."""
    offset = 2 * tf.stack([draws.shift_x, draws.shift_y], axis=-1) - 1
    moved = frame.center + offset * recipe.shift_factor * frame.scale * PIXEL_STD
    return frame._replace(center=_where(draws.shift_gate < recipe.shift_prob, moved, frame.center))


def half_body(
    frame: Frame,
    joints: tf.Tensor,
    visible: tf.Tensor,
    draws: Draws,
    recipe: Augmentation,
    skeleton: Skeleton,
    input_size: Size,
) -> Frame:
    """Frame only the upper or the lower body of some people.

    Args:
        frame: the frames so far.
        joints: (B, K, 2).
        visible: (B, K) bool.
        draws: the random numbers.
        recipe: the augmentation.
        skeleton: what is upper and what is lower.
        input_size: (height, width) of the network's input; frames take its aspect ratio.

    Returns:
        The frames; unchanged where fewer than two joints are chosen or they coincide.
    """
    chosen = _half_of_body(visible, draws.upper_body_gate < recipe.upper_body_prob, skeleton)
    center, extent = _extent(joints, chosen)
    scale = _expand_to_aspect(extent, input_size) / PIXEL_STD * recipe.half_body_padding
    applies = (
        (_count(visible) > recipe.half_body_min_keypoints)
        & (draws.half_body_gate < recipe.half_body_prob)
        & (_count(chosen) >= 2)
        & (tf.reduce_max(extent, axis=-1) > 0)
    )
    return Frame(_where(applies, center, frame.center), _where(applies, scale, frame.scale))


def zoom(frame: Frame, draws: Draws, recipe: Augmentation) -> Frame:
    """Vary the frames' size."""
    factor = tf.clip_by_value(
        1 + recipe.scale_factor * draws.scale_normal,
        1 - recipe.scale_factor,
        1 + recipe.scale_factor,
    )
    return frame._replace(scale=frame.scale * factor[:, None])


def rotation(draws: Draws, recipe: Augmentation) -> tf.Tensor:
    """Return the rotations (B,) in degrees."""
    limit = 2 * recipe.rotate_factor
    degrees = tf.clip_by_value(recipe.rotate_factor * draws.rotation_normal, -limit, limit)
    return tf.where(draws.rotation_gate <= recipe.rotate_prob, degrees, 0.0)


def _half_of_body(visible: tf.Tensor, prefer_upper: tf.Tensor, skeleton: Skeleton) -> tf.Tensor:
    """Choose (B, K) joints: the preferred half if it has more than two, else the other one."""
    is_upper = tf.constant([joint in skeleton.upper_body for joint in range(len(skeleton))])
    upper, lower = visible & is_upper, visible & ~is_upper
    takes_upper = (prefer_upper & (_count(upper) > 2)) | (_count(lower) <= 2)
    return _where(takes_upper, upper, lower)


def _extent(joints: tf.Tensor, chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the mean (B, 2) and the width and height (B, 2) of the chosen joints."""
    mask = chosen[..., None]
    count = tf.cast(tf.maximum(_count(chosen), 1), joints.dtype)[:, None]
    mean = tf.reduce_sum(tf.where(mask, joints, 0), axis=1) / count
    low = tf.reduce_min(tf.where(mask, joints, joints.dtype.max), axis=1)
    high = tf.reduce_max(tf.where(mask, joints, joints.dtype.min), axis=1)
    return mean, tf.maximum(high - low, 0)


def _expand_to_aspect(size: tf.Tensor, input_size: Size) -> tf.Tensor:
    aspect = input_size[1] / input_size[0]
    width = tf.maximum(size[:, 0], aspect * size[:, 1])
    return tf.stack([width, width / aspect], axis=-1)


def _count(mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=-1)


def _where(condition: tf.Tensor, yes: tf.Tensor, no: tf.Tensor) -> tf.Tensor:
    return tf.where(condition[:, None], yes, no)
