"""tf.data pipelines of image classification, with the preprocessing of the published weights."""

import csv
import os
from math import log
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from keras_shufflenet._files import IMAGE_SUFFIXES
from keras_shufflenet._types import Size
from keras_shufflenet.data.decode import Window, decode
from keras_shufflenet.data.pipeline import (
    check_batch,
    load_batches,
    prefetched,
    shuffled,
    uniform,
)
from keras_shufflenet.data.resizing import ResizeMethod, as_size, eval_transform

LABELS_FILE = "labels.csv"
UNKNOWN = -1  # class of an image without a label
WORKERS = max(2, os.cpu_count() or 1)  # files decoded in parallel

# RandomResizedCrop of torchvision
AREA_RANGE = (0.08, 1.0)
RATIO_RANGE = (3 / 4, 4 / 3)
_TRIALS = 10
DRAWS = 4 * _TRIALS + 1  # random numbers of a crop


def classification(
    source: str | Path,
    image_dir: str | Path | None = None,
    *,
    resize_size: int | None = None,
    crop_size: int | Size = 224,
    resize_method: ResizeMethod = "torchvision",
    training: bool = False,
    batch_size: int = 32,
    seed: int = 0,
    start_step: int = 0,
) -> tf.data.Dataset:
    """Build the dataset to train or evaluate a classifier.

    With `training=True` the dataset is infinite: every epoch has all images in a new order, each
    in a random crop (8 to 100 % of the area) and with random horizontal flips.

    Args:
        source: A csv file with the columns `filename` and `class_index`, a folder with such a file
            named labels.csv, or a folder with one subfolder of images per class. Subfolders are
            numbered in the order of their names, which for WordNet ids is the order of ImageNet.
            Images in a folder without subfolders have the class -1 and serve for calibration only.
        image_dir: Image folder of the csv file; by default the folder `images` beside it.
        resize_size: Length of the shorter side before the center crop, in pixels; by default
            256/224 of the longer side of the crop. Not used in training.
        crop_size: Crop size (height, width), or the side of a square.
        resize_method: `"torchvision"` (Pillow's bilinear filter with antialiasing) or `"megvii"`
            (OpenCV's bilinear interpolation without). Not used in training.
        training: Whether to shuffle, augment and repeat.
        batch_size: Images per batch; without `training` the last batch may be smaller.
        seed: Seed of order and crops in training.
        start_step: Number of batches to skip.

    Returns:
        A dataset of images (B, height, width, 3) float32 RGB 0..255 and classes (B,) int64.

    Raises:
        FileNotFoundError: If `source` or an image does not exist.
        ValueError: If the csv file or an argument is invalid.
        tf.errors.OpError: If an image cannot be decoded, while iterating; the message names the
            file.
    """
    transform = eval_transform(resize_size, crop_size, resize_method)
    check_batch(batch_size, start_step)
    files, classes = _read_labels(Path(source), image_dir)
    size = as_size(crop_size)
    if training and classes.min() < 0:
        raise ValueError(
            "`source` must be a csv file or a folder with one subfolder per class for training. "
            f"Received: source={str(source)!r}, images without classes"
        )
    if training:
        samples = _training(files, classes, size, batch_size, seed, start_step * batch_size)
        return prefetched(samples, 2)

    def load(file: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.numpy_function(lambda name: transform(_open(name)), [file], tf.uint8)
        return tf.cast(tf.ensure_shape(image, (*size, 3)), tf.float32), index

    samples = tf.data.Dataset.from_tensor_slices((files, classes)).skip(start_step * batch_size)
    return prefetched(samples.map(load, num_parallel_calls=WORKERS).batch(batch_size), 1)


def _training(
    files: list[str], classes: np.ndarray, size: Size, batch_size: int, seed: int, first: int
) -> tf.data.Dataset:
    """Return an infinite dataset of batches of random crops that starts at sample `first`."""
    table = tf.constant(files), tf.constant(classes)

    def draw(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        row = shuffled(number, len(files), seed)
        return table[0][row], table[1][row], uniform(number, DRAWS, seed)

    def load(sample: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        path, index, draws = sample
        return tf.ensure_shape(random_resized_crop(path, draws, size), (*size, 3)), index

    numbers = tf.data.Dataset.range(first, np.iinfo(np.int64).max)
    batches = numbers.map(draw).batch(batch_size)
    return load_batches(
        batches, load, lambda sample: sample[0], batch_size=batch_size, workers=WORKERS
    )


def random_resized_crop(path: tf.Tensor, draws: tf.Tensor, size: Size) -> tf.Tensor:
    """Crop a random box of an image, resize it with antialiasing, and flip half of the images.

    torchvision's RandomResizedCrop and RandomHorizontalFlip.

    Args:
        path: Path of a JPEG, PNG, GIF or BMP file.
        draws: (`DRAWS`,) random numbers in [0, 1).
        size: Crop size (height, width).

    Returns:
        (height, width, 3) float32 RGB 0..255.
    """
    contents = tf.io.read_file(path)
    image_size = _image_size(contents)
    box = random_box(image_size, tf.reshape(draws[1:], [4, _TRIALS]))
    image = decode(contents, Window(box, tf.constant(0), image_size))
    image = tf.image.resize(image, size, "bilinear", antialias=True)
    return tf.cond(draws[0] < 0.5, lambda: image[:, ::-1], lambda: image)


def random_box(image_size: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Return a box of random area and aspect ratio: the first of ten that fits the image.

    Args:
        image_size: (2,) int32 height and width.
        draws: (4, 10) random numbers in [0, 1) for area, aspect ratio, top and left.

    Returns:
        (4,) int32 top, left, height and width; if none fits, the largest center box whose aspect
        ratio is in `RATIO_RANGE`.
    """
    image = tf.cast(image_size, draws.dtype)
    area = tf.reduce_prod(image) * (AREA_RANGE[0] + (AREA_RANGE[1] - AREA_RANGE[0]) * draws[0])
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


def _image_size(contents: tf.Tensor) -> tf.Tensor:
    return tf.cond(
        tf.io.is_jpeg(contents),
        lambda: tf.io.extract_jpeg_shape(contents)[:2],
        lambda: tf.shape(tf.io.decode_image(contents, expand_animations=False))[:2],
    )


def _open(file: bytes) -> Image.Image:
    name = file.decode()
    try:
        with Image.open(name) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(
            f"An image must be a complete image file ({error}). Received: {name}"
        ) from error


def _read_labels(source: Path, image_dir: str | Path | None) -> tuple[list[str], np.ndarray]:
    if (source / LABELS_FILE).is_file():
        source = source / LABELS_FILE
    if source.is_dir():
        return _read_folders(source)
    if not source.is_file():
        raise FileNotFoundError(
            "`source` must be an existing csv file, or a folder of images or of class folders. "
            f"Received: {source}"
        )
    folder = Path(image_dir) if image_dir is not None else source.parent / "images"
    with source.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    try:
        files = [str(folder / row["filename"]) for row in rows]
        classes = np.array([int(row["class_index"]) for row in rows], np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "Every row of a csv file must have the columns `filename` and `class_index` (an "
            f"integer). Received: {source} ({error!r})"
        ) from error
    return _check_files(files, source), classes


def class_folders(source: Path) -> list[Path]:
    """Return the class folders in the order of the classes; none if a csv file lists the images."""
    if not source.is_dir() or (source / LABELS_FILE).is_file():
        return []
    return sorted(path for path in source.iterdir() if path.is_dir())


def _read_folders(root: Path) -> tuple[list[str], np.ndarray]:
    numbered = list(enumerate(class_folders(root))) or [(UNKNOWN, root)]
    found = [
        (str(file), index)
        for index, folder in numbered
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    files = [file for file, _ in found]
    return _check_files(files, root), np.array([index for _, index in found], np.int64)


def _check_files(files: list[str], source: Path) -> list[str]:
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"Every image of {source} must exist. Received: {len(missing)} of {len(files)} are "
            f"missing, first {missing[0]}"
        )
    if not files:
        raise ValueError(
            f"`source` must contain at least one image. Received: {source} without images"
        )
    return files
