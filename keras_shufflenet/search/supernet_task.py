"""Training of supernets: any task, with another architecture in every step."""

import warnings
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Unpack

import keras

from keras_shufflenet._checks import check_integer
from keras_shufflenet._keras_private import has_weight_decay
from keras_shufflenet.data.pipeline import ALL, Shard
from keras_shufflenet.search.sampling import PathSampler, PathSampling
from keras_shufflenet.search.spaces import Architecture
from keras_shufflenet.search.supernet import Supernet
from keras_shufflenet.training.precision import updating_optimizer
from keras_shufflenet.training.trainer import Task, TrainingOptions, train

CALIBRATION_BATCHES = 8
VALIDATED = 2  # architectures, whose mean metrics are those of the supernet
UNSUPPORTED = {"sync_batch_norm": False, "precision": "float32"}


class SupernetTask(Task):
    """The training of a supernet on the data and with the loss of another task.

    In every step one architecture is computed. What is not in it stays as it is: weights, momenta,
    statistics. The supernet is validated by the mean metrics of some random architectures, always
    the same, with statistics of batch normalizations of their own.

    Args:
        task: The task, made for ``supernet.model``: a `ClassificationTask`, `PoseTask` or
            `DetectionTask`, for example.
        supernet: The supernet.
        sampler: The architectures.
        calibration_batches: Number of training batches for the statistics of an architecture.
        validated: Number of architectures that are validated.

    Attributes:
        sampler: The architectures.

    Raises:
        ValueError: If the task has another model, or a number is out of range.
    """

    def __init__(
        self,
        task: Task,
        supernet: Supernet,
        sampler: PathSampler,
        *,
        calibration_batches: int = CALIBRATION_BATCHES,
        validated: int = VALIDATED,
    ) -> None:
        check_integer("calibration_batches", calibration_batches)
        check_integer("validated", validated)
        if task.model is not supernet.model or sampler.space != supernet.space:
            raise ValueError(
                "`task` and `sampler` must be made for the model and the space of the supernet. "
                f"Received: {task.model.name} and {sampler.space.name}"
            )
        self._task = task
        self._supernet = supernet
        self.sampler = sampler
        self._calibration_batches = calibration_batches
        self._batches: list[Any] = []
        # Of a sequence that no step has: steps count from 0.
        self._validated = [
            PathSampler(supernet.space, seed=sampler.seed + 1).sample(index)
            for index in range(validated)
        ]
        self.model = supernet.model
        self.epochs = task.epochs
        self.steps_per_epoch = task.steps_per_epoch
        self.best_metric = task.best_metric
        self.curves = task.curves

    def description(self) -> dict[str, Any]:
        """Return that of the task, the space, and how architectures are sampled."""
        space = self._supernet.space
        scales = {"space": space.name, "channel_scales": list(space.channel_scales)}
        return self._task.description() | {"supernet": scales | self.sampler.description()}

    def prepare(self) -> None:
        """Prepare the task."""
        self._task.prepare()

    def data(self, start_step: int, shard: Shard = ALL) -> Any:
        """Return the data of the task."""
        return self._task.data(start_step, **({} if shard == ALL else {"shard": shard}))

    def training_model(self) -> keras.Model:
        """Return the copy that the task trains."""
        return self._task.training_model()

    def compile(self, model: keras.Model) -> None:
        """Compile as the task does; the optimizer leaves what has no gradient as it is."""
        self._task.compile(model)
        skip_zero_gradients(updating_optimizer(model.optimizer))

    def calibrate(self, architecture: Architecture) -> None:
        """Select an architecture, and estimate its statistics of batch normalizations anew."""
        if not self._batches:
            batches = islice(self._task.data(0), self._calibration_batches)
            self._batches = [images for images, *_ in batches]
        self._supernet.select(architecture)
        self._supernet.recalibrate(self._batches)

    def score(self, architecture: Architecture) -> Mapping[str, float] | None:
        """Return the validation metrics of an architecture; None without validation data."""
        self.calibrate(architecture)
        return self._task.validate(self.model)

    def validate(self, model: keras.Model) -> Mapping[str, float] | None:
        """Return the mean metrics of the validated architectures."""
        found = [self.score(architecture) for architecture in self._validated]
        scores = [each for each in found if each is not None]
        if not scores:
            return None
        return {name: sum(each[name] for each in scores) / len(scores) for name in scores[0]}


def train_supernet(
    task: SupernetTask, output_dir: str | Path, **options: Unpack[TrainingOptions]
) -> list[dict[str, float]]:
    """Train a supernet.

    The folder is that of `training.train`; ``model.keras`` is the supernet, see `Supernet.load`. A
    training that was killed at any moment is resumed from its last checkpoint by the same call, and
    ends as if it had not been interrupted.

    Args:
        task: What is trained.
        output_dir: Folder of the training.
        **options: As for `training.train`, but without sync_batch_norm and precision.

    Returns:
        The rows of the log.

    Raises:
        ValueError: As for `training.train`, and if the backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Supernets are trained with the backend tensorflow; others run them. "
            f"Received: the backend {keras.backend.backend()}"
        )
    for name, value in UNSUPPORTED.items():
        given = options.get(name, value)
        if given != value:
            raise ValueError(
                f"`{name}` must be {value!r} for a supernet. Received: {name}={given!r}"
            )
    options["callbacks"] = [PathSampling(task.sampler), *options.get("callbacks", ())]
    with warnings.catch_warnings():
        # If the step runs operation by operation: what is not in the path has none.
        warnings.filterwarnings("ignore", "Gradients do not exist")
        return train(task, output_dir, **options)


def skip_zero_gradients(optimizer: keras.optimizers.Optimizer) -> None:
    """Let an optimizer of TensorFlow leave variables with a gradient of zeros as they are.

    Momentum and weight decay would change them. Source: SinglePathOneShot, `src/Supernet/train.py`,
    which sets such gradients to None.

    Args:
        optimizer: The optimizer.
    """
    import tensorflow as tf

    update_step, weight_decay = optimizer.update_step, optimizer.weight_decay
    optimizer.weight_decay = None  # Keras subtracts it from all variables at once

    def update_if_any(gradient: Any, variable: Any, learning_rate: Any) -> None:
        def update() -> Any:
            if weight_decay is not None and has_weight_decay(optimizer, variable):
                rate = tf.cast(learning_rate, variable.dtype)
                variable.assign_sub(variable * (weight_decay * rate))
            update_step(gradient, variable, learning_rate)
            return tf.constant(0)

        tf.cond(tf.reduce_any(gradient != 0), update, lambda: tf.constant(0))

    optimizer.update_step = update_if_any
