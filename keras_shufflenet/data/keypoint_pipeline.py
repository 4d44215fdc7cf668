"""tf.data pipelines of top-down pose estimation: crops with heatmaps for `fit`, or crops alone.

Every sample has a number, counted from the start of training. Its instance and its augmentation
are pure functions of the seed and this number, so that training can be resumed at any step.
"""

import os
from typing import Any, NamedTuple

import tensorflow as tf

from keras_shufflenet._checks import check_choice
from keras_shufflenet._read_report import LOGGER
from keras_shufflenet._types import Size
from keras_shufflenet.data import heatmaps
from keras_shufflenet.data.annotated_files import Folder
from keras_shufflenet.data.augmentation import (
    COCO_AUGMENTATION,
    Augmentation,
    Draws,
    as_draws,
    half_body,
    random_rotation,
    scale_bbox,
    shift_bbox,
    uniform_draws,
)
from keras_shufflenet.data.decode import View, plan_views, read_crop
from keras_shufflenet.data.geometry import (
    CenterScale,
    compose_flip,
    crop_matrix,
    flip_points,
    invert_affine,
    transform_points,
)
from keras_shufflenet.data.keypoint_dataset import KeypointDataset, load_keypoint_dataset
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
from keras_shufflenet.data.pixel_augmentation import augment_pixels
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton, SkeletonLike
from keras_shufflenet.models import model_encoding, model_skeleton

WORKERS = max(2, os.cpu_count() or 1)  # files decoded in parallel


class _Table(NamedTuple):
    """The instances as tensors with one row per person."""

    path: tf.Tensor
    image_size: tf.Tensor
    center: tf.Tensor
    scale: tf.Tensor
    keypoints: tf.Tensor
    visible: tf.Tensor


class _Sample(NamedTuple):
    """Crops to be read, for a batch or, without the leading B, for one crop."""

    path: tf.Tensor
    view: View
    keypoints: tf.Tensor
    visible: tf.Tensor


def keypoints(
    annotations: Any,
    image_dir: Folder | list[Folder] = None,
    *,
    model: Any = None,
    input_size: Size = (256, 192),
    skeleton: SkeletonLike | None = None,
    category: str | int | None = None,
    training: bool = False,
    batch_size: int = 32,
    seed: int = 0,
    start_step: int = 0,
    shard: Shard = ALL,
    codec: HeatmapCodec | None = None,
    augmentation: Augmentation = COCO_AUGMENTATION,
) -> tf.data.Dataset:
    """Build the dataset to train a pose network: (x, y, sample_weight) for `fit`.

    With `training=True` the dataset is infinite: every epoch has all instances in a new order and
    with new augmentation. Otherwise it is one pass in the order of the file without augmentation.

    Args:
        annotations: A COCO keypoint file (path or content), a dataset of `data.tfds` or its name
            ("tfds:coco_keypoints:train"), a list of them, or a `KeypointDataset`.
        image_dir: Image folder, or a list with one for each annotation file; not used with a
            `KeypointDataset` and datasets of tfds.
        model: A pose network whose input and output sizes replace `input_size`, and whose heatmaps
            have its encoding. One of gray images gets the luma of the crops.
        input_size: Input size (height, width) of the network; heatmaps are a quarter of it.
        skeleton: Keypoints of the annotation files, which may have them in another order. Defaults
            to those of `model`, else those of the category in the first file.
        category: Name or id of the category of the persons; by default the only one with
            annotations.
        training: Whether to shuffle, augment and repeat.
        batch_size: Instances per batch; without `training` the last batch may be smaller.
        seed: Seed of order and augmentation.
        start_step: Number of batches to skip, to resume training.
        shard: (index, count) of one of several workers, which each read their part of every batch:
            `batch_size / count` instances. Those of all workers one after another are the batch.
        codec: Encoding and sizes of the heatmaps; overrides `model` and `input_size`.
        augmentation: Augmentation in training.

    Returns:
        A dataset of images (B, H, W, 3) float32 RGB 0..255, heatmaps (B, h, w, K) float32 and
        target weights (B, 1, 1, K) float32, which are 0 for unlabeled keypoints. Its attribute
        `report` says how many instances were read, and which were left out.

    Raises:
        FileNotFoundError: If an annotation file or an image does not exist.
        ValueError: If an argument or an annotation file is invalid.
        tf.errors.InvalidArgumentError: If an image cannot be decoded, while iterating; the message
            names the file.
    """
    if skeleton is None and model is not None:
        skeleton = model_skeleton(model)
    dataset = _dataset(annotations, image_dir, skeleton, category)
    _check_heatmaps(model, dataset.skeleton)
    is_gray = model is not None and check_channels(model) == 1
    codec = _codec(model, codec, input_size, dataset.skeleton)
    check_batch(batch_size, start_step, shard, codec.input_size)
    table = _table(dataset, codec.input_size)
    count, share = len(dataset), batch_size // shard[1]

    def plain(index: tf.Tensor) -> _Sample:
        return _plain_samples(_rows(table, index), codec)

    def draw(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return shuffled(number, count, seed), uniform_draws(seed, number)

    def augment(index: tf.Tensor, uniform: tf.Tensor) -> _Sample:
        rows, draws = _rows(table, index), as_draws(uniform)
        return _augmented_samples(rows, draws, augmentation, dataset.skeleton, codec)

    numbers = sample_numbers(batch_size, start_step, shard, None if training else count)
    if training:
        _log_unpaired(dataset.skeleton, augmentation)
        samples = mapped(mapped(numbers, draw).batch(share), augment)
    else:
        samples = mapped(numbers.batch(share), plain)
    crops = _read_crops(samples.prefetch(1), codec.input_size, share)
    if training:
        crops = augment_pixels(
            crops,
            augmentation,
            batch_size=batch_size,
            start_step=start_step,
            shard=shard,
            seed=seed,
        )

    def encode(
        image: tf.Tensor, keypoints: tf.Tensor, visible: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image = to_gray(image) if is_gray else image
        return image, *heatmaps.encode(keypoints, visible, codec)

    encoded = prefetched(mapped(crops.prefetch(1), encode), 2)
    encoded.report = dataset.report
    return encoded


def person_instances(
    dataset: KeypointDataset, codec: HeatmapCodec, batch_size: int = 32
) -> tf.data.Dataset:
    """Build the dataset of person crops to predict keypoints from, in the order of the instances.

    Crops have the geometry of training without augmentation. JPEG files are decoded at full size
    with the accurate DCT.

    Args:
        dataset: N instances with bounding boxes, from annotations or from a detector.
        codec: Codec that defines size and geometry of the crops.
        batch_size: Instances per batch; the last batch may be smaller.

    Returns:
        A dataset of images (B, H, W, 3) float32 RGB 0..255.

    Raises:
        tf.errors.InvalidArgumentError: If an image cannot be decoded, while iterating; the message
            names the file.
    """
    table = _table(dataset, codec.input_size)
    rows = tf.data.Dataset.range(len(dataset)).batch(batch_size)
    samples = mapped(rows, lambda index: _plain_samples(_rows(table, index), codec))
    crops = _read_crops(samples, codec.input_size, batch_size)
    return prefetched(mapped(crops, lambda image, *_: image), 1)


def _read_crops(samples: tf.data.Dataset, size: Size, batch_size: int) -> tf.data.Dataset:
    """Return a dataset of crops (B, H, W, 3), keypoints (B, K, 2) and visibilities (B, K)."""

    def load(sample: _Sample) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return read_crop(sample.path, sample.view, size), sample.keypoints, sample.visible

    return load_batches(
        samples, load, lambda sample: sample.path, batch_size=batch_size, workers=WORKERS
    )


def _augmented_samples(
    rows: _Table, draws: Draws, augmentation: Augmentation, skeleton: Skeleton, codec: HeatmapCodec
) -> _Sample:
    """Shift, flip, crop to half the body, scale and rotate, in mmpose's order."""
    width = rows.image_size[:, 1]
    is_flipped = draws.flip_gate <= augmentation.flip_prob
    bbox = shift_bbox(CenterScale(rows.center, rows.scale), draws, augmentation)
    bbox = bbox._replace(center=flip_points(bbox.center, is_flipped, width))
    keypoints = flip_points(rows.keypoints, is_flipped, width)
    keypoints, visible = _swap_sides(keypoints, rows.visible, is_flipped, skeleton)
    bbox = half_body(bbox, keypoints, visible > 0, draws, augmentation, skeleton, codec.input_size)
    bbox = scale_bbox(bbox, draws, augmentation)
    matrix = crop_matrix(bbox, random_rotation(draws, augmentation), codec)
    view = plan_views(
        invert_affine(compose_flip(matrix, is_flipped, width)),
        rows.image_size,
        codec.input_size,
        dct_scaling=True,
    )
    return _Sample(rows.path, view, transform_points(keypoints, matrix), visible)


def _plain_samples(rows: _Table, codec: HeatmapCodec) -> _Sample:
    bbox, degrees = CenterScale(rows.center, rows.scale), tf.zeros_like(rows.center[:, 0])
    matrix = crop_matrix(bbox, degrees, codec)
    view = plan_views(invert_affine(matrix), rows.image_size, codec.input_size, dct_scaling=False)
    return _Sample(rows.path, view, transform_points(rows.keypoints, matrix), rows.visible)


def _log_unpaired(skeleton: Skeleton, augmentation: Augmentation) -> None:
    if augmentation.flip_prob > 0 and len(skeleton) > 1 and not skeleton.flip_pairs:
        LOGGER.warning(
            "No keypoints of left and right are known in the skeleton '%s': images are mirrored "
            "without swapping any. If there are some, name them in `flip_pairs`.",
            skeleton.name,
        )


def _swap_sides(
    keypoints: tf.Tensor, visible: tf.Tensor, is_flipped: tf.Tensor, skeleton: Skeleton
) -> tuple[tf.Tensor, tf.Tensor]:
    """Swap left and right keypoints of flipped images."""
    order = tf.constant(skeleton.flip_permutation)
    return (
        tf.where(is_flipped[:, None, None], tf.gather(keypoints, order, axis=1), keypoints),
        tf.where(is_flipped[:, None], tf.gather(visible, order, axis=1), visible),
    )


def _check_heatmaps(model: Any, skeleton: Skeleton) -> None:
    count = len(skeleton) if model is None else model.outputs[0].shape[-1]
    if count not in (len(skeleton), 3 * len(skeleton)):  # with the offsets of "udp_combined"
        raise ValueError(
            f"`model` must output a heatmap for each of the {len(skeleton)} keypoints of "
            f"{skeleton.name!r}. Received: {model.name} with {count} heatmaps"
        )


def _dataset(
    annotations: Any, image_dir: Any, skeleton: SkeletonLike | None, category: str | int | None
) -> KeypointDataset:
    if isinstance(annotations, KeypointDataset):
        return annotations
    return load_keypoint_dataset(annotations, image_dir, skeleton=skeleton, category=category)


def _codec(
    model: Any, codec: HeatmapCodec | None, input_size: Size, skeleton: Skeleton
) -> HeatmapCodec:
    """Return the given codec, or the default one of a model or an input size."""
    weights = skeletons.target_weights(skeleton)
    if codec is not None and not isinstance(codec, HeatmapCodec):
        raise ValueError(f"`codec` must be a HeatmapCodec. Received: {codec!r}")
    sizes = None if model is None else (model.inputs[0].shape[1:3], model.outputs[0].shape[1:3])
    known = sizes is not None and None not in sizes[0] + sizes[1]
    if codec is not None and known and sizes != (codec.input_size, codec.heatmap_size):
        raise ValueError(
            f"`codec` must have the sizes of {model.name}, {sizes}. "
            f"Received: {(codec.input_size, codec.heatmap_size)}"
        )
    if codec is None and sizes is not None:
        codec = HeatmapCodec(*sizes, encoding=model_encoding(model), keypoint_weights=weights)
    codec = codec or HeatmapCodec(input_size, keypoint_weights=weights)
    check_choice("codec.encoding", codec.encoding, heatmaps.ENCODINGS)
    return codec


def _table(dataset: KeypointDataset, input_size: Size) -> _Table:
    instances = dataset.instances
    center, scale = instances.center_scale(input_size)
    return _Table(
        path=tf.constant(dataset.paths.tolist()),
        image_size=tf.constant(instances.image_size, tf.float64),
        center=tf.constant(center, tf.float64),
        scale=tf.constant(scale, tf.float64),
        keypoints=tf.constant(instances.keypoints, tf.float64),
        visible=tf.constant(instances.keypoints_visible, tf.float32),
    )


def _rows(table: _Table, index: tf.Tensor) -> _Table:
    return _Table(*(tf.gather(column, index) for column in table))
