"""Keras callbacks of a training that can be killed at any moment and measures COCO AP."""

import contextlib
import csv
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from keras_shufflenet._files import write_whole

LAST = "last.weights.h5"
PREVIOUS = "previous.weights.h5"


def save_plain(model: keras.Model, trained: keras.Model, path: Path) -> None:
    """Write a model with the weights of its training copy.

    The file has no compile state, so that it opens where this package is missing.
    """
    model.set_weights(trained.get_weights())
    write_whole(path, keras.Model(model.inputs, model.outputs, name=model.name).save)


class StopAtNaN(keras.callbacks.Callback):
    """End a training whose loss is no number any more; its last good state stays.

    Raises:
        ValueError: From `fit`.
    """

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look at the mean loss of the epoch so far."""
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise ValueError(
                "the loss must stay finite; a lower learning rate helps, or people without broken "
                f"coordinates. Received: loss={loss} in step {batch + 1} of the epoch"
            )


class Checkpoint(keras.callbacks.Callback):
    """Keep the last two states of a training: weights, optimizer variables and with them the step.

    A state is one file, written beside its place and renamed, at the end of every epoch and
    whenever ``minutes`` have passed. The state before it stays as ``previous.weights.h5``.

    Args:
        directory: Folder of the training.
        minutes: Greatest age of a state within an epoch.
    """

    def __init__(self, directory: Path, minutes: float = 10.0) -> None:
        super().__init__()
        self.directory = directory
        self.minutes = minutes
        self.saved = time.monotonic()

    def on_train_begin(self, logs: Any = None) -> None:
        """Save, so that a training killed early goes on from the same initial weights."""
        self.save()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Save when the last state is too old."""
        if time.monotonic() - self.saved >= 60 * self.minutes:
            self.save()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save."""
        self.save()

    def save(self) -> None:
        """Write the state; at no moment is there none to be read."""
        write_whole(self.directory / LAST, self._rotate_after_writing)
        self.saved = time.monotonic()

    def _rotate_after_writing(self, path: Path) -> None:
        self.model.save_weights(path)
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.directory / LAST, self.directory / PREVIOUS)


def restore(model: keras.Model, directory: Path) -> int:
    """Load the newest readable state into a compiled model.

    Args:
        model: The model, compiled as it was when the state was saved.
        directory: Folder of the training.

    Returns:
        Number of steps done; 0 when no state was saved yet.

    Raises:
        ValueError: If there are states and none can be read.
    """
    paths = [path for name in (LAST, PREVIOUS) if (path := directory / name).exists()]
    model.optimizer.build(model.trainable_variables)
    for path in paths:
        with contextlib.suppress(OSError, KeyError, ValueError):
            model.load_weights(path)
            return int(model.optimizer.iterations)
    if paths:
        raise ValueError(
            "no checkpoint of the training can be read; start anew without resuming. "
            f"Received: {', '.join(map(str, paths))}"
        )
    return 0


class AveragePrecision(keras.callbacks.Callback):
    """Measure AP every few epochs and after the last, and keep the best model.

    The ten numbers go into the epoch's logs, so that the progress bar, TensorBoard and the log
    file show them.

    Args:
        evaluate: Returns the COCO numbers of the model in training.
        keep: Called with the model whenever its AP is the greatest so far.
        every: Epochs between two measurements.
        epochs: Number of epochs of the training.
        best: Greatest AP of the epochs before.
    """

    def __init__(
        self,
        evaluate: Callable[[keras.Model], Mapping[str, float]],
        keep: Callable[[keras.Model], None],
        *,
        every: int,
        epochs: int,
        best: float = -math.inf,
    ) -> None:
        super().__init__()
        self.evaluate = evaluate
        self.keep = keep
        self.every = every
        self.epochs = epochs
        self.best = best

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Measure if it is this epoch's turn."""
        done = epoch + 1
        if done % self.every and done != self.epochs:
            return
        numbers = self.evaluate(self.model)
        if logs is not None:
            logs.update(numbers)
        if numbers["AP"] > self.best:
            self.best = numbers["AP"]
            self.keep(self.model)


class EpochLog(keras.callbacks.Callback):
    """Write a csv file with a row per epoch, atomically; a repeated epoch replaces its row.

    Args:
        path: The file. Rows of epochs before ``first_epoch`` are kept.
        first_epoch: Epoch at which the training starts or goes on, from 0.
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
        write_whole(self.path, self._write)

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


def best_ap(path: Path) -> float:
    """Return the greatest AP in a training's log; minus infinity if there is none."""
    return max((row.get("AP", -math.inf) for row in read_log(path)), default=-math.inf)
