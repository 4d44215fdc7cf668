"""Heatmap targets for whole batches: the TensorFlow twin of `HeatmapCodec.encode`."""

import tensorflow as tf

from keras_shufflenet.keypoints.codec import HeatmapCodec

ENCODINGS = ("msra", "unbiased", "udp")


def heatmaps(
    points: tf.Tensor, visible: tf.Tensor, codec: HeatmapCodec
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw the targets of a batch.

    Args:
        points: (B, K, 2) in input pixels.
        visible: (B, K), 1 for labeled joints and 0 for the others.
        codec: its encoding is one of `ENCODINGS`.

    Returns:
        heatmaps (B, h, w, K) and weights (B, 1, 1, K), float32.
    """
    points = points / codec.stride
    rounded = _truncate(points + 0.5)
    radius = int(3 * codec.sigma)
    weights = tf.cast(visible, tf.float32) * _reaches_map(
        points if codec.encoding == "unbiased" else rounded, radius, codec
    )
    centers = rounded if codec.encoding == "msra" else points
    cut = None if codec.encoding == "unbiased" else radius
    height, width = codec.heatmap_size
    columns = _profile(centers[..., 0], rounded[..., 0], width, codec.sigma, cut)
    rows = _profile(centers[..., 1], rounded[..., 1], height, codec.sigma, cut)
    rows *= tf.cast(weights > 0.5, tf.float32)[:, None]
    if codec.keypoint_weights is not None:
        weights *= tf.constant(codec.keypoint_weights, tf.float32)
    return rows[:, :, None] * columns[:, None], weights[:, None, None]


def _truncate(values: tf.Tensor) -> tf.Tensor:
    return tf.sign(values) * tf.floor(tf.abs(values))


def _reaches_map(centers: tf.Tensor, radius: int, codec: HeatmapCodec) -> tf.Tensor:
    """Return 1 where the square of a radius around the centers (B, K, 2) touches the map."""
    size = tf.constant(codec.heatmap_size[::-1], centers.dtype)
    reaches = (centers - radius < size) & (centers + (radius + 1) >= 0)
    return tf.cast(tf.reduce_all(reaches, axis=-1), tf.float32)


def _profile(
    center: tf.Tensor, rounded: tf.Tensor, length: int, sigma: float, cut: int | None
) -> tf.Tensor:
    """Return gaussians along one axis, (B, length, K), zero beyond `cut` of the nearest pixel."""
    grid = tf.range(length, dtype=center.dtype)[:, None]
    values = tf.exp(-tf.square(grid - center[:, None]) / (2 * sigma**2))
    if cut is not None:
        values = tf.where(tf.abs(grid - rounded[:, None]) <= cut, values, 0)
    return tf.cast(values, tf.float32)
