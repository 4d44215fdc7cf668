"""Affine maps of images and crops for whole batches: the TensorFlow twin of `keypoints.boxes`.

Points are (x, y) in pixels; whole numbers are the centers of pixels. B is the batch.
"""

from typing import NamedTuple

import tensorflow as tf

from keras_shufflenet.keypoints.boxes import PIXEL_STD
from keras_shufflenet.keypoints.codec import HeatmapCodec


class Frame(NamedTuple):
    """Where people are looked at: center (B, 2) in pixels and scale (B, 2) in units of 200."""

    center: tf.Tensor
    scale: tf.Tensor


def crop_matrix(frame: Frame, degrees: tf.Tensor, codec: HeatmapCodec) -> tf.Tensor:
    """Return the matrices (B, 2, 3) from image points to input points.

    The TensorFlow twin of `HeatmapCodec.crop_matrix`.
    """
    size = tf.constant([codec.input_size[1], codec.input_size[0]], tf.float64)
    angle = degrees * (tf.constant(3.141592653589793, tf.float64) / 180)
    if codec.encoding == "udp":
        factor, angle, size = (size - 1) / (PIXEL_STD * frame.scale), -angle, size - 1
    else:
        factor = size[0] / (PIXEL_STD * frame.scale[:, :1]) * tf.ones([2], tf.float64)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    turn = tf.stack([tf.stack([cosine, sine], -1), tf.stack([-sine, cosine], -1)], axis=-2)
    linear = factor[..., None] * turn
    return tf.concat([linear, (size / 2 - _apply(linear, frame.center))[..., None]], axis=-1)


def compose_mirror(matrix: tf.Tensor, flipped: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Let matrices (B, 2, 3) for mirrored images take points of the unmirrored ones."""
    x, y, offset = tf.unstack(matrix, axis=-1)
    mirrored = tf.stack([-x, y, offset + x * (width - 1)[:, None]], axis=-1)
    return tf.where(flipped[:, None, None], mirrored, matrix)


def transform_points(points: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Apply matrices (B, 2, 3) to points (B, K, 2)."""
    return tf.matmul(points, matrix[:, :, :2], transpose_b=True) + matrix[:, None, :, 2]


def invert_affine(matrix: tf.Tensor) -> tf.Tensor:
    """Return the inverses (B, 2, 3) of matrices (B, 2, 3)."""
    linear = tf.linalg.inv(matrix[..., :2])
    return tf.concat([linear, -tf.matmul(linear, matrix[..., 2:])], axis=-1)


def mirror_x(points: tf.Tensor, flipped: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Mirror points (B, ..., 2) of flipped images of a width (B,)."""
    shape = tf.concat([tf.shape(width), tf.ones([tf.rank(points) - 2], tf.int32)], axis=0)
    width, flipped = tf.reshape(width, shape), tf.reshape(flipped, shape)
    x = tf.where(flipped, width - 1 - points[..., 0], points[..., 0])
    return tf.stack([x, points[..., 1]], axis=-1)


def _apply(linear: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    return tf.matmul(linear, vector[..., None])[..., 0]
