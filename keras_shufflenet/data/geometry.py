"""Batched affine geometry: the TensorFlow twin of `keypoints.boxes`.

Points are (x, y) in pixels, with integer coordinates at pixel centers. B is the batch size.
"""

from typing import NamedTuple

import tensorflow as tf

from keras_shufflenet.keypoints.boxes import PIXEL_STD
from keras_shufflenet.keypoints.codec import HeatmapCodec


class CenterScale(NamedTuple):
    """Crop windows: center (B, 2) in pixels and scale (B, 2) in units of 200 pixels."""

    center: tf.Tensor
    scale: tf.Tensor


def crop_matrix(bbox: CenterScale, degrees: tf.Tensor, codec: HeatmapCodec) -> tf.Tensor:
    """Return the matrices (B, 2, 3) that map image points to input points.

    The TensorFlow twin of `HeatmapCodec.crop_matrix`.
    """
    size = tf.constant([codec.input_size[1], codec.input_size[0]], tf.float64)
    angle = degrees * (tf.constant(3.141592653589793, tf.float64) / 180)
    if codec.encoding == "udp":
        factor, angle, size = (size - 1) / (PIXEL_STD * bbox.scale), -angle, size - 1
    else:
        factor = size[0] / (PIXEL_STD * bbox.scale[:, :1]) * tf.ones([2], tf.float64)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    rotation = tf.stack([tf.stack([cosine, sine], -1), tf.stack([-sine, cosine], -1)], axis=-2)
    linear = factor[..., None] * rotation
    return tf.concat([linear, (size / 2 - _apply(linear, bbox.center))[..., None]], axis=-1)


def compose_flip(matrix: tf.Tensor, is_flipped: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Compose the horizontal flip of some images with matrices (B, 2, 3) of the flipped images."""
    x, y, offset = tf.unstack(matrix, axis=-1)
    composed = tf.stack([-x, y, offset + x * (width - 1)[:, None]], axis=-1)
    return tf.where(is_flipped[:, None, None], composed, matrix)


def compose(outer: tf.Tensor, inner: tf.Tensor) -> tf.Tensor:
    """Return the matrices (B, 2, 3) that apply `inner` (B, 2, 3) first, then `outer` (B, 2, 3)."""
    linear = tf.matmul(outer[..., :2], inner)
    return tf.concat([linear[..., :2], linear[..., 2:] + outer[..., 2:]], axis=-1)


def transform_points(points: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Apply matrices (B, 2, 3) to points (B, K, 2)."""
    return tf.matmul(points, matrix[:, :, :2], transpose_b=True) + matrix[:, None, :, 2]


def invert_affine(matrix: tf.Tensor) -> tf.Tensor:
    """Return the inverses (B, 2, 3) of matrices (B, 2, 3)."""
    linear = tf.linalg.inv(matrix[..., :2])
    return tf.concat([linear, -tf.matmul(linear, matrix[..., 2:])], axis=-1)


def flip_points(points: tf.Tensor, is_flipped: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Flip points (B, ..., 2) of some images horizontally; the image widths are (B,)."""
    shape = tf.concat([tf.shape(width), tf.ones([tf.rank(points) - 2], tf.int32)], axis=0)
    width, is_flipped = tf.reshape(width, shape), tf.reshape(is_flipped, shape)
    x = tf.where(is_flipped, width - 1 - points[..., 0], points[..., 0])
    return tf.stack([x, points[..., 1]], axis=-1)


def _apply(linear: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    return tf.matmul(linear, vector[..., None])[..., 0]
