"""Photographs with a class each, prepared as the publishers of weights prepared theirs."""

import csv
import os
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError

from keras_shufflenet.data.failures import load_batches
from keras_shufflenet.data.pipeline import check_batch, shuffled, uniform
from keras_shufflenet.data.prefetching import prefetched
from keras_shufflenet.data.random_crops import DRAWS, random_resized_crop
from keras_shufflenet.data.resizing import ResizeMethod, preparation
from keras_shufflenet.keypoints.boxes import Size

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
LABELS_FILE = "labels.csv"
UNKNOWN = -1  # class of an image without label
WORKERS = max(2, os.cpu_count() or 1)  # files decoded at the same time


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
    """Return the batches on which classifiers are evaluated or trained.

    With `training=True` the data set never ends: every epoch shows all images in a new order, each
    in a random crop (8 to 100 % of the area), mirrored or not.

    Args:
        source: a csv with the columns `filename` and `class_index`, a folder that holds one by the
            name of labels.csv, or a folder with a folder of images for each class; classes are
            then numbered in the order of their names, which for WordNet ids is ImageNet's.
            Images in a folder without folders have the class -1: enough for calibration.
        image_dir: the folder of the csv's images; by default `image_dir` beside the csv.
        resize_size: length of the shorter side before the crop, in pixels, not used in training; by
            default 256 for a crop of 224, and others in proportion.
        crop_size: side of the square cut from the center, or its (height, width).
        resize_method: "torchvision" (Pillow's bilinear resizing with antialiasing) or "megvii"
            (OpenCV's, without); not used in training.
        training: see above.
        batch_size: images in a batch; the last one of an evaluation may be smaller.
        seed: of the order and of the crops in training.
        start_step: number of batches to leave out.

    Returns:
        A data set of images (B, crop, crop, 3) float32 RGB 0..255 and classes (B,) int64.

    Raises:
        FileNotFoundError: the labels or an image is missing.
        ValueError: the labels do not hold what they should, or an argument is out of range.
        tf.errors.OpError: while iterating, an image cannot be decoded; the message names it.
    """
    prepare = preparation(resize_size, crop_size, resize_method)
    check_batch(batch_size, start_step)
    files, classes = _read_labels(Path(source), image_dir)
    size = (crop_size, crop_size) if isinstance(crop_size, int) else (crop_size[0], crop_size[1])
    if training and classes.min() < 0:
        raise ValueError(
            "Training needs classes: a csv, or a folder with a folder for each class. "
            f"Received: {source}, images without classes"
        )
    if training:
        samples = _training(files, classes, size, batch_size, seed, start_step * batch_size)
        return prefetched(samples, 2)

    def load(file: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.numpy_function(lambda name: prepare(_open(name)), [file], tf.uint8)
        return tf.cast(tf.ensure_shape(image, (*size, 3)), tf.float32), index

    samples = tf.data.Dataset.from_tensor_slices((files, classes)).skip(start_step * batch_size)
    return prefetched(samples.map(load, num_parallel_calls=WORKERS).batch(batch_size), 1)


def _training(
    files: list[str], classes: np.ndarray, size: Size, batch_size: int, seed: int, first: int
) -> tf.data.Dataset:
    """Return the endless batches of random crops from the sample with the number `first` on."""
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


def _open(file: bytes) -> Image.Image:
    name = file.decode()
    try:
        with Image.open(name) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"The file must be a whole image ({error}). Received: {name}") from error


def _read_labels(labels: Path, images: str | Path | None) -> tuple[list[str], np.ndarray]:
    if (labels / LABELS_FILE).is_file():
        labels = labels / LABELS_FILE
    if labels.is_dir():
        return _read_folders(labels)
    if not labels.is_file():
        raise FileNotFoundError(
            f"`labels` must be a csv file or a folder of class folders. Received: {labels}"
        )
    folder = Path(images) if images is not None else labels.parent / "images"
    with labels.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    try:
        files = [str(folder / row["filename"]) for row in rows]
        classes = np.array([int(row["class_index"]) for row in rows], np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "The labels need the columns `filename` and `class_index` (a whole number) in every "
            f"row. Received: {labels} ({error!r})"
        ) from error
    return _existing(files, labels), classes


def class_folders(labels: Path) -> list[Path]:
    """The folders that stand for the classes in their order; none where a csv names the classes."""
    if not labels.is_dir() or (labels / LABELS_FILE).is_file():
        return []
    return sorted(path for path in labels.iterdir() if path.is_dir())


def _read_folders(root: Path) -> tuple[list[str], np.ndarray]:
    numbered = list(enumerate(class_folders(root))) or [(UNKNOWN, root)]
    found = [
        (str(file), index)
        for index, folder in numbered
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    files = [file for file, _ in found]
    return _existing(files, root), np.array([index for _, index in found], np.int64)


def _existing(files: list[str], labels: Path) -> list[str]:
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"Every image of {labels} must be there. Received: {len(missing)} of {len(files)} "
            f"are missing, the first is {missing[0]}"
        )
    if not files:
        raise ValueError(f"There must be at least one image. Received: {labels} without any")
    return files
