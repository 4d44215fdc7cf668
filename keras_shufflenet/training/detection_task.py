"""Training of detectors on images with annotated boxes."""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack

import keras

from keras_shufflenet import data, metrics
from keras_shufflenet.data.annotated_files import resolve_image_files
from keras_shufflenet.data.fingerprint import fingerprint
from keras_shufflenet.data.pipeline import ALL, Shard
from keras_shufflenet.data.records import absolute_path
from keras_shufflenet.data.tfds_source import opened
from keras_shufflenet.detection import coco_classes
from keras_shufflenet.detection.coco_boxes import METRICS, COCOBoxes, evaluate_boxes
from keras_shufflenet.detection.priors import NANODET_PLUS
from keras_shufflenet.models import class_names
from keras_shufflenet.models.assign_guidance import add_assign_guidance
from keras_shufflenet.training.batch_norm import (
    estimate_statistics,
    folded_layers,
    restore_statistics,
)
from keras_shufflenet.training.criteria import Criterion, find_criterion
from keras_shufflenet.training.detection_recipes import ATTACHED, DetectionRecipe
from keras_shufflenet.training.train_step import replica_count
from keras_shufflenet.training.trainer import Task, TrainingOptions, train
from keras_shufflenet.training.training_copy import training_copy

# Annotations and the folder of the images, which datasets of tfds do not have.
Source = tuple[str | Path | COCOBoxes | data.TFDSSource, str | Path | None]

STATISTICS_IMAGES = 128  # that re-estimate the statistics of folded batch normalizations
STATISTICS_BATCH = 8
PRECISE_BATCH = 16  # those of a training


class DetectorInTraining(keras.Model):
    """A functional model with the loss of a criterion.

    Args:
        inputs: Its images.
        outputs: The output of the detector, then that of an auxiliary branch if there is one.
        criterion: The losses; each of their parts is a metric.
        name: Name of the model.
    """

    def __init__(self, inputs: Any, outputs: Any, criterion: Criterion, name: str) -> None:
        super().__init__(inputs, outputs, name=name)
        self._criterion = criterion
        self._parts = {part: keras.metrics.Mean(part) for part in criterion.parts(len(outputs))}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the sum of the criterion's parts."""
        outputs = y_pred if isinstance(y_pred, list | tuple) else [y_pred]
        parts = self._criterion(y["boxes"], y["labels"], outputs)
        # Those of several replicas, whose metrics are means, add up to that of the batch.
        for name, value in parts.items():
            self._parts[name].update_state(value * replica_count())
        return sum(parts.values())


class DetectionTask(Task):
    """Training of a detector on images with annotated boxes.

    Args:
        model: From `NanoDet`, `NanoDetPlus` or `RetinaNet`, of a fixed input size. Categories of
            the annotations go by the names of its classes, which are COCO's for 80 classes without
            names.
        train_data: Pairs of a COCO json (path or `detection.COCOBoxes`) and the folder of its
            images.
        recipe: The recipe.
        val_data: The pair on which box AP is computed.
        seed: Seed of the order of the images and of their augmentation.

    Raises:
        FileNotFoundError: If an annotation file or an image is missing.
        ValueError: If there is no training data, or the json has none of the classes.
    """

    best_metric = "AP"
    curves = (("AP", "AP .5", "AP .75"),)

    def __init__(
        self,
        model: keras.Model,
        train_data: Sequence[Source],
        recipe: DetectionRecipe,
        *,
        val_data: Source | None = None,
        seed: int = 0,
    ) -> None:
        if not train_data:
            raise ValueError(
                "`train_data` must hold a pair of a json and a folder of images. "
                f"Received: train_data={train_data!r}"
            )
        self._criterion = find_criterion(model)
        count = self._criterion.design.count_classes(model.output_shape[-1])
        self._names = _class_names(model, count)
        annotations, image_dirs = zip(*train_data, strict=True)
        self._dataset = data.load_detection_dataset(
            list(annotations), list(image_dirs), class_names=self._names
        )
        self._val_data = val_data and _checked_val_data(val_data, self._names)
        self._recipe = recipe
        self._seed = seed
        self.model = model
        self.epochs = recipe.epochs
        self.steps_per_epoch = self._dataset.steps_per_epoch(recipe.batch_size)

    def description(self) -> dict[str, Any]:
        """Return recipe, number of images and boxes, classes and seed."""
        return {
            "recipe": asdict(self._recipe),
            "images": len(self._dataset),
            "data": fingerprint(self._dataset),
            "boxes": sum(map(len, self._dataset.labels)),
            "classes": list(self._names),
            "seed": self._seed,
        }

    def prepare(self) -> None:
        """Re-estimate the statistics of batch normalizations that were folded."""
        if folded_layers(self.model):
            restore_statistics(self.model, self._plain_images(STATISTICS_BATCH))

    def finish(self, model: keras.Model) -> None:
        """Estimate the statistics of batch normalizations, if the recipe says so."""
        if self._recipe.precise_statistics:
            estimate_statistics(model, self._plain_images(PRECISE_BATCH))

    def _plain_images(self, batch_size: int) -> Iterator[Any]:
        """Yield some batches without augmentation, all of the same size."""
        count = min(len(self._dataset), STATISTICS_IMAGES)
        size = min(batch_size, count)
        few = self._dataset.select(slice(count // size * size))
        for images, _ in data.detection(few, model=self.model, batch_size=size):
            yield images

    def training_model(self) -> keras.Model:
        """Return a copy with the loss, and with the assign guidance module of NanoDet-Plus."""
        steps = self.epochs * self.steps_per_epoch
        model = self.model
        if self._recipe.guidance and self._criterion.design is NANODET_PLUS:
            model = add_assign_guidance(model, round(ATTACHED * steps))
        twin = training_copy(model, min_momentum=self._recipe.averaging(steps) or 0.0)
        return DetectorInTraining(twin.inputs, twin.outputs, self._criterion, twin.name)

    def data(self, start_step: int, shard: Shard = ALL) -> Any:
        """Return images and boxes."""
        return data.detection(
            self._dataset,
            model=self.model,
            training=True,
            batch_size=self._recipe.batch_size,
            seed=self._seed,
            start_step=start_step,
            shard=shard,
            augmentation=self._recipe.augmentation,
        )

    def compile(self, model: keras.Model) -> None:
        """Compile with the recipe's optimizer; the model has its loss."""
        steps = self.epochs * self.steps_per_epoch
        model.compile(self._recipe.make_optimizer(steps))

    def validate(self, model: keras.Model) -> Mapping[str, float] | None:
        """Return the twelve COCO metrics of boxes."""
        if self._val_data is None:
            return None
        found = metrics.detection(model, *self._val_data, verbose=False)
        return {name: found[name] for name in METRICS}


def train_detection(
    model: keras.Model,
    train_data: Sequence[Source],
    output_dir: str | Path,
    recipe: DetectionRecipe,
    *,
    val_data: Source | None = None,
    seed: int = 0,
    **options: Unpack[TrainingOptions],
) -> list[dict[str, float]]:
    """Train a detector on images with annotated boxes.

    The folder receives ``model.keras`` (at the end), ``best.keras`` (highest AP), both with the
    averages of the weights if the recipe has them, ``log.csv`` (a row per epoch), ``tensorboard/``
    if tensorboard is installed, and checkpoints. A training that was killed at any moment is
    resumed from its last checkpoint by the same call, and ends as if it had not been interrupted.

    Args:
        model: From `NanoDet`, `NanoDetPlus` or `RetinaNet`, of a fixed input size. It receives the
            weights at the end and stays uncompiled, so that it is saved without compile state.
            Categories of the annotations go by the names of its classes, which are COCO's for 80
            classes without names.
        train_data: Pairs of a COCO json (path or `detection.COCOBoxes`) and the folder of its
            images.
        output_dir: Folder of the training.
        recipe: The recipe.
        val_data: The pair on which box AP is computed.
        seed: Seed of the order of the images and of their augmentation.
        **options: As for `train`: resume, val_interval, patience, strategy, precision,
            accumulation_steps, loggers, callbacks and others.

    Returns:
        The rows of the log.

    Raises:
        FileNotFoundError: If an annotation file or an image is missing.
        ValueError: If the json has none of the model's classes, the folder holds another training
            (other model, recipe, images, classes or seed), the loss is not finite, or an argument
            is out of range.
    """
    task = DetectionTask(model, train_data, recipe, val_data=val_data, seed=seed)
    return train(task, output_dir, **options)


def _class_names(model: keras.Model, count: int) -> tuple[str, ...]:
    """Return the names of the classes that the categories of the annotations go by.

    Raises:
        ValueError: If the model has none.
    """
    names = class_names(model)
    if not names and count != len(coco_classes.NAMES):
        raise ValueError(
            "`model` must have the names of its classes to be trained on annotations, as "
            f"`classes=['cat', 'dog']`. Received: {model.name} with {count} classes without names"
        )
    return coco_classes.class_names(names, count)


def _checked_val_data(source: Source, names: Sequence[str]) -> tuple[COCOBoxes, str | Path | None]:
    """Read the annotations, and check before training that they can be evaluated.

    Images keep the paths that were found, and categories are those of the classes, so that the log
    says once what was read.
    """
    annotations, image_dir = source
    if not isinstance(annotations, COCOBoxes):
        annotations = COCOBoxes(opened(annotations))
    file = copy(annotations)
    ids = file.classes(names).values()
    file.categories = [category for category in file.categories if category.id in ids]
    evaluate_boxes(file, [])
    stated = [image.file_name for image in file.images.values()]
    paths = resolve_image_files(stated, image_dir, file.place)
    file.images = {
        image_id: image._replace(file_name=absolute_path(path))
        for (image_id, image), path in zip(file.images.items(), paths, strict=True)
    }
    return file, image_dir
