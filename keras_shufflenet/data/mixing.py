"""MixUp and CutMix: images of a batch mixed with each other, and their classes with them.

Sources: Zhang et al., 2018, https://arxiv.org/abs/1710.09412; Yun et al., 2019,
https://arxiv.org/abs/1905.04899; torchvision's transforms of these names. As there, a batch has one
weight. An image is mixed with the one beside it, not with the one before, so that several workers
who share a batch mix the same images as one.
"""

import tensorflow as tf

from keras_shufflenet.data.classification_augmentation import ClassificationAugmentation
from keras_shufflenet.data.pipeline import mapped, uniform

_STREAM = 1 << 41  # added to the seed: other numbers than those of single images


def mix_batches(
    dataset: tf.data.Dataset,
    augmentation: ClassificationAugmentation,
    classes: int,
    seed: int,
    start_step: int,
) -> tf.data.Dataset:
    """Mix the images of every batch, if the augmentation does so.

    Args:
        dataset: Batches of images (B, H, W, 3) and classes (B,).
        augmentation: Its `mixup_alpha` and `cutmix_alpha`.
        classes: Number of classes.
        seed: Seed of the weights and boxes.
        start_step: Number of the first batch.

    Returns:
        Batches of images and shares (B, classes) float32 of the classes.
    """

    def mixed(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images, targets = batch[0], tf.one_hot(batch[1], classes)
        others_of = partners(tf.shape(images)[0], augmentation.repeats)
        weights, choice = _weights(step, augmentation, seed), uniform(step, 3, seed + _STREAM)
        kinds = [alpha > 0 for alpha in (augmentation.mixup_alpha, augmentation.cutmix_alpha)]
        is_mixup = choice[0] < 0.5 if all(kinds) else tf.constant(kinds[0])
        others = tf.gather(images, others_of)
        cover, cut_weight = _cut(tf.shape(images)[1:3], weights[1], choice[1:])
        weight = tf.where(is_mixup, weights[0], cut_weight)
        share = tf.where(is_mixup, tf.fill(tf.shape(cover), weights[0]), cover)[None, ..., None]
        images = share * images + (1 - share) * others
        return images, weight * targets + (1 - weight) * tf.gather(targets, others_of)

    return mapped(dataset.enumerate(start_step), mixed)


def _weights(step: tf.Tensor, augmentation: ClassificationAugmentation, seed: int) -> tf.Tensor:
    """Return the beta-distributed weights (2,) of MixUp and CutMix."""
    alphas = [
        max(alpha, 1e-3) for alpha in (augmentation.mixup_alpha, augmentation.cutmix_alpha)
    ]  # of those with an alpha of 0 none is used
    state = tf.stack([tf.constant(seed + _STREAM, tf.int64), step])
    gammas = tf.random.stateless_gamma([2, 2], state, [alphas, alphas], dtype=tf.float64)
    return tf.cast(gammas[0] / tf.reduce_sum(gammas, axis=0), tf.float32)


def _cut(size: tf.Tensor, weight: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return 1 outside of the box that is pasted and 0 inside, (H, W), and the share outside."""
    sides = tf.cast(size, tf.float32)
    center = tf.floor(tf.cast(draws, tf.float32) * sides)
    half = tf.floor(0.5 * tf.sqrt(1 - weight) * sides)
    first = tf.maximum(center - half, 0.0)
    last = tf.minimum(center + half, sides)
    y, x = (tf.range(side) for side in tf.unstack(sides))
    rows = (y >= first[0]) & (y < last[0])
    columns = (x >= first[1]) & (x < last[1])
    cover = 1 - tf.cast(rows[:, None] & columns[None], tf.float32)
    return cover, tf.reduce_mean(cover)


def partners(count: tf.Tensor, repeats: int = 1) -> tf.Tensor:
    """Return with which image each of `count` is mixed: another than its `repeats` copies."""
    index = tf.range(count)
    other = tf.bitwise.bitwise_xor(index // repeats, 1) * repeats + index % repeats
    return tf.where(other < count, other, index)
