"""Training of any task with Keras' `fit`, in a folder from which it can be resumed.

The trainer knows nothing of the task: folder, resuming, checkpoints, log, best model and the stop
at NaN are the same for all. A `Task` supplies the model, its data, loss and validation.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import keras

from keras_shufflenet._checks import check_bool, check_integer
from keras_shufflenet.data.corrupt_images import CorruptImages, skip_corrupt_images
from keras_shufflenet.data.pipeline import ALL, Shard, file_errors
from keras_shufflenet.training.callbacks import (
    Checkpoint,
    EarlyEnd,
    EpochLog,
    StepProgress,
    StopAtNaN,
    Validation,
    best_value,
    copy_weights,
    read_log,
    restore,
    save_plain,
)
from keras_shufflenet.training.curves import CurvesPlot
from keras_shufflenet.training.distribution import (
    Distribution,
    FollowChief,
    Strategy,
    agree,
    find_distribution,
    lost_workers,
)
from keras_shufflenet.training.loggers import check_loggers, make_loggers
from keras_shufflenet.training.precision import (
    Precision,
    check_precision,
    scale_losses,
    set_precision,
)
from keras_shufflenet.training.run_folder import BEST, CORRUPT, CURVES, FINAL, LOG, open_folder
from keras_shufflenet.training.training_copy import synchronize_statistics, training_copy


class Task(ABC):
    """What is trained: a model with its data, loss and validation.

    Attributes:
        model: A functional model. It receives the weights at the end and stays uncompiled, so that
            it is saved without compile state.
        epochs: Number of epochs.
        steps_per_epoch: Number of batches of an epoch.
        best_metric: Key of `validate` whose maximum makes a model the best.
        curves: Columns of the log that are drawn together, beside loss and learning rate.
    """

    model: keras.Model
    epochs: int
    steps_per_epoch: int
    best_metric: str
    curves: Sequence[Sequence[str]] = ()

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """Return what defines the training, as JSON: a folder is resumed only if it is the same."""

    @abstractmethod
    def data(self, start_step: int, shard: Shard = ALL) -> Any:
        """Return the infinite, shuffled dataset of `fit`, from a step on.

        Args:
            start_step: Number of batches to skip.
            shard: (index, count) of the worker, which has its part of each batch; given only where
                there are several.
        """

    @abstractmethod
    def compile(self, model: keras.Model) -> None:
        """Compile the copy of the model that is trained."""

    def prepare(self) -> None:
        """Change the initial weights of the model, if necessary."""
        return

    def training_model(self) -> keras.Model:
        """Return the model that `fit` trains: a copy, which may have further layers.

        Layers of the same names give the model its weights.
        """
        return training_copy(self.model)

    def finish(self, model: keras.Model) -> None:
        """Change the weights of the model before it is validated or saved, if necessary."""
        return

    def validate(self, model: keras.Model) -> Mapping[str, float] | None:
        """Return the validation metrics, with `best_metric` among them; None for no validation."""
        return None

    def report(self, model: keras.Model, directory: Path) -> None:
        """Write what else is to be known of the trained model into the folder."""
        return


class TrainingOptions(TypedDict, total=False):
    """The keyword arguments of `train`, which has their meanings and defaults."""

    resume: bool
    val_interval: int
    checkpoint_minutes: float
    patience: int | None
    max_corrupt_images: int
    strategy: Strategy
    sync_batch_norm: bool
    precision: Precision
    accumulation_steps: int
    loggers: Sequence[str] | None
    callbacks: Sequence[keras.callbacks.Callback]
    verbose: str | int


def train(
    task: Task,
    output_dir: str | Path,
    *,
    resume: bool = True,
    val_interval: int = 10,
    checkpoint_minutes: float = 10.0,
    patience: int | None = None,
    max_corrupt_images: int = 0,
    strategy: Strategy = None,
    sync_batch_norm: bool = False,
    precision: Precision = "float32",
    accumulation_steps: int = 1,
    loggers: Sequence[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: str | int = "auto",
) -> list[dict[str, float]]:
    """Train a task.

    The folder receives ``model.keras`` (at the end), ``best.keras`` (highest validation metric),
    ``log.csv`` (a row per epoch) and ``curves.png`` with its curves, ``tensorboard/`` if
    tensorboard is installed, and checkpoints. A training that was killed at any moment is resumed
    from its last checkpoint by the same call, and ends as if it had not been interrupted.

    Args:
        task: What is trained.
        output_dir: Folder of the training. Of several workers the chief writes it, and the others
            need not see it.
        resume: Whether to resume the training in the folder; otherwise it is replaced.
        val_interval: Number of epochs between two validations; the last epoch is always validated.
        checkpoint_minutes: Maximum age of the checkpoint within an epoch.
        patience: Number of epochs without a better model after which the training ends; None for
            no early end.
        max_corrupt_images: Number of images that may be unreadable. Each is named in
            ``corrupt_images.csv`` and replaced by the next sample of its batch; one more is an
            error. Every worker counts its own.
        strategy: "mirrored" for all GPUs of this machine, "multi_worker" for the workers of the
            environment variable TF_CONFIG, "data_parallel" for all devices with JAX, or an object
            of `tf.distribute` or `keras.distribution`; None for one device. The batch size is that
            of all devices together.
        sync_batch_norm: Whether batches are normalized with the statistics of all replicas, which
            takes time, instead of those of each, of which the chief's are saved. TensorFlow only;
            with JAX they are always those of all.
        precision: "float32", "bfloat16" or "float16", in which layers compute; variables, outputs
            and losses are float32.
        accumulation_steps: Number of parts of a batch that are computed one after another, with
            the memory of a part.
        loggers: Where the metrics of each epoch go beside log.csv: any of "tensorboard" and
            "wandb", or nowhere. By default TensorBoard if it is installed.
        callbacks: Further callbacks of `fit`, which all workers call. They see a training that was
            interrupted in an epoch as two.
        verbose: As for `fit`; "auto" is a progress bar on a terminal and a line per epoch
            elsewhere.

    Returns:
        The rows of the log.

    Raises:
        ConnectionError: If another worker is lost.
        ImportError: If a logger is not installed.
        OSError: If a file cannot be written; the checkpoint before is kept.
        ValueError: If the folder holds another training, the loss is not finite, an image cannot
            be decoded, or an argument is out of range.
    """
    check_integer("val_interval", val_interval)
    check_integer("accumulation_steps", accumulation_steps)
    check_integer("max_corrupt_images", max_corrupt_images, minimum=0)
    check_bool("sync_batch_norm", sync_batch_norm)
    check_precision(precision)
    check_loggers(loggers)
    if patience is not None:
        check_integer("patience", patience)
    distribution = find_distribution(strategy)
    run = _Run(task, Path(output_dir), distribution, val_interval, checkpoint_minutes)
    if distribution.is_chief:
        open_folder(run.directory, task.model, task.description(), precision, resume)
    early = EarlyEnd(run.directory / LOG, task.best_metric, patience)
    corrupt = run.directory / CORRUPT if distribution.is_chief else None
    images = CorruptImages(max_corrupt_images, corrupt)
    with file_errors(), lost_workers(), skip_corrupt_images(images):
        task.prepare()
        trained = _training_model(task, distribution, sync_batch_norm, precision)
        distribution.prepare(trained, accumulation_steps)
        steps, is_over = task.steps_per_epoch, True
        # At its end `fit` replaces the weights by their averages if there are such; the checkpoint
        # has those in training.
        while (done := _restore(trained, run)) < task.epochs * steps:
            if agree(distribution, done % steps == 0 and early.is_due()):
                break
            # `fit` has one number of steps for all epochs, so a partial epoch takes a `fit` of its
            # own.
            epoch, offset = divmod(done, steps)
            is_over = False
            parts = {} if distribution.shard == ALL else {"shard": distribution.shard}
            own = [*run.callbacks(epoch, loggers), early] if distribution.is_chief else []
            shown = _verbosity(verbose) if distribution.is_chief else 0
            if shown == 2:
                own.append(StepProgress(task.epochs * steps))
            if shown != 0:
                place = f"{task.model.name}, step {done + 1} of {task.epochs * steps}"
                print(f"training {place}: the first one is traced, which takes longer", flush=True)
            with distribution.fit_scope():
                trained.fit(
                    distribution.distribute(task.data(done, **parts), trained),
                    initial_epoch=epoch,
                    epochs=epoch + 1 if offset else task.epochs,
                    steps_per_epoch=steps - offset,
                    shuffle=False,  # the dataset is shuffled
                    callbacks=[StopAtNaN(), *own, *callbacks, FollowChief(distribution)],
                    verbose=shown,
                )
        if is_over and distribution.is_chief and _verbosity(verbose) != 0:
            print(f"{task.model.name} was trained before, to the end: {run.directory}", flush=True)
        model = _updated(task, trained)
        if distribution.is_chief:
            save_plain(model, run.directory / FINAL)
            task.report(model, run.directory)
    return read_log(run.directory / LOG)


class _Run(NamedTuple):
    """A training in its folder."""

    task: Task
    directory: Path
    distribution: Distribution
    val_interval: int
    checkpoint_minutes: float

    def callbacks(
        self, epoch: int, loggers: Sequence[str] | None
    ) -> list[keras.callbacks.Callback]:
        """Return what validates, logs and saves, from an epoch on."""
        task, log = self.task, self.directory / LOG
        panels = [("loss", "val_loss"), *(task.curves or [(task.best_metric,)]), ("learning_rate",)]
        return [
            Validation(
                lambda model: task.validate(_updated(task, model)),
                lambda _: save_plain(task.model, self.directory / BEST),
                metric=task.best_metric,
                interval=self.val_interval,
                epochs=task.epochs,
                best=best_value(log, task.best_metric),
            ),
            EpochLog(log, epoch),
            CurvesPlot(log, self.directory / CURVES, panels),
            *make_loggers(loggers, self.directory),
            Checkpoint(self.directory, self.checkpoint_minutes),
        ]


def _training_model(
    task: Task, distribution: Distribution, sync_batch_norm: bool, precision: Precision
) -> keras.Model:
    """Return the compiled model that is trained."""
    with distribution.scope():
        trained = task.training_model()
        if sync_batch_norm:
            synchronize_statistics(trained)
        set_precision(trained, precision)
        task.compile(trained)
        scale_losses(trained, precision)
        if not trained.optimizer.built:
            trained.optimizer.build(trained.trainable_variables)
    return trained


def _restore(trained: keras.Model, run: _Run) -> int:
    """Load the last checkpoint into the models of all workers, and return the steps done."""
    if run.distribution.is_chief:
        restore(trained, run.directory)
    return run.distribution.synchronize(trained)


def _updated(task: Task, trained: keras.Model) -> keras.Model:
    """Return the task's model with the weights of the one in training."""
    model = copy_weights(trained, task.model)
    task.finish(model)
    return model


def _verbosity(verbose: str | int) -> str | int:
    return 2 if verbose == "auto" and not sys.stdout.isatty() else verbose
