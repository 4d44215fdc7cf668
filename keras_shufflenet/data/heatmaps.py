"""Batched heatmap encoding: the TensorFlow twin of `HeatmapCodec.encode`."""

from typing import get_args

import tensorflow as tf

from keras_shufflenet.keypoints.codec import GaussianEncoding, HeatmapCodec

ENCODINGS = get_args(GaussianEncoding)


def encode(
    keypoints: tf.Tensor, keypoints_visible: tf.Tensor, codec: HeatmapCodec
) -> tuple[tf.Tensor, tf.Tensor]:
    """Generate the heatmaps of a batch.

    Args:
        keypoints: (B, K, 2) in input pixels.
        keypoints_visible: (B, K), weights of the labeled keypoints, and 0 for the others.
        codec: Codec whose encoding is one of `ENCODINGS`.

    Returns:
        Heatmaps (B, h, w, K) and target weights (B, 1, 1, K), float32.
    """
    points = keypoints / codec.stride
    rounded = _truncate(points + 0.5)
    radius = int(3 * codec.sigma)
    weights = tf.cast(keypoints_visible, tf.float32) * _overlaps_heatmap(
        points if codec.encoding == "unbiased" else rounded, radius, codec
    )
    centers = rounded if codec.encoding == "msra" else points
    window = None if codec.encoding == "unbiased" else radius
    height, width = codec.heatmap_size
    columns = _profile(centers[..., 0], rounded[..., 0], width, codec.sigma, window)
    rows = _profile(centers[..., 1], rounded[..., 1], height, codec.sigma, window)
    rows *= tf.cast(weights > 0, tf.float32)[:, None]
    if codec.keypoint_weights is not None:
        weights *= tf.constant(codec.keypoint_weights, tf.float32)
    return rows[:, :, None] * columns[:, None], weights[:, None, None]


def _truncate(values: tf.Tensor) -> tf.Tensor:
    return tf.sign(values) * tf.floor(tf.abs(values))


def _overlaps_heatmap(centers: tf.Tensor, radius: int, codec: HeatmapCodec) -> tf.Tensor:
    """Return 1 where the squares around centers (B, K, 2) overlap the heatmap, else 0."""
    size = tf.constant(codec.heatmap_size[::-1], centers.dtype)
    overlaps = (centers - radius < size) & (centers + (radius + 1) >= 0)
    return tf.cast(tf.reduce_all(overlaps, axis=-1), tf.float32)


def _profile(
    center: tf.Tensor, rounded: tf.Tensor, length: int, sigma: float, window: int | None
) -> tf.Tensor:
    """Return Gaussians along one axis (B, length, K), zero outside of a window half-width."""
    grid = tf.range(length, dtype=center.dtype)[:, None]
    values = tf.exp(-tf.square(grid - center[:, None]) / (2 * sigma**2))
    if window is not None:
        values = tf.where(tf.abs(grid - rounded[:, None]) <= window, values, 0)
    return tf.cast(values, tf.float32)
