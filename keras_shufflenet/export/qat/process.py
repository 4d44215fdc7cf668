"""The training process, seen from the one that started it."""

import contextlib
import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

SCRIPT = Path(__file__).with_name("child.py")
PACKAGES = ("tf_keras", "tensorflow_model_optimization")
LENGTH_BYTES = 8
ENVIRONMENT = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def check_installed() -> None:
    """Raise an ImportError if what the training process needs is not there."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ImportError(
            "Quantization-aware training needs tf_keras and tensorflow-model-optimization: "
            f"`pip install keras-shufflenet[qat]`. Received: no {' and no '.join(missing)}"
        )


class TrainingProcess:
    """Runs `child.py` with the folder of a plan; a context manager.

    Raises:
        RuntimeError: from all methods, if the process ended before its time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._errors = (folder / "errors.txt").open("w+", encoding="utf-8")
        # -P: the script's folder has nothing to be imported from.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **ENVIRONMENT, "TMPDIR": str(folder)},  # whatever it leaves
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._into, self._out_of = self._process.stdin, self._process.stdout

    def __enter__(self) -> "TrainingProcess":
        """The process itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process, if it has not ended."""
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

    def hear(self) -> dict[str, Any]:
        """Wait for the next message."""
        line = self._out_of.readline()
        if not line:
            raise self._failure()
        return json.loads(line)

    def finish(self) -> bytes:
        """Say that there are no more batches, and wait for the file."""
        self._close_input()
        if self._process.wait():
            raise self._failure()
        return (self._folder / "model.tflite").read_bytes()

    def _close_input(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # it holds what a dead process did not read
            self._into.close()

    def _failure(self) -> RuntimeError:
        code = self._process.wait()
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        return RuntimeError(
            f"The training process ended with exit code {code}. "
            f"Received: {lines[-1].strip() if lines else 'nothing on its stderr'}"
        )
