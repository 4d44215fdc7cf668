"""Training of classifiers on images with classes."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Unpack

import keras
import numpy as np

from keras_shufflenet._files import atomic_write
from keras_shufflenet._layer_names import is_head
from keras_shufflenet.data import ClassificationDataset, load_classification_dataset
from keras_shufflenet.data.corrupt_images import active
from keras_shufflenet.data.fingerprint import fingerprint
from keras_shufflenet.data.pipeline import ALL, Shard, check_channels, mapped, to_gray
from keras_shufflenet.data.tfds_source import TFDSSource
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.models import class_names
from keras_shufflenet.training.batch_norm import (
    estimate_statistics,
    folded_layers,
    restore_statistics,
)
from keras_shufflenet.training.classification_recipe import ClassificationRecipe
from keras_shufflenet.training.classification_report import Predictions, predict, write_report
from keras_shufflenet.training.cross_entropy import ClassifierInTraining, weigh_classes
from keras_shufflenet.training.trainer import Task, TrainingOptions, train
from keras_shufflenet.training.training_copy import training_copy

FROZEN = "frozen"  # folder of the epochs in which only the classifier is trained
STATISTICS_IMAGES = 256  # that re-estimate the statistics of folded batch normalizations
VAL_BATCH = 32


class ClassificationTask(Task):
    """Training of a classifier on images with classes.

    Args:
        model: A classifier of a fixed input size, for example from `ShuffleNetV2`. It receives the
            weights at the end.
        train_data: The images.
        recipe: The recipe. Its frozen epochs are a training of their own, see `train_classifier`.
        val_data: Images to validate on.
        class_weights: Weight (classes,) of the loss of each class, or "balanced": in inverse
            proportion to their number, 1 on average over the images.
        trained_network: What is trained in the place of the model, which has layers of the same
            names: of another input size, or with auxiliary classifiers as further outputs, for
            example.
        only_head: Whether all layers but the classifier are frozen.
        seed: Seed of the order of the images and of their augmentation.

    Raises:
        ValueError: If the model is no classifier of the classes of the data, or a weight is none.
    """

    best_metric = "val_accuracy"
    curves = (("accuracy", "val_accuracy"),)

    def __init__(
        self,
        model: keras.Model,
        train_data: ClassificationDataset,
        recipe: ClassificationRecipe,
        *,
        val_data: ClassificationDataset | None = None,
        class_weights: Sequence[float] | Literal["balanced"] | None = None,
        trained_network: keras.Model | None = None,
        only_head: bool = False,
        seed: int = 0,
    ) -> None:
        _check_model(model, train_data)
        self._train_data = train_data
        self._val_data = val_data
        self._recipe = recipe
        self._weights = weigh_classes(class_weights, train_data)
        self._trained_network = trained_network
        self._only_head = only_head
        self._seed = seed
        self._predictor: Predictor | None = None
        self.model = model
        self.epochs = recipe.epochs
        self.steps_per_epoch = train_data.steps_per_epoch(recipe.batch_size)

    def description(self) -> dict[str, Any]:
        """Return recipe, data, classes, their weights and seed."""
        weights = None if self._weights is None else self._weights.round(6).tolist()
        return {
            "recipe": json.loads(json.dumps(asdict(self._recipe))),
            "images": len(self._train_data),
            "data": fingerprint(self._train_data),
            "classes": list(self._train_data.class_names),
            "class_weights": weights,
            "input_size": list(self._size(self._trained_network or self.model)),
            "seed": self._seed,
        }

    def prepare(self) -> None:
        """Re-estimate the statistics of batch normalizations that were folded."""
        if folded_layers(self.model):
            count = max(1, STATISTICS_IMAGES // self._recipe.batch_size)
            restore_statistics(self.model, self._images(0, count, self._size(self.model)))

    def training_model(self) -> keras.Model:
        """Return a copy with the loss, with the layers frozen that are to stay."""
        network = self._trained_network or self.model
        if network is not self.model:
            for layer in self.model.layers:
                if layer.weights:
                    network.get_layer(layer.name).set_weights(layer.get_weights())
        steps = self.epochs * self.steps_per_epoch
        twin = training_copy(network, min_momentum=self._recipe.averaging(steps) or 0.0)
        head = _head_layers(twin)
        for layer in twin.layers:
            is_norm = isinstance(layer, keras.layers.BatchNormalization)
            frozen_norm = self._recipe.freeze_batch_norm and is_norm
            if frozen_norm or (self._only_head and layer not in head):
                layer.trainable = False  # batch normalizations are then in inference, too
        return ClassifierInTraining(
            twin.inputs,
            twin.outputs,
            twin.name,
            self._recipe.label_smoothing,
            from_logits=_last_activation(self.model) is keras.activations.linear,
        )

    def finish(self, model: keras.Model) -> None:
        """Compute the statistics of batch normalizations anew, if the recipe says so."""
        if self._recipe.statistics_images:
            steps = max(1, self._recipe.statistics_images // self._recipe.batch_size)
            first = self.epochs * self.steps_per_epoch
            estimate_statistics(model, self._images(first, steps, self._size(model)))

    def data(self, start_step: int, shard: Shard = ALL) -> Any:
        """Return images, shares of the classes, and weights of the images."""
        import tensorflow as tf

        classes = self._train_data.num_classes
        weights = None if self._weights is None else tf.constant(self._weights, tf.float32)
        is_gray = check_channels(self.model) == 1

        def prepare(images: Any, targets: Any) -> tuple[Any, ...]:
            if targets.dtype.is_integer:
                targets = tf.one_hot(targets, classes)
            images = to_gray(images) if is_gray else images
            if weights is None:
                return images, targets
            return images, targets, tf.linalg.matvec(targets, weights)

        size = self._size(self._trained_network or self.model)
        return mapped(self._batches(start_step, size, shard), prepare)

    def _batches(self, start_step: int, size: tuple[int, int], shard: Shard = ALL) -> Any:
        return self._train_data.batches(
            crop_size=size,
            training=True,
            batch_size=self._recipe.batch_size,
            seed=self._seed,
            start_step=start_step,
            shard=shard,
            augmentation=self._recipe.augmentation,
        )

    def _images(self, start_step: int, steps: int, size: tuple[int, int]) -> Iterator[Any]:
        for images, *_ in self._batches(start_step, size).take(steps):
            yield to_gray(images) if check_channels(self.model) == 1 else images

    @staticmethod
    def _size(model: keras.Model) -> tuple[int, int]:
        height, width = model.input_shape[1:3]
        return int(height), int(width)

    def compile(self, model: keras.Model) -> None:
        """Compile with the recipe's optimizer; the model has its loss."""
        optimizer = self._recipe.make_optimizer(model, self.steps_per_epoch)
        model.compile(optimizer)

    def _predictions(self) -> tuple[Predictions, ClassificationDataset] | None:
        """Return what the model predicts of the validation images, and these; None without such.

        Without those that cannot be read, in whose place others were predicted twice.
        """
        if self._val_data is None:
            return None
        if self._predictor is None:
            self._predictor = Predictor.load(self.model)
        is_logits = _last_activation(self.model) is keras.activations.linear
        batches = self._val_data.batches(crop_size=self._size(self.model), batch_size=VAL_BATCH)
        found = predict(self._predictor, batches, is_logits=is_logits)
        corrupt = active()
        unreadable = () if corrupt is None else corrupt.reasons
        rows = np.array([path not in unreadable for path in self._val_data.paths.tolist()])
        return found.select(rows), self._val_data.select(rows)

    def validate(self, model: keras.Model) -> Mapping[str, float] | None:
        """Return loss and accuracy, and the top-5 accuracy of more than five classes."""
        found = self._predictions()
        return None if found is None else found[0].metrics()

    def report(self, model: keras.Model, directory: Path) -> None:
        """Write the confusion matrix, the table of the classes, and the worst mistakes."""
        found = None if self._only_head else self._predictions()
        if found is None:
            return
        predictions, images = found
        names = self._train_data.class_names or class_names(model)
        names = names or tuple(str(n) for n in range(predictions.scores.shape[1]))
        write_report(predictions, names, images.paths.tolist(), directory)
        atomic_write(directory / "val.csv", images.write_csv)


def train_classification(
    model: keras.Model,
    train_data: ClassificationDataset | TFDSSource | str | Path,
    output_dir: str | Path,
    recipe: ClassificationRecipe,
    *,
    val_data: ClassificationDataset | TFDSSource | str | Path | None = None,
    class_weights: Sequence[float] | Literal["balanced"] | None = None,
    trained_network: keras.Model | None = None,
    seed: int = 0,
    **options: Unpack[TrainingOptions],
) -> list[dict[str, float]]:
    """Train a classifier on images with classes.

    If the recipe has frozen epochs, the classifier is first trained alone, in the folder
    ``frozen`` of the training, with all other layers frozen and batch normalizations in inference.

    The folder receives ``model.keras`` (at the end), ``best.keras`` (highest validation accuracy),
    both with the averages of the weights if the recipe has them, ``log.csv`` (a row per epoch),
    ``curves.png``, ``tensorboard/`` if tensorboard is installed, and checkpoints; with validation
    data ``classes.csv`` (precision, recall and F1 of each class), ``confusion.csv`` and
    ``confusion.png``, ``mistakes.csv``, ``mistakes.jpg`` (the worst) and ``val.csv`` (the images),
    all of the model at the end. A training that was killed at any moment is resumed from its last
    checkpoint by the same call, and ends as if it had not been interrupted.

    Args:
        model: A classifier of a fixed input size. It receives the weights at the end and stays
            uncompiled, so that it is saved without compile state.
        train_data: From `data.load_classification_dataset`, or what that takes.
        output_dir: Folder of the training.
        recipe: The recipe.
        val_data: The same to validate on, without augmentation. Classes go by name, if they have
            names.
        class_weights: As for `ClassificationTask`.
        trained_network: As for `ClassificationTask`.
        seed: Seed of the order of the images and of their augmentation.
        **options: As for `train`: resume, val_interval (1 by default), patience (not of the frozen
            epochs), strategy, precision, accumulation_steps, loggers, callbacks and others.

    Returns:
        The rows of the log, without those of the frozen epochs.

    Raises:
        FileNotFoundError: If an image is missing.
        ValueError: If the model has other classes than the data, the folder holds another training
            (other model, recipe, images, classes or seed), the loss is not finite, or an argument
            is out of range.
    """
    images = _opened(train_data)
    val_images = None if val_data is None else _opened(val_data).matched(images.class_names)
    options.setdefault("val_interval", 1)

    def task(recipe: ClassificationRecipe, *, only_head: bool = False) -> ClassificationTask:
        return ClassificationTask(
            model,
            images,
            recipe,
            val_data=val_images,
            class_weights=class_weights,
            trained_network=trained_network,
            only_head=only_head,
            seed=seed,
        )

    last, directory = task(recipe), Path(output_dir)
    if recipe.frozen_epochs:
        directory.mkdir(parents=True, exist_ok=True)
        frozen: TrainingOptions = {**options, "patience": None}
        train(task(recipe.frozen(), only_head=True), directory / FROZEN, **frozen)
    return train(last, directory, **options)


def _head_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the classifier's layers: by their names, or else the last one with weights."""
    named = [layer for layer in model.layers if is_head(layer.name)]
    return named or [layer for layer in model.layers if layer.weights][-1:]


def _opened(source: ClassificationDataset | TFDSSource | str | Path) -> ClassificationDataset:
    if not isinstance(source, ClassificationDataset):
        source = load_classification_dataset(source)
    source.check_training()
    return source


def _last_activation(model: keras.Model) -> Any:
    return getattr(model.layers[-1], "activation", keras.activations.linear)


def _check_model(model: keras.Model, images: ClassificationDataset) -> None:
    shape, size = model.output_shape, model.input_shape[1:3]
    is_classifier = isinstance(shape, tuple) and len(shape) == 2
    if not is_classifier or None in size:
        raise ValueError(
            "`model` must be a classifier of a fixed input size with one output (N, classes). "
            f"Received: {model.name} with the input {model.input_shape} and output {shape}"
        )
    images.check_training()
    if images.num_classes < 2:
        raise ValueError(
            "`train_data` must have at least two classes. "
            f"Received: {images.num_classes} in {images.report.source}"
        )
    if shape[1] < images.num_classes or (images.class_names and shape[1] != images.num_classes):
        raise ValueError(
            f"`model` must have {images.num_classes} classes, those of the data. "
            f"Received: {model.name} with {shape[1]}"
        )
    names = class_names(model)
    if names and images.class_names and names != tuple(images.class_names):
        raise ValueError(
            "`model` must have the classes of the data, in their order: "
            f"{', '.join(images.class_names[:5])}. Received: {', '.join(names[:5])}"
        )
