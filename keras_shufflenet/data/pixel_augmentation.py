"""Augmentation of the pixels of person crops, for whole batches: color jitter and CutMix.

Random numbers are functions of the seed and the number of the sample, as in `augmentation`. B is
the batch size, H and W the size of the crops, K the number of keypoints.
"""

from math import log

import tensorflow as tf

from keras_shufflenet.data.augmentation import Augmentation
from keras_shufflenet.data.mixing import partners
from keras_shufflenet.data.pipeline import Shard, mapped, sample_numbers, to_gray, uniform

CUT_AREA = (0.05, 0.4)  # of the crop
CUT_RATIO = 2.0  # largest ratio of the relative sides
CUT_SIDE = 0.95  # largest relative side
_JITTER, _CUT = 6, 5  # random numbers of each
_STREAM = 1 << 42  # added to the seed: other numbers than those of the crop windows


def augment_pixels(
    crops: tf.data.Dataset,
    augmentation: Augmentation,
    *,
    batch_size: int,
    start_step: int,
    shard: Shard,
    seed: int,
) -> tf.data.Dataset:
    """Change the colors of crops, and paste parts of others into some.

    Args:
        crops: Batches of crops (B, H, W, 3) float32 RGB 0..255, keypoints (B, K, 2) and
            visibilities (B, K), from step `start_step` on.
        augmentation: Its `color_jitter` and `cutmix_prob`.
        batch_size: Crops per batch of all workers.
        start_step: Number of the first batch.
        shard: (index, count) of the worker.
        seed: Seed of the random numbers.

    Returns:
        The same, 0..255. Keypoints of crops that have a part of another are not visible: only a
        teacher knows them.
    """
    if not augmentation.color_jitter and not augmentation.cutmix_prob:
        return crops
    numbers = sample_numbers(batch_size, start_step, shard)
    draws = mapped(numbers, lambda number: uniform(number, _JITTER + _CUT, seed + _STREAM))

    def augment(
        batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor], draws: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        images, keypoints, visible = batch
        jitter, cut = tf.split(tf.cast(draws, tf.float32), [_JITTER, _CUT], axis=-1)
        if augmentation.color_jitter:
            images = jitter_colors(images, jitter, augmentation.color_jitter)
        if augmentation.cutmix_prob:
            images, is_cut = cut_mix(images, cut, augmentation.cutmix_prob)
            visible = tf.where(is_cut[:, None], 0.0, visible)
        return images, keypoints, visible

    return mapped(tf.data.Dataset.zip(crops, draws.batch(batch_size // shard[1])), augment)


def jitter_colors(images: tf.Tensor, draws: tf.Tensor, strength: float) -> tf.Tensor:
    """Change brightness, contrast, saturation and white balance, in this order.

    Args:
        images: (B, H, W, 3) float32 RGB 0..255.
        draws: (B, 6) uniform random numbers.
        strength: Largest relative change; a quarter of it for single channels.
    """
    change = strength * (2 * draws - 1)
    brightness, contrast, saturation = tf.unstack(1 + change[:, :3, None, None, None], axis=1)
    white = 1 + change[:, None, None, 3:] / 4
    images = images * brightness
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    images = mean + contrast * (images - mean)
    gray = to_gray(images)
    return tf.clip_by_value((gray + saturation * (images - gray)) * white, 0.0, 255.0)


def cut_mix(images: tf.Tensor, draws: tf.Tensor, prob: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Paste a box of another crop of the batch, in its place, into some crops.

    Source: Yun et al., "CutMix", 2019, https://arxiv.org/abs/1905.04899, for classifiers.

    Args:
        images: (B, H, W, 3).
        draws: (B, 5) uniform random numbers.
        prob: Probability of a crop.

    Returns:
        The images, and (B,) which of them have a box.
    """
    gate, area, ratio, top, left = tf.unstack(draws, axis=-1)
    low, high = CUT_AREA
    area, ratio = low + (high - low) * area, tf.exp(log(CUT_RATIO) * (2 * ratio - 1))
    sides = [tf.minimum(tf.sqrt(size), CUT_SIDE) for size in (area * ratio, area / ratio)]
    starts = [(1 - side) * draw for side, draw in zip(sides, (top, left), strict=True)]
    rows, columns = (
        _inside(length, start, side)
        for length, start, side in zip(images.shape[1:3], starts, sides, strict=True)
    )
    is_cut = gate < prob
    box = rows[:, :, None] & columns[:, None] & is_cut[:, None, None]
    others = tf.gather(images, partners(tf.shape(images)[0]))
    return tf.where(box[..., None], others, images), is_cut


def _inside(length: int, start: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """Return which pixels of an axis (B, length) lie in relative intervals."""
    center = (tf.range(length, dtype=tf.float32) + 0.5) / length
    return (center >= start[:, None]) & (center < (start + side)[:, None])
