"""tf.data pipelines of image classification, with the preprocessing of the published weights."""

import os
from collections.abc import Callable
from math import log
from pathlib import Path

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
from keras_shufflenet.data.decode import Window, decode_jpeg, decode_other, is_plain
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
from keras_shufflenet.data.resizing import ResizeMethod, as_size, eval_transform
from keras_shufflenet.data.tfds_source import TFDSSource

WORKERS = max(2, os.cpu_count() or 1)  # files decoded in parallel

CROPS_AND_FLIPS = ClassificationAugmentation()
RATIO_RANGE = (3 / 4, 4 / 3)  # of RandomResizedCrop of torchvision
_TRIALS = 10
DRAWS = 4 * _TRIALS + 1  # random numbers of a crop


def classification(
    source: str | Path | TFDSSource | ClassificationDataset,
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
            one subfolder of images per class, or a dataset of `data.tfds` or its name.
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


def random_resized_crop(
    name: tf.Tensor,
    contents: tf.Tensor,
    draws: tf.Tensor,
    size: Size,
    augmentation: ClassificationAugmentation = CROPS_AND_FLIPS,
) -> tf.Tensor:
    """Crop a random box of an image, resize it with antialiasing, and flip half of the images.

    torchvision's RandomResizedCrop and RandomHorizontalFlip.

    Args:
        name: Name of the image file, for messages.
        contents: The bytes of the file, see `image_files`.
        draws: (`DRAWS`,) random numbers in [0, 1).
        size: Crop size (height, width).
        augmentation: Range of the area and probability of the flip.

    Returns:
        (height, width, 3) float32 RGB 0..255.
    """
    numbers, area = tf.reshape(draws[1:], [4, _TRIALS]), augmentation.area

    def crop_jpeg() -> tf.Tensor:
        size = tf.io.extract_jpeg_shape(contents)[:2]
        return decode_jpeg(contents, Window(random_box(size, numbers, area), tf.constant(0), size))

    def crop_other() -> tf.Tensor:
        image = decode_other(name, contents, tf.zeros(2, tf.int32))
        box = random_box(tf.shape(image)[:2], numbers, area)
        top, left, height, width = tf.unstack(box)
        return image[top : top + height, left : left + width]

    crop = tf.cond(is_plain(contents), crop_jpeg, crop_other)
    # Of bytes with three channels and by this operator, a flip takes a tenth of its time.
    is_flipped = draws[0] < augmentation.flip_prob
    crop = tf.cond(is_flipped, lambda: tf.reverse(crop, [1]), lambda: crop)
    return tf.cond(  # where the crop is enlarged, antialiasing changes nothing but the time
        tf.reduce_all(tf.shape(crop)[:2] <= size),
        lambda: tf.image.resize(crop, size, "bilinear"),
        lambda: tf.image.resize(crop, size, "bilinear", antialias=True),
    )


def random_box(
    image_size: tf.Tensor,
    draws: tf.Tensor,
    area_range: tuple[float, float] = CROPS_AND_FLIPS.area,
) -> tf.Tensor:
    """Return a box of random area and aspect ratio: the first of ten that fits the image.

    Args:
        image_size: (2,) int32 height and width.
        draws: (4, 10) random numbers in [0, 1) for area, aspect ratio, top and left.
        area_range: Smallest and largest area as fractions of the image.

    Returns:
        (4,) int32 top, left, height and width; if none fits, the largest center box whose aspect
        ratio is in `RATIO_RANGE`.
    """
    image = tf.cast(image_size, draws.dtype)
    area = tf.reduce_prod(image) * (area_range[0] + (area_range[1] - area_range[0]) * draws[0])
    ratio = tf.exp(log(RATIO_RANGE[0]) + (log(RATIO_RANGE[1]) - log(RATIO_RANGE[0])) * draws[1])
    size = tf.round(tf.sqrt(tf.stack([area / ratio, area * ratio], axis=-1)))
    corner = tf.floor(tf.transpose(draws[2:]) * (image - size + 1))
    fits = tf.reduce_all((size > 0) & (size <= image), axis=-1)
    boxes = tf.concat([corner, size], axis=-1)
    box = tf.where(tf.reduce_any(fits), boxes[tf.argmax(fits)], _center_box(image))
    return tf.cast(box, tf.int32)


def _center_box(image: tf.Tensor) -> tf.Tensor:
    height, width = image[0], image[1]
    size = tf.minimum(image, tf.round(tf.stack([width / RATIO_RANGE[0], height * RATIO_RANGE[1]])))
    return tf.concat([tf.floor((image - size) / 2), size], axis=0)
