"""An engine: how to write the file of a network, and how to run that file.

Importing an engine imports none of the packages that it needs, so that a process that runs one
file holds nothing else.
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
    """Something that an engine needs beyond its package is missing."""


@dataclass(frozen=True)
class Network:
    """A network to measure.

    Attributes:
        name: Name of the network.
        model: The Keras model.
        images: (N, H, W, 3) float32, representative images for calibration; the first one is the
            input of the timed runs.
        folder: Folder for the files of all engines.
    """

    name: str
    model: "keras.Model"
    images: np.ndarray
    folder: Path

    @cached_property
    def channels_first_images(self) -> np.ndarray:
        """The images as the ONNX file takes them: normalized, (N, 3, H, W)."""
        from keras import layers, ops

        images = self.images
        for layer in self.model.layers:
            if isinstance(layer, layers.Normalization):
                images = ops.convert_to_numpy(layer(images))
        return np.ascontiguousarray(np.transpose(images, (0, 3, 1, 2)), np.float32)

    @cached_property
    def onnx_file(self) -> Path:
        """The network in ONNX, float32, for one image that is normalized before it is timed."""
        import onnx

        from keras_shufflenet.export.translation.channels_first import translate

        path = self.folder / "network.onnx"
        onnx.save(translate(self.model, include_preprocessing=False), path)
        return path


@dataclass(frozen=True)
class Engine:
    """An engine at one precision.

    Attributes:
        name: Name of the engine in tables.
        precision: Arithmetic precision: "float32", "bfloat16" or "int8".
        packages: Packages that write and run the files; the first one runs them.
        make: Writes the files of a network into a folder and returns the one to open.
        open: Opens a file for an input and a number of threads, and returns a function that runs
            the network on that input and returns the output.
        channels_first: Whether input and output are channels first and the input is normalized.
    """

    name: str
    precision: str
    packages: tuple[str, ...]
    make: Callable[[Network, Path], Path]
    open: Callable[[Path, np.ndarray, int], Run]
    channels_first: bool = True

    @property
    def title(self) -> str:
        """Name and precision."""
        return f"{self.name} {self.precision}"

    def input(self, network: Network) -> np.ndarray:
        """Return the first image of a network, (1, ...) float32, as this engine takes it."""
        return (network.channels_first_images if self.channels_first else network.images)[:1]
