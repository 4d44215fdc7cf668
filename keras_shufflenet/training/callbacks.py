"""Keras callbacks of a training that can be killed at any moment and resumed."""

import contextlib
import csv
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from keras_shufflenet._files import atomic_write
from keras_shufflenet._keras_private import SEED_STATES, seed_states, weights_file
from keras_shufflenet.training.precision import updating_optimizer
from keras_shufflenet.weights.hdf5 import open_file

LAST = "last.weights.h5"
PREVIOUS = "previous.weights.h5"


def copy_weights(trained: keras.Model, model: keras.Model) -> keras.Model:
    """Copy the weights of a model in training into the plain model, by the names of the layers.

    If the optimizer averages the weights (`use_ema`), they are the averages; the model in training
    keeps its own. Layers that the plain model does not have are for training only.

    Returns:
        The plain model.
    """
    optimizer, kept = updating_optimizer(trained.optimizer), []
    if optimizer is not None and optimizer.use_ema:
        kept = [keras.ops.convert_to_numpy(v) for v in trained.trainable_variables]
        optimizer.finalize_variable_values(trained.trainable_variables)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(trained.get_layer(layer.name).get_weights())
    if kept:
        for variable, value in zip(trained.trainable_variables, kept, strict=True):
            variable.assign(value)
    return model


def save_plain(model: keras.Model, path: Path) -> None:
    """Write a model without compile state, so that the file opens without this package."""
    # A single tensor in a list would be one in the outputs of the opened file, too.
    inputs, outputs = (x[0] if len(x) == 1 else x for x in (model.inputs, model.outputs))
    atomic_write(path, keras.Model(inputs, outputs, name=model.name).save)


class StopAtNaN(keras.callbacks.Callback):
    """Stop a training whose loss is not finite; the last checkpoint is kept.

    Raises:
        ValueError: From `fit`.
    """

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Check the mean loss of the epoch so far."""
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise ValueError(
                "The loss must be finite; try a lower learning rate, or check the annotations. "
                f"Received: loss={loss} in step {batch + 1} of the epoch"
            )


class StepProgress(keras.callbacks.Callback):
    """Print how far a training is, for the log of a job, which has no progress bar.

    Args:
        steps: Number of steps of the whole training.
        seconds: Time between two lines.
    """

    def __init__(self, steps: int, seconds: float = 60.0) -> None:
        super().__init__()
        self.steps = steps
        self.seconds = seconds
        self.printed = time.monotonic()
        self.batches = 0  # since then

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Print a line if the last one is too old."""
        self.batches += 1
        elapsed = time.monotonic() - self.printed
        if elapsed < self.seconds:
            return
        done = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        loss = f" - loss: {float(logs['loss']):.4e}" if logs else ""
        rate = f"{elapsed / self.batches:.2f}s/step"
        print(f"step {done} of {self.steps} - {rate}{loss}", flush=True)
        self.printed, self.batches = time.monotonic(), 0


class Checkpoint(keras.callbacks.Callback):
    """Write checkpoints: weights and optimizer variables, the step among them.

    A checkpoint is written atomically at the end of every epoch and whenever ``minutes`` have
    passed. The one before is kept as ``previous.weights.h5``.

    Args:
        directory: Folder of the training.
        minutes: Maximum age of a checkpoint within an epoch.
    """

    def __init__(self, directory: Path, minutes: float = 10.0) -> None:
        super().__init__()
        self.directory = directory
        self.minutes = minutes
        self.saved = time.monotonic()

    def on_train_begin(self, logs: Any = None) -> None:
        """Save, so that a training killed early is resumed from the same initial weights."""
        self.save()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Save if the last checkpoint is too old."""
        if time.monotonic() - self.saved >= 60 * self.minutes:
            self.save()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save."""
        self.save()

    def save(self) -> None:
        """Write a checkpoint; there is a readable one at any moment.

        Raises:
            OSError: If it cannot be written, as on a full disk.
        """
        path = self.directory / LAST
        try:
            atomic_write(path, self._rotate_after_writing)
        except OSError as error:
            raise OSError(
                f"A checkpoint must be written ({error.strerror or error}); the one before is "
                f"kept. Make space, and start again by the same command. Received: {path}"
            ) from error
        self.saved = time.monotonic()

    def _rotate_after_writing(self, path: Path) -> None:
        path.write_bytes(weights_file(self.model))
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.directory / LAST, self.directory / PREVIOUS)


def restore(model: keras.Model, directory: Path) -> int:
    """Load the newest readable checkpoint into a compiled model.

    Args:
        model: The model, compiled as it was when the checkpoint was saved.
        directory: Folder of the training.

    Returns:
        Number of steps done; 0 without a checkpoint.

    Raises:
        ValueError: If there are checkpoints and none can be read.
    """
    paths = [path for name in (LAST, PREVIOUS) if (path := directory / name).exists()]
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    for path in paths:
        with contextlib.suppress(OSError, KeyError, ValueError):
            with open_file(path) as file:  # checks it: nothing is assigned from a damaged file
                model.load_weights(path)
                # Checkpoints of earlier versions have none.
                states = file.get(SEED_STATES, {})
                for variable, number in zip(
                    seed_states(model), sorted(states, key=int), strict=False
                ):
                    variable.assign(states[number][()])
            return int(keras.ops.convert_to_numpy(model.optimizer.iterations))
    if paths:
        raise ValueError(
            "No checkpoint of the training can be read; start again with resume=False "
            f"(--no-resume). Received: {', '.join(map(str, paths))}"
        )
    return 0


class Validation(keras.callbacks.Callback):
    """Validate every few epochs and after the last, and keep the best model.

    The metrics are added to the epoch's logs, so that the progress bar, TensorBoard and the log
    file show them.

    Args:
        validate: Returns the validation metrics of the model in training, or None.
        keep: Called with the model whenever its metric is the highest so far.
        metric: Key of the metric.
        interval: Number of epochs between two validations.
        epochs: Number of epochs of the training.
        best: Highest value of the epochs before.
    """

    def __init__(
        self,
        validate: Callable[[keras.Model], Mapping[str, float] | None],
        keep: Callable[[keras.Model], None],
        *,
        metric: str,
        interval: int,
        epochs: int,
        best: float = -math.inf,
    ) -> None:
        super().__init__()
        self.validate = validate
        self.keep = keep
        self.metric = metric
        self.interval = interval
        self.epochs = epochs
        self.best = best

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Validate if the interval has passed."""
        done = epoch + 1
        if done % self.interval and done != self.epochs:
            return
        metrics = self.validate(self.model)
        if metrics is None:
            return
        if logs is not None:
            logs.update(metrics)
        if metrics[self.metric] > self.best:
            self.best = metrics[self.metric]
            self.keep(self.model)


class EarlyEnd(keras.callbacks.Callback):
    """End a training that no longer improves; whether it does is read from its log.

    Args:
        path: The csv file of the log, which another callback writes before.
        metric: Column whose highest value is the best.
        patience: Number of epochs without a better value after which the training ends; None for
            no early end.
    """

    def __init__(self, path: Path, metric: str, patience: int | None) -> None:
        super().__init__()
        self.path = path
        self.metric = metric
        self.patience = patience

    def is_due(self) -> bool:
        """Return whether the last epochs have not been better than one before."""
        rows = read_log(self.path)
        measured = [row for row in rows if self.metric in row]
        if self.patience is None or not measured:
            return False
        best = max(measured, key=lambda row: row[self.metric])  # the first of equal ones
        return measured[-1]["epoch"] - best["epoch"] >= self.patience

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop if it is due."""
        if self.is_due():
            self.model.stop_training = True


class EpochLog(keras.callbacks.Callback):
    """Write a csv file with a row per epoch, atomically; a repeated epoch replaces its row.

    The column ``learning_rate`` is the rate after the last step of the epoch, as in the logs of
    Keras' `LearningRateScheduler`; the losses are means over the epoch.

    Args:
        path: The file. Rows of epochs before ``first_epoch`` are kept.
        first_epoch: Epoch at which the training starts or resumes, from 0.
    """

    def __init__(self, path: Path, first_epoch: int = 0) -> None:
        super().__init__()
        self.path = path
        self.rows = [row for row in read_log(path) if row["epoch"] <= first_epoch]
        self.started = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Add the epoch's numbers."""
        row = {"epoch": float(epoch + 1), "seconds": time.monotonic() - self.started}
        rate = self.model.optimizer.learning_rate
        self.rows.append(row | {"learning_rate": float(rate)} | dict(logs or {}))
        atomic_write(self.path, self._write)

    def _write(self, path: Path) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows({name: f"{row[name]:.6g}" for name in row} for row in self.rows)


def read_log(path: Path) -> list[dict[str, float]]:
    """Return the rows of a training's log; no rows if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def best_value(path: Path, metric: str) -> float:
    """Return the highest value of a metric in a log; minus infinity if there is none."""
    return max((row.get(metric, -math.inf) for row in read_log(path)), default=-math.inf)
