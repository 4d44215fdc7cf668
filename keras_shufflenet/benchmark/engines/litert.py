"""LiteRT with XNNPACK: the export of this package, and that of TensorFlow's converter alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_shufflenet.benchmark.engines.engine import Engine, Network, Run

OURS, DEFAULT_CONVERTER = "LiteRT", "LiteRT, default TFLite converter"
PACKAGES = ("ai_edge_litert",)


def _maker(precision: str, optimize: bool) -> Callable[[Network, Path], Path]:
    def make(network: Network, folder: Path) -> Path:
        import keras_shufflenet as ks

        path = folder / f"{network.name}.tflite"
        ks.export.litert(network.model, path, precision, network.images, optimize=optimize)
        return path

    return make


def _open(path: Path, images: np.ndarray, threads: int) -> Run:
    from keras_shufflenet.litert.interpreter import open_interpreter, run_images

    interpreter = open_interpreter(path, threads)
    return lambda: run_images(interpreter, images[:1])[0]


ENGINES = tuple(
    Engine(name, precision, PACKAGES, _maker(precision, name == OURS), _open, channels_first=False)
    for name in (OURS, DEFAULT_CONVERTER)
    for precision in ("float32", "int8")
)
