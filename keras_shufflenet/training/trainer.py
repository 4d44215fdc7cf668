"""Training of any task with Keras' `fit`, in a folder from which it can be resumed.

The trainer knows nothing of the task: folder, resuming, checkpoints, log, best model and the stop
at NaN are the same for all. A `Task` supplies the model, its data, loss and validation.
"""

import hashlib
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras

from keras_shufflenet._checks import check_integer
from keras_shufflenet._files import atomic_write, remove_partial_files
from keras_shufflenet.data.pipeline import file_errors
from keras_shufflenet.training import callbacks
from keras_shufflenet.training.curves import CurvesPlot
from keras_shufflenet.training.training_copy import training_copy

RUN = "run.json"
LOG = "log.csv"
FINAL = "model.keras"
BEST = "best.keras"
CURVES = "curves.png"
TENSORBOARD = "tensorboard"


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
    def data(self, start_step: int) -> Any:
        """Return the infinite, shuffled dataset of `fit`, from a step on."""

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


def train(
    task: Task,
    output_dir: str | Path,
    *,
    resume: bool = True,
    val_interval: int = 10,
    checkpoint_minutes: float = 10.0,
    patience: int | None = None,
    verbose: str | int = "auto",
) -> list[dict[str, float]]:
    """Train a task.

    The folder receives ``model.keras`` (at the end), ``best.keras`` (highest validation metric),
    ``log.csv`` (a row per epoch) and ``curves.png`` with its curves, ``tensorboard/`` if
    tensorboard is installed, and checkpoints. A training that was killed at any moment is resumed
    from its last checkpoint by the same call, and ends as if it had not been interrupted.

    Args:
        task: What is trained.
        output_dir: Folder of the training.
        resume: Whether to resume the training in the folder; otherwise it is replaced.
        val_interval: Number of epochs between two validations; the last epoch is always validated.
        checkpoint_minutes: Maximum age of the checkpoint within an epoch.
        patience: Number of epochs without a better model after which the training ends; None for
            no early end.
        verbose: As for `fit`; "auto" is a progress bar on a terminal and a line per epoch
            elsewhere.

    Returns:
        The rows of the log.

    Raises:
        ValueError: If the folder holds another training, the loss is not finite, an image cannot
            be decoded, or an argument is out of range.
    """
    check_integer("val_interval", val_interval)
    if patience is not None:
        check_integer("patience", patience)
    directory = Path(output_dir)
    _open_folder(directory, {**_describe_model(task.model), **task.description()}, resume)
    task.prepare()
    trained, steps = task.training_model(), task.steps_per_epoch
    task.compile(trained)
    # At its end `fit` replaces the weights by their averages if there are such; the checkpoint has
    # those in training.
    early = callbacks.EarlyEnd(directory / LOG, task.best_metric, patience)
    while (done := callbacks.restore(trained, directory)) < task.epochs * steps:
        if done % steps == 0 and early.is_due():
            break
        # `fit` has one number of steps for all epochs, so a partial epoch takes a `fit` of its own.
        epoch, offset = divmod(done, steps)
        epochs = epoch + 1 if offset else task.epochs
        validation = callbacks.Validation(
            lambda model: task.validate(_updated(task, model)),
            lambda _: callbacks.save_plain(task.model, directory / BEST),
            metric=task.best_metric,
            interval=val_interval,
            epochs=task.epochs,
            best=callbacks.best_value(directory / LOG, task.best_metric),
        )
        checkpoint = callbacks.Checkpoint(directory, checkpoint_minutes)
        if verbose != 0:
            place = f"{task.model.name}, step {done + 1} of {task.epochs * steps}"
            print(f"training {place}: the first one is traced, which takes longer", flush=True)
        with file_errors():
            trained.fit(
                task.data(done),
                initial_epoch=epoch,
                epochs=epochs,
                steps_per_epoch=steps - offset,
                shuffle=False,  # the dataset is shuffled
                callbacks=[
                    callbacks.StopAtNaN(),
                    validation,
                    *_logs(task, directory, epoch),
                    checkpoint,
                    early,
                ],
                verbose=_verbosity(verbose),
            )
    callbacks.save_plain(_updated(task, trained), directory / FINAL)
    task.report(task.model, directory)
    return callbacks.read_log(directory / LOG)


def _updated(task: Task, trained: keras.Model) -> keras.Model:
    """Return the task's model with the weights of the one in training."""
    model = callbacks.copy_weights(trained, task.model)
    task.finish(model)
    return model


def jit_compile() -> bool | str:
    """Return Keras' choice, but False for TensorFlow on a CPU, where XLA is 4 times slower."""
    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return "auto" if tf.config.list_physical_devices("GPU") else False


def _verbosity(verbose: str | int) -> str | int:
    return 2 if verbose == "auto" and not sys.stdout.isatty() else verbose


def _describe_model(model: keras.Model) -> dict[str, str]:
    # Without layer names: Keras numbers the layers that were given none.
    layers = [(type(layer).__name__, [v.shape for v in layer.variables]) for layer in model.layers]
    return {
        "model": model.name,
        "network": hashlib.sha256(repr(layers).encode()).hexdigest()[:16],
    }


def _open_folder(directory: Path, description: dict[str, Any], resume: bool) -> None:
    """Create the folder, or check that the training in it is the same one."""
    directory.mkdir(parents=True, exist_ok=True)
    remove_partial_files(directory)
    path = directory / RUN
    text = json.dumps(description, indent=2) + "\n"
    if resume and path.exists():
        _check_same(path, json.loads(text))
        return
    for name in (callbacks.LAST, callbacks.PREVIOUS, LOG, CURVES, BEST, FINAL):
        (directory / name).unlink(missing_ok=True)
    atomic_write(path, lambda beside: beside.write_text(text))


def _check_same(path: Path, description: dict[str, Any]) -> None:
    changed = _differences(json.loads(path.read_text()), description)
    if changed:
        raise ValueError(
            f"`output_dir` holds another training: {', '.join(changed)}. Pass the same arguments, "
            "another folder, or replace the training with resume=False (--no-resume). "
            f"Received: {path.parent}"
        )


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Describe the values that have changed."""
    found = []
    for name, value in now.items():
        old, title = before.get(name), f"{prefix}{name}"
        if isinstance(value, dict) and isinstance(old, dict):
            found += _differences(old, value, f"{title}.")
        elif old != value:
            found.append(f"{title} was {old} and is {value}")
    return found


def _logs(task: Task, directory: Path, first_epoch: int) -> list[keras.callbacks.Callback]:
    panels = [("loss", "val_loss"), *(task.curves or [(task.best_metric,)]), ("learning_rate",)]
    logs: list[keras.callbacks.Callback] = [
        callbacks.EpochLog(directory / LOG, first_epoch),
        CurvesPlot(directory / LOG, directory / CURVES, panels),
    ]
    if find_spec("tensorboard") and keras.backend.backend() != "torch":
        logs.append(keras.callbacks.TensorBoard(directory / TENSORBOARD, write_graph=False))
    return logs
