"""The training process, as seen from the process that starts it, and the batches it is sent."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import keras
import numpy as np

from keras_shufflenet._keras_private import operation_of
from keras_shufflenet.data.elements import elements, parts_of
from keras_shufflenet.export.representative import ImageShape, images_of
from keras_shufflenet.inference.detection import design_of
from keras_shufflenet.inference.predictor import Predictor

SCRIPT = Path(__file__).with_name("worker.py")
LENGTH_BYTES = 8
ENVIRONMENT = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


class TrainingProcess:
    """Runs `worker.py` on the folder of a plan; a context manager.

    Raises:
        RuntimeError: From all methods, if the process has failed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._errors = (folder / "errors.txt").open("w+", encoding="utf-8")
        # -P: nothing is imported from the script's folder.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **ENVIRONMENT, "TMPDIR": str(folder)},  # removed with what it holds
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._into, self._out_of = self._process.stdin, self._process.stdout

    def __enter__(self) -> "TrainingProcess":
        """Return the process."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill the process if it is still running."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._out_of.close()
        self._close_input()
        self._errors.close()

    def send(self, **arrays: np.ndarray) -> None:
        """Send a batch."""
        archive = io.BytesIO()
        np.savez(archive, allow_pickle=False, **arrays)
        try:
            self._into.write(archive.tell().to_bytes(LENGTH_BYTES, "little"))
            self._into.write(archive.getbuffer())
            self._into.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def receive(self) -> dict[str, Any]:
        """Wait for the next message."""
        line = self._out_of.readline()
        if not line:
            raise self._failure()
        return json.loads(line)

    def finish(self) -> bytes:
        """Signal the end of the batches and wait for the file."""
        self._close_input()
        if self._process.wait():
            raise self._failure()
        return (self._folder / "model.tflite").read_bytes()

    def _close_input(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # data that a dead process did not read
            self._into.close()

    def _failure(self) -> RuntimeError:
        code = self._process.wait()
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        return RuntimeError(
            f"The training process ended with exit code {code}. "
            f"Received: {lines[-1].strip() if lines else 'no message'}"
        )


Loss = Literal["distillation", "labels"]


class Targets:
    """Computes the targets of a batch.

    Args:
        model: The float network.
        loss: See `quantization_aware_training`.
    """

    def __init__(self, model: keras.Model, loss: Loss) -> None:
        self._teacher = Predictor.load(model) if loss == "distillation" else None
        self._softmax = _ends_in_softmax(model)
        if self._teacher is None and find_boxes(model):
            raise ValueError(
                "`loss` must be 'distillation' for a detector. Received: loss='labels'"
            )
        self._shape = tuple(model.output_shape[1:])

    def __call__(self, images: np.ndarray, labels: list[Any]) -> dict[str, np.ndarray]:
        """Return targets (N, ...) and sample weights for images (N, H, W, 3) and their labels."""
        if self._teacher is not None:
            return {"targets": self._teacher.predict(images), "weights": np.ones(1, np.float32)}
        if not labels:
            raise ValueError(
                "`dataset` must yield images and labels for loss='labels'. Received: images alone"
            )
        targets, weights = np.asarray(labels[0]), np.ones(1, np.float32)
        if len(labels) > 1:
            weights = np.asarray(labels[1], np.float32)
        if self._softmax and targets.shape[1:] in ((), (1,)):
            targets = self._one_hot(targets.reshape(-1))
        if not self._fits(targets, len(images)):
            raise ValueError(
                f"Labels must have the shape (N, {', '.join(map(str, self._shape))}) of the "
                f"model's output. Received: shape {targets.shape}"
            )
        return {"targets": targets.astype(np.float32), "weights": weights}

    def _fits(self, targets: np.ndarray, count: int) -> bool:
        wanted = (count, *self._shape)
        return targets.ndim == len(wanted) and all(
            own in (None, got) for own, got in zip(wanted, targets.shape, strict=True)
        )

    def _one_hot(self, classes: np.ndarray) -> np.ndarray:
        (count,) = self._shape
        if classes.min() < 0 or classes.max() >= count:
            raise ValueError(
                f"Classes must be integers from 0 to {count - 1}. "
                f"Received: {classes.min()} to {classes.max()}"
            )
        return np.eye(count, dtype=np.float32)[classes.astype(np.int64)]


def find_boxes(model: keras.Model) -> int:
    """Return the number of columns of the output that tell boxes: 0 unless it is NanoDet."""
    try:
        design = design_of(Predictor.load(model))
        design.count_classes(model.output_shape[-1])
    except ValueError:
        return 0
    return design.box_channels if design.box_code == "distances" else 0


def _ends_in_softmax(model: keras.Model) -> bool:
    operation = operation_of(model.outputs[0])
    config = operation.get_config() if isinstance(operation, keras.Layer) else {}
    return isinstance(operation, keras.layers.Softmax) or config.get("activation") == "softmax"


def training_batches(
    dataset: Any, shape: ImageShape, targets: Targets, input_name: str = ""
) -> Iterator[dict[str, np.ndarray]]:
    """Yield batches for the training process, infinitely.

    Args:
        dataset: See `quantization_aware_training`.
        shape: (height, width, channels) of the images.
        targets: Computes the targets.
        input_name: Name of the model's input.

    Raises:
        ValueError: While iterating, if images have another size or there are none.
    """
    while True:
        count = 0
        for element in elements(dataset, "dataset"):
            images = images_of(element, shape, input_name)
            labels = [np.atleast_1d(np.asarray(part)) for part in parts_of(element)[1:]]
            yield {"images": images, **targets(images, labels)}
            count += 1
        if count == 0:
            raise ValueError(
                "`dataset` must be re-iterable and have at least one batch. "
                f"Received: a {type(dataset).__name__} that is exhausted"
            )
