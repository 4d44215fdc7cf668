"""tf.data pipelines of object detection: images in the input of a detector, with their boxes.

Every sample has a number, counted from the start of training. Its image and its augmentation are
pure functions of the seed and this number, so that training can be resumed at any step.
"""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_shufflenet._checks import check_bool, check_names, check_size
from keras_shufflenet._read_report import LOGGER
from keras_shufflenet._types import Size
from keras_shufflenet.data.annotated_files import Folder
from keras_shufflenet.data.decode import View, plan_views, read_crop
from keras_shufflenet.data.detection_augmentation import (
    NANODET_AUGMENTATION,
    NANODET_PLUS_AUGMENTATION,
    DetectionAugmentation,
    as_draws,
    jitter_colors,
    transform_boxes,
    uniform_draws,
    view_matrix,
)
from keras_shufflenet.data.detection_dataset import (
    DetectionDataset,
    load_detection_dataset,
)
from keras_shufflenet.data.geometry import compose, compose_flip, invert_affine
from keras_shufflenet.data.pipeline import (
    ALL,
    Shard,
    check_batch,
    check_channels,
    load_batches,
    mapped,
    prefetched,
    sample_numbers,
    shuffled,
    to_gray,
)
from keras_shufflenet.detection import coco_classes
from keras_shufflenet.detection.fitting import fit_matrix
from keras_shufflenet.detection.priors import Design, find_design
from keras_shufflenet.models import class_names as names_of_model

DEFAULT_SIZE = (320, 320)
WORKERS = max(2, os.cpu_count() or 1)  # files decoded in parallel
_NAMED = 5  # classes that a message names


class _Table(NamedTuple):
    """The images as tensors with one row per image."""

    path: tf.Tensor
    image_size: tf.Tensor  # (N, 2) float64
    matrix: tf.Tensor  # (N, 2, 3) float64, from image to input
    boxes: tf.RaggedTensor  # (N, n, 4) float64
    labels: tf.RaggedTensor  # (N, n) int32


class _Rows(NamedTuple):
    """Rows of the table, B images with M boxes."""

    path: tf.Tensor
    image_size: tf.Tensor
    matrix: tf.Tensor
    boxes: tf.Tensor  # (B, M, 4)
    labels: tf.Tensor  # (B, M), -1 for padding


class _Sample(NamedTuple):
    """Images to be read, for a batch or, without the leading B, for one image."""

    path: tf.Tensor
    view: View
    uniform: tf.Tensor
    boxes: tf.Tensor
    labels: tf.Tensor


class _Input(NamedTuple):
    """What a detector takes."""

    size: Size
    keep_ratio: bool
    is_gray: bool


def detection(
    annotations: Any,
    image_dir: Folder | list[Folder] = None,
    *,
    model: Any = None,
    input_size: Size | None = None,
    keep_ratio: bool | None = None,
    class_names: Sequence[str] | None = None,
    training: bool = False,
    batch_size: int = 32,
    seed: int = 0,
    start_step: int = 0,
    shard: Shard = ALL,
    augmentation: DetectionAugmentation | None = None,
    filter_empty_images: bool = False,
) -> tf.data.Dataset:
    """Build the dataset to train a detector: images with boxes.

    With `training=True` the dataset is infinite: every epoch has all images in a new order and
    with new augmentation. Otherwise it is one pass in the order of the file without augmentation,
    and the pixels are those of `detection.fit_image`, as in prediction.

    Args:
        annotations: A COCO json with boxes (path, content or a `detection.COCOBoxes`), a dataset of
            `data.tfds` or its name ("tfds:coco/2017:train"), a list of them, or a
            `DetectionDataset`.
        image_dir: Image folder, or a list with one for each annotation file; not used with a
            `DetectionDataset` and datasets of tfds.
        model: A detector, which gives the defaults of the next three. One of gray images gets the
            luma.
        input_size: (height, width) of the input in pixels; by default the model's, else 320 × 320.
        keep_ratio: Whether images keep their aspect ratio, with black bars, or are stretched; by
            default as the model's design has it, else False.
        class_names: Names of the classes; by default the model's, else the 80 of COCO.
        training: Whether to shuffle, augment and repeat.
        batch_size: Images per batch; without `training` the last batch may be smaller.
        seed: Seed of order and augmentation.
        start_step: Number of batches to skip, to resume training.
        shard: (index, count) of one of several workers, which each read their part of every batch:
            `batch_size / count` images. Those of all workers one after another are the batch.
        augmentation: Augmentation in training; by default NanoDet's with `keep_ratio`, else that
            of NanoDet-Plus.
        filter_empty_images: Whether images without a box are left out.

    Returns:
        A dataset of images (B, H, W, 3) float32 RGB 0..255, in training beyond it where colors are
        augmented, and a dict of "boxes" (B, M, 4) float32, left, top, right and bottom in pixels of
        the input, and "labels" (B, M) int32, indices of the classes. M is the largest number of
        boxes in an image of the dataset; those of the others are followed by boxes of 0 with the
        label -1. Its attribute `report` says how many boxes were read, and which were left out.

    Raises:
        FileNotFoundError: If an annotation file or an image does not exist.
        ValueError: If an argument or an annotation file is invalid.
        tf.errors.InvalidArgumentError: If an image cannot be decoded, while iterating; the message
            names the file.
    """
    wanted = _input(model, input_size, keep_ratio)
    names = _class_names(model, class_names, wanted.size)
    check_batch(batch_size, start_step, shard, wanted.size)
    dataset = _dataset(annotations, image_dir, names, filter_empty_images)
    if augmentation is None:
        augmentation = NANODET_AUGMENTATION if wanted.keep_ratio else NANODET_PLUS_AUGMENTATION
    table, most = _table(dataset, wanted), max(1, *map(len, dataset.labels))
    count, share = len(dataset), batch_size // shard[1]

    def draw(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return shuffled(number, count, seed), uniform_draws(seed, number)

    def augment(index: tf.Tensor, uniform: tf.Tensor) -> _Sample:
        return _augmented_samples(_rows(table, index, most), uniform, augmentation, wanted)

    def plain(index: tf.Tensor) -> _Sample:
        return _plain_samples(_rows(table, index, most), wanted)

    numbers = sample_numbers(batch_size, start_step, shard, None if training else count)
    if training:
        _log_unseen(dataset)
        samples = mapped(mapped(numbers, draw).batch(share), augment)
    else:
        samples = mapped(numbers.batch(share), plain)

    def load(sample: _Sample) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        image = read_crop(sample.path, sample.view, wanted.size, quantize=True)
        if training:
            image = jitter_colors(image, as_draws(sample.uniform), augmentation)
        image = to_gray(image) if wanted.is_gray else image
        return image, {"boxes": sample.boxes, "labels": sample.labels}

    batches = load_batches(
        samples.prefetch(1),
        load,
        lambda sample: sample.path,
        batch_size=share,
        workers=WORKERS,
    )
    encoded = prefetched(batches, 2)
    encoded.report = dataset.report
    return encoded


def _augmented_samples(
    rows: _Rows, uniform: tf.Tensor, augmentation: DetectionAugmentation, wanted: _Input
) -> _Sample:
    """Flip images, scale, stretch and shift them around their centers, and fit them to the input.

    Pixels are mirrored about the center of the image and boxes about its middle line, so that a
    box has the same place on a mirrored object: x becomes width - 1 - x of pixels, whose centers
    are integers, and width - x of boxes, whose left side is that of a pixel.
    """
    draws, width = as_draws(uniform), rows.image_size[:, 1]
    is_flipped = draws.flip_gate < augmentation.flip_prob
    matrix = compose(rows.matrix, view_matrix(draws, augmentation, rows.image_size))
    boxes, labels = transform_boxes(
        rows.boxes,
        rows.labels,
        compose_flip(matrix, is_flipped, width + 1),
        wanted.size,
        augmentation.min_box_size,
    )
    view = _views(rows, compose_flip(matrix, is_flipped, width), wanted)
    return _Sample(rows.path, view, uniform, boxes, labels)


def _plain_samples(rows: _Rows, wanted: _Input) -> _Sample:
    boxes, labels = transform_boxes(rows.boxes, rows.labels, rows.matrix, wanted.size, min_size=0)
    view = _views(rows, rows.matrix, wanted)
    return _Sample(rows.path, view, tf.zeros_like(labels), boxes, labels)


def _views(rows: _Rows, matrix: tf.Tensor, wanted: _Input) -> View:
    """Find the windows to be read; they are not decoded at a smaller scale, as in prediction."""
    return plan_views(invert_affine(matrix), rows.image_size, wanted.size, dct_scaling=False)


def _input(model: Any, input_size: Size | None, keep_ratio: bool | None) -> _Input:
    """Return what is given, or what a model takes."""
    size = DEFAULT_SIZE
    if input_size is not None:
        size = check_size("input_size", input_size)
    elif model is not None:
        size = model.inputs[0].shape[1:3]
        if None in size:
            raise ValueError(
                "`input_size` must be (height, width) for a model with a variable input size. "
                f"Received: input_size=None, {model.name} of {size}"
            )
    if keep_ratio is not None:
        check_bool("keep_ratio", keep_ratio)
    elif model is not None:
        keep_ratio = _design(model, (size[0], size[1])).keep_ratio
    is_gray = model is not None and check_channels(model) == 1
    return _Input((size[0], size[1]), bool(keep_ratio), is_gray)


def _design(model: Any, size: Size) -> Design:
    shape = model.compute_output_shape((1, *size, model.inputs[0].shape[-1]))
    return find_design(shape[1], size)


def _class_names(
    model: Any, class_names: Sequence[str] | None, size: Size
) -> tuple[str, ...] | None:
    """Return the given names or those of a model; None if there is neither."""
    names = None
    if class_names is not None:
        names = check_names("class_names", class_names, "a list of names")
    if model is None:
        return names
    count = _design(model, size).count_classes(model.outputs[0].shape[-1])
    if names is not None and len(names) != count:
        raise ValueError(
            f"`class_names` must be the {count} classes of {model.name}. "
            f"Received: {len(names)} names"
        )
    return names or coco_classes.class_names(names_of_model(model), count)


def _dataset(
    annotations: Any, image_dir: Any, names: tuple[str, ...] | None, filter_empty_images: bool
) -> DetectionDataset:
    if not isinstance(annotations, DetectionDataset):
        return load_detection_dataset(
            annotations, image_dir, class_names=names, filter_empty_images=filter_empty_images
        )
    if names is not None and names != annotations.class_names:
        raise ValueError(
            "A `DetectionDataset` must have been read with the classes of the detector, "
            f"{_listed(names)}. Received: {_listed(annotations.class_names)}"
        )
    return annotations


def _table(dataset: DetectionDataset, wanted: _Input) -> _Table:
    sizes, index = np.unique(dataset.image_sizes, axis=0, return_inverse=True)
    matrices = [
        fit_matrix((height, width), wanted.size, wanted.keep_ratio) for height, width in sizes
    ]
    counts = [len(labels) for labels in dataset.labels]
    return _Table(
        path=tf.constant(dataset.paths.tolist()),
        image_size=tf.constant(dataset.image_sizes, tf.float64),
        matrix=tf.constant(np.stack(matrices)[index]),
        boxes=tf.RaggedTensor.from_row_lengths(np.concatenate(dataset.boxes), counts),
        labels=tf.RaggedTensor.from_row_lengths(
            np.concatenate(dataset.labels).astype(np.int32), counts
        ),
    )


def _rows(table: _Table, index: tf.Tensor, most: int) -> _Rows:
    """Return rows of the table, with padding to `most` boxes of each image."""
    return _Rows(
        tf.gather(table.path, index),
        tf.gather(table.image_size, index),
        tf.gather(table.matrix, index),
        tf.gather(table.boxes, index).to_tensor(shape=(None, most, 4)),
        tf.gather(table.labels, index).to_tensor(-1, shape=(None, most)),
    )


def _log_unseen(dataset: DetectionDataset) -> None:
    """Warn of classes without a box: the network would learn that there is no such object."""
    seen = set(np.concatenate(dataset.labels).tolist())
    unseen = [name for label, name in enumerate(dataset.class_names) if label not in seen]
    if unseen:
        LOGGER.warning(
            "%s: %d of the %d classes have no box, and images of their objects count as images "
            "without them: %s",
            *(dataset.report.source, len(unseen), len(dataset.class_names)),
            _listed(unseen),
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
