"""tf.data pipelines of image classification, with the preprocessing of the published weights."""

import os
from collections.abc import Callable
from pathlib import Path
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
from keras_shufflenet.data.classification_dataset import (
    ClassificationDataset,
    load_classification_dataset,
)
from keras_shufflenet.data.classification_stream import (
    check_stream,
    evaluation_stream,
    training_stream,
)
from keras_shufflenet.data.elements import is_iterable
from keras_shufflenet.data.image_files import decode_image
from keras_shufflenet.data.mixing import mix_batches
from keras_shufflenet.data.pipeline import (
    ALL,
    Shard,
    check_batch,
    load_batches,
    mapped,
    prefetched,
    read_contents,
    sample_numbers,
    shuffled,
    uniform,
)
from keras_shufflenet.data.random_crop import CROPS_AND_FLIPS, DRAWS, random_resized_crop
from keras_shufflenet.data.resizing import ResizeMethod, as_size, eval_transform
from keras_shufflenet.data.tfds_source import TFDSSource

WORKERS = max(2, os.cpu_count() or 1)  # files decoded in parallel


def classification(
    source: Any,
    image_dir: str | Path | None = None,
    *,
    resize_size: int | None = None,
    crop_size: int | Size = 224,
    resize_method: ResizeMethod = "torchvision",
    training: bool = False,
    batch_size: int = 32,
    seed: int = 0,
    start_step: int = 0,
    shard: Shard = ALL,
    augmentation: ClassificationAugmentation = CROPS_AND_FLIPS,
) -> tf.data.Dataset:
    """Build the dataset to train or evaluate a classifier.

    With `training=True` the dataset is infinite: every epoch has all images in a new order, each
    in a random crop (8 to 100 % of the area) and with random horizontal flips, or as the
    augmentation says.

    Args:
        source: From `load_classification_dataset`, or what that takes: a csv file with the columns
            `filename` and `class_index`, a folder with such a file named labels.csv, a folder with
            one subfolder of images per class, or a dataset of `data.tfds` or its name. Or images
            0..255 with their classes themselves: a `tf.data.Dataset` or any other iterable of
            pairs (image, class) or dictionaries with "image" and "label", one by one or in
            batches, of images of any size; or a function that returns one.
        image_dir: Image folder of the csv file; by default the folder `images` beside it, or if
            there is none, the one that the file is in.
        resize_size: Length of the shorter side before the center crop, in pixels; by default
            256/224 of the longer side of the crop. Not used in training.
        crop_size: Crop size (height, width), or the side of a square.
        resize_method: `"torchvision"` (Pillow's bilinear filter with antialiasing) or `"megvii"`
            (OpenCV's bilinear interpolation without). Not used in training.
        training: Whether to shuffle, augment and repeat.
        batch_size: Images per batch; without `training` the last batch may be smaller.
        seed: Seed of order and augmentation in training.
        start_step: Number of batches to skip.
        shard: (index, count) of one of several workers, which each read their part of every batch:
            `batch_size / count` images. Those of all workers one after another are the batch.
        augmentation: Augmentation in training.

    Returns:
        A dataset of images (B, height, width, 3) float32 RGB 0..255 and classes (B,) int64; where
        images are mixed in training, shares (B, classes) float32 of the classes instead. Its
        attribute `report` says what was read and left out, `class_names` are the names of the
        folders or of the dataset, and `classes` (N,) the classes of the files, -1 for none.

    Raises:
        FileNotFoundError: If `source` or an image does not exist.
        ValueError: If the csv file or an argument is invalid, or a class has no image.
        tf.errors.OpError: If an image cannot be decoded, while iterating; the message names the
            file.
    """
    transform = eval_transform(resize_size, crop_size, resize_method)
    check_batch(batch_size, start_step, shard, as_size(crop_size))
    data = source
    if is_iterable(data) and not isinstance(data, ClassificationDataset | TFDSSource):
        _check_whole(shard, image_dir)
        check_stream(data)
        size = as_size(crop_size)
        if training:
            return training_stream(
                data, size, batch_size, seed, start_step, augmentation, workers=WORKERS
            )
        return evaluation_stream(data, size, batch_size, start_step, transform, workers=WORKERS)
    if not isinstance(data, ClassificationDataset):
        data = load_classification_dataset(data, image_dir)
    numbers = sample_numbers(batch_size, start_step, shard, None if training else len(data))
    size, share = as_size(crop_size), batch_size // shard[1]
    if training:
        data.check_training()
        dataset = _training(data, size, share, seed, numbers, augmentation)
        if augmentation.mixes:
            dataset = mix_batches(dataset, augmentation, data.num_classes, seed, start_step)
        dataset = prefetched(dataset, 2)
    else:
        dataset = prefetched(_evaluation(data, size, share, numbers, transform), 1)
    dataset.report, dataset.class_names = data.report, data.class_names
    dataset.classes = data.classes
    return dataset


def _check_whole(shard: Shard, image_dir: str | Path | None) -> None:
    """Check that nothing is asked of images that only files have."""
    if tuple(shard) != ALL:
        raise ValueError(
            "`shard` must be (0, 1) for images that are no files: give each worker its own. "
            f"Received: shard={shard!r}"
        )
    if image_dir is not None:
        raise ValueError(
            "`image_dir` must not be given beside images themselves. "
            f"Received: image_dir={str(image_dir)!r}"
        )


def _evaluation(
    data: ClassificationDataset,
    size: Size,
    batch_size: int,
    numbers: tf.data.Dataset,
    transform: Callable[[Image.Image], np.ndarray],
) -> tf.data.Dataset:
    """Return the batches of the files with these numbers."""
    table = tf.constant(data.paths), tf.constant(data.classes)

    def pixels(name: bytes, contents: bytes) -> np.ndarray:
        return transform(decode_image(contents, name.decode()))

    def load(sample: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        path, index = sample
        image = tf.numpy_function(pixels, [path, read_contents(path)], tf.uint8)
        return tf.cast(tf.ensure_shape(image, (*size, 3)), tf.float32), index

    samples = mapped(numbers, lambda number: (table[0][number], table[1][number]))
    samples = samples.batch(batch_size)
    return load_batches(
        samples, load, lambda sample: sample[0], batch_size=batch_size, workers=WORKERS
    )


def _training(
    data: ClassificationDataset,
    size: Size,
    batch_size: int,
    seed: int,
    numbers: tf.data.Dataset,
    augmentation: ClassificationAugmentation,
) -> tf.data.Dataset:
    """Return the batches of random crops with these numbers."""
    table = tf.constant(data.paths), tf.constant(data.classes)

    def draw(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        row = shuffled(number // augmentation.repeats, len(data), seed)
        draws = uniform(number, DRAWS, seed), augmentation_draws(number, seed)
        return table[0][row], table[1][row], *draws

    def load(sample: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        path, index, crop, draws = sample
        image = random_resized_crop(path, read_contents(path), crop, size, augmentation)
        return augment_image(tf.ensure_shape(image, (*size, 3)), draws, augmentation), index

    batches = mapped(numbers, draw).batch(batch_size)
    return load_batches(
        batches, load, lambda sample: sample[0], batch_size=batch_size, workers=WORKERS
    )
