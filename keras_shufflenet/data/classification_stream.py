"""Classification from a `tf.data.Dataset` or any iterable of images with classes.

Their order is that of the source. In training they pass a shuffle buffer, so that unlike those of
files the order depends on it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_shufflenet._types import Size
from keras_shufflenet.data.classification_augmentation import (
    ClassificationAugmentation,
    augment_image,
    augmentation_draws,
)
from keras_shufflenet.data.elements import image_dataset, iter_once, labeled_elements
from keras_shufflenet.data.pipeline import mapped, prefetched, uniform
from keras_shufflenet.data.random_crop import DRAWS, random_crop_of_image

SHUFFLED = 1024  # images in the buffer

Transform = Callable[[Image.Image], np.ndarray]


def check_stream(source: Any) -> None:
    """Check the first image of a source, unless it can be read only once.

    Raises:
        ValueError: If it has none, or yields something else than images with classes, or is a
            function that returns the same iterator again.
    """
    if iter_once(source):
        return
    if callable(source) and not hasattr(source, "__iter__"):
        made = source()
        if iter_once(made) and made is source():
            raise ValueError(
                "`source` must be a function that makes a new iterator whenever it is called. "
                f"Received: a function that returns the same {type(made).__name__}"
            )
    if next(labeled_elements(source), None) is None:
        raise ValueError("`source` must have at least one image. Received: none")


def evaluation_stream(
    source: Any, size: Size, batch_size: int, start_step: int, transform: Transform, workers: int
) -> tf.data.Dataset:
    """Return the batches of all images, resized and cropped as files are.

    Args:
        source: As for `elements.labeled_elements`.
        size: (height, width) of the crops.
        batch_size: Images per batch; the last batch may be smaller.
        start_step: Number of batches to skip.
        transform: Function from an image to its crop.
        workers: Number of images that are resized in parallel.
    """

    def load(image: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        crop = tf.numpy_function(lambda a: transform(Image.fromarray(a)), [image], tf.uint8)
        return tf.cast(tf.ensure_shape(crop, (*size, 3)), tf.float32), index

    images = mapped(image_dataset(source), load, workers)
    return prefetched(images.batch(batch_size).skip(start_step), 1)


def training_stream(
    source: Any,
    size: Size,
    batch_size: int,
    seed: int,
    start_step: int,
    augmentation: ClassificationAugmentation,
    workers: int,
) -> tf.data.Dataset:
    """Return batches of random crops without end.

    Args:
        source: As for `elements.labeled_elements`; it is read anew in every epoch.
        size: (height, width) of the crops.
        batch_size: Images per batch.
        seed: Seed of order and augmentation.
        start_step: Number of batches to skip, which are read nevertheless.
        augmentation: Augmentation of single images.
        workers: Number of images that are cropped in parallel.

    Raises:
        ValueError: If the source can be read only once, or the augmentation mixes images.
    """
    if iter_once(source):
        raise ValueError(
            "`source` must be iterable again and again for training: pass the function that makes "
            f"the generator. Received: a {type(source).__name__}"
        )
    if augmentation.mixes or augmentation.repeats > 1:
        raise ValueError(
            "`augmentation` must neither mix nor repeat images of a stream, whose number of "
            f"classes is unknown. Received: augmentation={augmentation!r}"
        )

    def load(number: tf.Tensor, sample: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        image, index = sample
        crop = random_crop_of_image(image, uniform(number, DRAWS, seed), size, augmentation)
        draws = augmentation_draws(number, seed)
        return augment_image(tf.ensure_shape(crop, (*size, 3)), draws, augmentation), index

    images = image_dataset(source).shuffle(SHUFFLED, seed).repeat().enumerate()
    images = images.skip(start_step * batch_size)
    return prefetched(mapped(images, load, workers).batch(batch_size), 2)
