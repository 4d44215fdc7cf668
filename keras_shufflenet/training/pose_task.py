"""Training of pose estimators on instances with annotated keypoints."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack

import keras

from keras_shufflenet import data, metrics
from keras_shufflenet.data.fingerprint import fingerprint
from keras_shufflenet.data.pipeline import ALL, Shard
from keras_shufflenet.data.records import absolute_path
from keras_shufflenet.data.tfds_source import opened
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.coco_file import COCOFile
from keras_shufflenet.keypoints.codec import DEFAULT_ENCODING, HeatmapCodec
from keras_shufflenet.keypoints.mpii import check_order, is_mpii_json, load_truth
from keras_shufflenet.keypoints.skeletons import Skeleton, SkeletonLike
from keras_shufflenet.models import model_encoding, model_skeleton
from keras_shufflenet.training.batch_norm import restore_statistics
from keras_shufflenet.training.distillation import Teacher, with_teacher
from keras_shufflenet.training.losses import HeatmapPCK, KeypointMSELoss
from keras_shufflenet.training.pose_pictures import draw_validation
from keras_shufflenet.training.recipes import Recipe
from keras_shufflenet.training.trainer import Task, TrainingOptions, train
from keras_shufflenet.training.training_copy import training_copy

# Annotations and the folder of the images, which datasets of tfds do not have.
Source = tuple[str | Path | COCOFile | data.TFDSSource, str | Path | None]

PICTURE = "validation.jpg"
STATISTICS_INSTANCES = 256  # whose crops re-estimate the statistics of folded batch normalizations


class PoseTask(Task):
    """Training of a pose estimator on instances with annotated keypoints.

    Args:
        model: From `PoseEstimator`.
        train_data: Pairs of a COCO keypoint json (path or `keypoints.COCOFile`) or an MPII json as
            mmpose has it, and the folder of its images.
        recipe: The recipe.
        val_data: The pair on which AP is computed, with annotated boxes and flip test.
        val_ground_truth: `mpii_gt_val.mat` of `val_data` in MPII's format, for PCKh.
        skeleton: The keypoints. Defaults to those that the model was built with.
        category: Name or id of the category of the persons; by default the only one with
            annotations.
        teacher: A trained pose estimator whose heatmaps are mixed into the targets.
        seed: Seed of the order of the instances and of their augmentation.

    Raises:
        FileNotFoundError: If an annotation file or an image is missing.
        ValueError: If there is no training data, it or the teacher has other keypoints than the
            model, or the recipe has CutMix without a teacher.
    """

    best_metric = "AP"
    curves: Sequence[Sequence[str]] = (("pck",), ("AP", "AP .5", "AR"))

    def __init__(
        self,
        model: keras.Model,
        train_data: Sequence[Source],
        recipe: Recipe,
        *,
        val_data: Source | None = None,
        val_ground_truth: str | Path | None = None,
        skeleton: SkeletonLike | None = None,
        category: str | int | None = None,
        teacher: Teacher | None = None,
        seed: int = 0,
    ) -> None:
        if not train_data:
            raise ValueError(
                "`train_data` must hold a pair of a json and a folder of images. "
                f"Received: train_data={train_data!r}"
            )
        if recipe.augmentation.cutmix_prob and teacher is None:
            raise ValueError(
                "`cutmix_prob` of the augmentation must be 0 without a `teacher`, who alone knows "
                f"the keypoints of mixed crops. Received: {recipe.augmentation.cutmix_prob}"
            )
        self._skeleton = _skeleton(model, skeleton)
        annotations, image_dirs = zip(*train_data, strict=True)
        self._dataset = data.load_keypoint_dataset(
            list(annotations), list(image_dirs), skeleton=self._skeleton, category=category
        )
        self._validation = _open_validation(val_data, val_ground_truth, self._skeleton, category)
        if isinstance(self._validation, _PCKh):
            self.best_metric, self.curves = "PCKh", (("pck",), ("PCKh", "PCKh@0.1"))
        self._recipe = recipe
        self._codec = _codec(model, recipe, self._skeleton)
        self._category = category
        self._teacher = teacher
        self._seed = seed
        self.model = model
        self.epochs = recipe.epochs
        self.steps_per_epoch = self._dataset.steps_per_epoch(recipe.batch_size)

    def description(self) -> dict[str, Any]:
        """Return recipe, number of instances, seed, and what is not the default."""
        is_published = skeletons.is_published(self._skeleton)
        encoding = self._codec.encoding
        return {
            "recipe": asdict(self._recipe),
            "instances": len(self._dataset),
            "data": fingerprint(self._dataset),
            "seed": self._seed,
            **({} if is_published else {"keypoints": list(self._skeleton.keypoint_names)}),
            **({} if encoding == DEFAULT_ENCODING else {"encoding": encoding}),
            **({} if self._category is None else {"category": str(self._category)}),
            **({} if self._teacher is None else {"teacher": self._teacher.description()}),
        }

    def prepare(self) -> None:
        """Re-estimate the statistics of batch normalizations that were folded."""
        few = self._dataset.select(slice(STATISTICS_INSTANCES))
        restore_statistics(self.model, data.person_instances(few, self._codec))

    def data(self, start_step: int, shard: Shard = ALL) -> Any:
        """Return crops, heatmaps and weights."""
        dataset = data.keypoints(
            self._dataset,
            training=True,
            batch_size=self._recipe.batch_size,
            seed=self._seed,
            start_step=start_step,
            shard=shard,
            codec=self._codec,
            augmentation=self._recipe.augmentation,
        )
        if self._teacher is None:
            return dataset
        return with_teacher(dataset, self._teacher, self._skeleton.keypoint_names, self._codec)

    def training_model(self) -> keras.Model:
        """Return a copy whose statistics follow the averages of the weights, if there are any."""
        momentum = self._recipe.averaging(self.epochs * self.steps_per_epoch)
        return training_copy(self.model, min_momentum=momentum or 0.0)

    def compile(self, model: keras.Model) -> None:
        """Compile with the recipe's optimizer."""
        compile_pose_model(model, self._recipe, self.steps_per_epoch)

    def validate(self, model: keras.Model) -> Mapping[str, float] | None:
        """Return the ten COCO metrics, or MPII's PCKh of all parts of the body."""
        return None if self._validation is None else self._validation.compute(model)

    def report(self, model: keras.Model, directory: Path) -> None:
        """Draw the heatmaps and skeletons of some persons of the validation."""
        if self._validation is not None:
            draw_validation(model, self._validation.dataset, directory / PICTURE)


def train_pose(
    model: keras.Model,
    train_data: Sequence[Source],
    output_dir: str | Path,
    recipe: Recipe,
    *,
    val_data: Source | None = None,
    val_ground_truth: str | Path | None = None,
    skeleton: SkeletonLike | None = None,
    category: str | int | None = None,
    teacher: Teacher | None = None,
    seed: int = 0,
    **options: Unpack[TrainingOptions],
) -> list[dict[str, float]]:
    """Train a pose estimator on instances with annotated keypoints.

    The folder receives ``model.keras`` (at the end), ``best.keras`` (highest AP), ``log.csv`` (a
    row per epoch), ``tensorboard/`` if tensorboard is installed, and checkpoints. A training that
    was killed at any moment is resumed from its last checkpoint by the same call, and ends as if it
    had not been interrupted.

    Args:
        model: From `PoseEstimator`. It receives the weights at the end and stays uncompiled, so
            that it is saved without compile state.
        train_data: Pairs of a COCO keypoint json (path or `keypoints.COCOFile`) and the folder of
            its images.
        output_dir: Folder of the training.
        recipe: The recipe.
        val_data: The pair on which AP is computed, with annotated boxes and flip test.
        val_ground_truth: `mpii_gt_val.mat` of `val_data` in MPII's format, for PCKh.
        skeleton: The keypoints. Defaults to those that the model was built with.
        category: Name or id of the category of the persons; by default the only one with
            annotations.
        teacher: A trained pose estimator whose heatmaps are mixed into the targets.
        seed: Seed of the order of the instances and of their augmentation.
        **options: As for `train`: resume, val_interval, patience, strategy, precision,
            accumulation_steps, loggers, callbacks and others.

    Returns:
        The rows of the log.

    Raises:
        FileNotFoundError: If an annotation file or an image is missing.
        ValueError: If the folder holds another training (other model, recipe, instances or seed),
            the loss is not finite, or an argument is out of range.
    """
    task = PoseTask(
        model,
        train_data,
        recipe,
        val_data=val_data,
        val_ground_truth=val_ground_truth,
        skeleton=skeleton,
        category=category,
        teacher=teacher,
        seed=seed,
    )
    return train(task, output_dir, **options)


def compile_pose_model(model: keras.Model, recipe: Recipe, steps_per_epoch: int) -> keras.Model:
    """Compile a pose estimator with the recipe's optimizer, `KeypointMSELoss` and `HeatmapPCK`.

    Args:
        model: Functional model that outputs heatmaps (batch, height, width, keypoints).
        recipe: The recipe.
        steps_per_epoch: Batches per epoch, by which the learning rate schedule is scaled.

    Returns:
        The same model.
    """
    model.compile(
        recipe.optimizer(steps_per_epoch),
        loss=KeypointMSELoss(),
        weighted_metrics=[HeatmapPCK(num_keypoints=model.output_shape[-1])],
    )
    return model


class _AveragePrecision:
    """Validation by COCO's average precision.

    Images keep the paths that were found, so that the log says once how.
    """

    def __init__(self, source: Source, skeleton: Skeleton, category: str | int | None) -> None:
        self._file = COCOFile.open(opened(source[0]), category, skeleton)
        self._image_dir, self._has_warned = source[1], False
        self.dataset = data.load_keypoint_dataset(self._file, source[1], skeleton=skeleton)
        instances, images = self.dataset.instances, self._file.images
        for image_id, path in zip(instances.image_id.tolist(), self.dataset.paths, strict=True):
            images[image_id] = images[image_id]._replace(file_name=absolute_path(path))

    def compute(self, model: keras.Model) -> dict[str, float]:
        skeleton = self.dataset.skeleton
        with warnings.catch_warnings():
            if self._has_warned:  # of what is the same in every epoch
                warnings.simplefilter("ignore", UserWarning)
            self._has_warned = True
            return metrics.coco(
                model, self._file, self._image_dir, skeleton=skeleton, verbose=False
            )


class _PCKh:
    """Validation by MPII's share of correct keypoints."""

    def __init__(self, source: Source, ground_truth: str | Path) -> None:
        annotations, image_dir = source
        self._files = Path(str(annotations)), Path(str(image_dir)), ground_truth
        self.dataset = data.load_keypoint_dataset(annotations, image_dir, skeleton="mpii")
        check_order(self.dataset.instances, load_truth(ground_truth))

    def compute(self, model: keras.Model) -> dict[str, float]:
        return metrics.mpii(model, *self._files, verbose=False)


def _open_validation(
    source: Source | None,
    ground_truth: str | Path | None,
    skeleton: Skeleton,
    category: str | int | None,
) -> _AveragePrecision | _PCKh | None:
    """Read what a model is validated on, and check it before training."""
    is_mpii = source is not None and is_mpii_json(source[0])
    if is_mpii == (ground_truth is None):
        raise ValueError(
            "`val_ground_truth`, mpii_gt_val.mat, must be given with `val_data` in MPII's format, "
            f"and only with it. Received: {None if source is None else source[0]} and "
            f"{ground_truth}"
        )
    if source is None:
        return None
    if ground_truth is not None:
        return _PCKh(source, ground_truth)
    return _AveragePrecision(source, skeleton, category)


def _skeleton(model: keras.Model, skeleton: SkeletonLike | None) -> Skeleton:
    found = model_skeleton(model) if skeleton is None else skeletons.get(skeleton)
    heatmaps = model.output_shape[-1]
    if found is None or len(found) != heatmaps:
        wanted = f"of the model's {heatmaps} keypoints, built by PoseEstimator(keypoints=...)"
        received = "none" if found is None else f"{found.name!r} with {len(found)} keypoints"
        raise ValueError(f"`skeleton` must be that {wanted}. Received: {received}")
    return found


def _codec(model: keras.Model, recipe: Recipe, skeleton: Skeleton) -> HeatmapCodec:
    weights = skeletons.target_weights(skeleton)
    sizes = model.input_shape[1:3], model.output_shape[1:3]
    codec = HeatmapCodec(*sizes, encoding=model_encoding(model), keypoint_weights=weights)
    return codec if recipe.sigma is None else replace(codec, sigma=recipe.sigma)
