"""tf.data pipelines of people: crops with heatmaps for `fit`, crops for evaluation.

Every sample has a number, counted from the start of training. Which person it shows and how it is
varied follows from the seed and this number alone, so that training can go on from any step.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_shufflenet.data import augmentation as random_views
from keras_shufflenet.data import targets
from keras_shufflenet.data.augmentation import COCO_AUGMENTATION, Augmentation, Draws
from keras_shufflenet.data.decode import View, crop, plan
from keras_shufflenet.data.failures import load_batches
from keras_shufflenet.data.geometry import (
    Frame,
    compose_mirror,
    crop_matrix,
    invert_affine,
    mirror_x,
    transform_points,
)
from keras_shufflenet.data.pipeline import check_batch, shuffled
from keras_shufflenet.data.prefetching import prefetched
from keras_shufflenet.data.samples import KeypointDataset, load_keypoint_dataset
from keras_shufflenet.keypoints.boxes import Size
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton

WORKERS = max(2, os.cpu_count() or 1)  # files decoded at the same time
_ENDLESS = np.iinfo(np.int64).max


class _Table(NamedTuple):
    """The samples as tensors with one row per person."""

    path: tf.Tensor
    image_size: tf.Tensor
    center: tf.Tensor
    scale: tf.Tensor
    joints: tf.Tensor
    visible: tf.Tensor


class _Sample(NamedTuple):
    """A batch of people on their way to crops, or one of them."""

    path: tf.Tensor
    view: View
    joints: tf.Tensor
    visible: tf.Tensor


def keypoints(
    annotations: Any,
    image_dir: str | Path | list[str | Path] | None = None,
    *,
    model: Any = None,
    input_size: Size = (256, 192),
    skeleton: str | Skeleton = "coco",
    training: bool = False,
    batch_size: int = 32,
    seed: int = 0,
    start_step: int = 0,
    codec: HeatmapCodec | None = None,
    augmentation: Augmentation = COCO_AUGMENTATION,
) -> tf.data.Dataset:
    """Return batches for training a pose net: what `fit` takes as (x, y, sample_weight).

    With `training=True` the data set never ends: every epoch shows all people in a new order and
    in new views. Else it is one pass in the order of the file, without augmentation.

    Args:
        annotations: a COCO keypoint json or a list of them, or `KeypointDataset`.
        image_dir: the folder of the images or one for each json; not needed for `KeypointDataset`.
        model: a pose net; its input and output sizes are used instead of `input_size`.
        input_size: (height, width) of the network's input; heatmaps are a quarter of it.
        skeleton: the keypoints of the files.
        training: see above.
        batch_size: people in a batch; without `training` the last batch may be smaller.
        seed: of the order and of the views.
        start_step: number of batches to leave out, for training that goes on after an interruption.
        codec: how the heatmaps are drawn, with sizes; overrules `input_size`.
        augmentation: how training views vary.

    Returns:
        A data set of images (B, H, W, 3) float32 RGB 0..255, heatmaps (B, h, w, K) float32 and
        weights (B, 1, 1, K) float32, which are 0 for joints without a label.

    Raises:
        FileNotFoundError: a json or an image is missing.
        ValueError: an argument or a json does not hold what it should.
        tf.errors.InvalidArgumentError: while iterating, an image cannot be decoded; the message
            names the file.
    """
    samples = _samples(annotations, image_dir, skeleton)
    codec = _codec(model, codec, input_size)
    check_batch(batch_size, start_step)
    table = _table(samples, codec.input_size)
    count, first = len(samples), start_step * batch_size

    def unvaried(index: tf.Tensor) -> _Sample:
        return _plain_views(_rows(table, index), codec)

    def drawn(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return shuffled(number, count, seed), random_views.uniform_draws(seed, number)

    def varied(index: tf.Tensor, uniform: tf.Tensor) -> _Sample:
        draws, rows = random_views.as_draws(uniform), _rows(table, index)
        return _random_views(rows, draws, augmentation, samples.skeleton, codec)

    numbers = tf.data.Dataset.range(first, _ENDLESS if training else max(first, count))
    if training:
        views = numbers.map(drawn).batch(batch_size).map(varied)
    else:
        views = numbers.batch(batch_size).map(unvaried)
    crops = _load(views.prefetch(1), codec.input_size, batch_size)

    def finish(
        image: tf.Tensor, joints: tf.Tensor, visible: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return image, *targets.heatmaps(joints, visible, codec)

    return prefetched(crops.prefetch(1).map(finish), 2)


def person_instances(
    samples: KeypointDataset, codec: HeatmapCodec, batch_size: int = 32
) -> tf.data.Dataset:
    """Return what a pose net is shown to find the joints of people, in their order.

    The geometry is the one of training without its variations; JPEG files are decoded at full
    size with the exact transforms.

    Args:
        samples: N people with boxes, from annotations or from a detector.
        codec: tells the size of the crops and their geometry.
        batch_size: people in a batch; the last one may be smaller.

    Returns:
        A data set of images (B, H, W, 3), float32 RGB 0..255.

    Raises:
        tf.errors.InvalidArgumentError: while iterating, an image cannot be decoded.
    """
    table = _table(samples, codec.input_size)
    rows = tf.data.Dataset.range(len(samples)).batch(batch_size)
    views = rows.map(lambda index: _plain_views(_rows(table, index), codec))
    crops = _load(views, codec.input_size, batch_size)
    return prefetched(crops.map(lambda image, *_: image), 1)


def _load(views: tf.data.Dataset, size: Size, batch_size: int) -> tf.data.Dataset:
    """Cut out what was planned: crops (B, H, W, 3), joints (B, K, 2), visibilities (B, K)."""

    def load(sample: _Sample) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return crop(sample.path, sample.view, size), sample.joints, sample.visible

    return load_batches(
        views, load, lambda sample: sample.path, batch_size=batch_size, workers=WORKERS
    )


def _random_views(
    rows: _Table, draws: Draws, recipe: Augmentation, skeleton: Skeleton, codec: HeatmapCodec
) -> _Sample:
    """Vary how people are looked at: shift, mirror, half body, size, rotation."""
    width = rows.image_size[:, 1]
    flipped = draws.flip_gate <= recipe.flip_prob
    frame = random_views.shift(Frame(rows.center, rows.scale), draws, recipe)
    frame = frame._replace(center=mirror_x(frame.center, flipped, width))
    joints = mirror_x(rows.joints, flipped, width)
    joints, visible = _swap_sides(joints, rows.visible, flipped, skeleton)
    frame = random_views.half_body(
        frame, joints, visible > 0, draws, recipe, skeleton, codec.input_size
    )
    frame = random_views.zoom(frame, draws, recipe)
    matrix = crop_matrix(frame, random_views.rotation(draws, recipe), codec)
    view = plan(
        invert_affine(compose_mirror(matrix, flipped, width)),
        rows.image_size,
        codec.input_size,
        dct_scaling=True,
    )
    return _Sample(rows.path, view, transform_points(joints, matrix), visible)


def _plain_views(rows: _Table, codec: HeatmapCodec) -> _Sample:
    matrix = crop_matrix(Frame(rows.center, rows.scale), tf.zeros_like(rows.center[:, 0]), codec)
    view = plan(invert_affine(matrix), rows.image_size, codec.input_size, dct_scaling=False)
    return _Sample(rows.path, view, transform_points(rows.joints, matrix), rows.visible)


def _swap_sides(
    joints: tf.Tensor, visible: tf.Tensor, flipped: tf.Tensor, skeleton: Skeleton
) -> tuple[tf.Tensor, tf.Tensor]:
    """Let left and right joints of mirrored people trade places."""
    order = tf.constant(skeleton.flip_permutation)
    return (
        tf.where(flipped[:, None, None], tf.gather(joints, order, axis=1), joints),
        tf.where(flipped[:, None], tf.gather(visible, order, axis=1), visible),
    )


def _samples(annotations: Any, images: Any, skeleton: str | Skeleton) -> KeypointDataset:
    if isinstance(annotations, KeypointDataset):
        return annotations
    if images is None:
        raise ValueError(
            "`images` must be the folder of the annotations' images. Received: images=None"
        )
    return load_keypoint_dataset(annotations, images, skeleton=skeleton)


def _codec(model: Any, codec: HeatmapCodec | None, input_size: Size) -> HeatmapCodec:
    """The codec given, or the default one of a model or a size."""
    if codec is None and model is not None:
        codec = HeatmapCodec(model.inputs[0].shape[1:3], model.outputs[0].shape[1:3])
    codec = codec or HeatmapCodec(input_size)
    if codec.encoding not in targets.ENCODINGS:
        raise ValueError(
            f"The pipeline draws heatmaps of the encodings {', '.join(targets.ENCODINGS)}. "
            f"Received: encoding={codec.encoding!r}"
        )
    return codec


def _table(samples: KeypointDataset, input_size: Size) -> _Table:
    people = samples.instances
    center, scale = people.center_scale(input_size)
    return _Table(
        path=tf.constant(samples.paths.tolist()),
        image_size=tf.constant(people.image_size, tf.float64),
        center=tf.constant(center, tf.float64),
        scale=tf.constant(scale, tf.float64),
        joints=tf.constant(people.keypoints, tf.float64),
        visible=tf.constant(people.keypoints_visible, tf.float32),
    )


def _rows(table: _Table, index: tf.Tensor) -> _Table:
    return _Table(*(tf.gather(column, index) for column in table))
