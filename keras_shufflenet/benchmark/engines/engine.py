"""What an engine is: a way to make a file of a network, and a way to run that file.

Importing an engine imports none of the packages it needs, so that a process that runs one file
holds nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

Run = Callable[[], np.ndarray]


class UnavailableError(ImportError):
    """What an engine needs beyond its package is not here."""


@dataclass(frozen=True)
class Network:
    """What is compared.

    Attributes:
        name: of it.
        model: the network in Keras.
        images: (N, H, W, 3) float32, of real life: for calibration, and the first one to run.
        folder: of the files made of it.
    """

    name: str
    model: "keras.Model"
    images: np.ndarray
    folder: Path

    @cached_property
    def planes(self) -> np.ndarray:
        """The images as the ONNX file takes them, (N, 3, H, W)."""
        from keras_shufflenet.benchmark.engines.channels_first import planes

        return planes(self.model, self.images)

    @cached_property
    def onnx_file(self) -> Path:
        """The network in ONNX, float32."""
        from keras_shufflenet.benchmark.engines.channels_first import write

        path = self.folder / "network.onnx"
        write(self.model, path)
        return path


@dataclass(frozen=True)
class Engine:
    """An engine at one precision.

    Attributes:
        name: of the engine, as tables show it.
        precision: of arithmetic: "float32", "bfloat16" or "int8".
        packages: what must be imported to make and run files; the first one runs them.
        make: writes the files of a network into a folder and returns the one to open.
        open: opens a file for an input and a number of threads. What it returns runs the network
            from the input, an array, to the output, an array.
        planar: whether input and output have their channels first, and the input is normalized.
    """

    name: str
    precision: str
    packages: tuple[str, ...]
    make: Callable[[Network, Path], Path]
    open: Callable[[Path, np.ndarray, int], Run]
    planar: bool = True

    @property
    def title(self) -> str:
        """Name and precision."""
        return f"{self.name} {self.precision}"

    def input(self, network: Network) -> np.ndarray:
        """The first image of a network, (1, ...) float32, as this engine takes it."""
        return (network.planes if self.planar else network.images)[:1]
