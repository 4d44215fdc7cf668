"""Latency, size and memory of networks in several engines, side by side.

Every engine gets one image as a float32 array and returns an array. LiteRT files take pixels and
normalize them; the other engines take images that are normalized and channels first already, which
is not timed. All outputs are compared with those of Keras before anything is timed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track

from keras_shufflenet.benchmark.engines import COMPARED_WITH, OURS, Engine, Network
from keras_shufflenet.benchmark.interleaved import Latency, measure_interleaved
from keras_shufflenet.benchmark.memory import peak_memory
from keras_shufflenet.export.translation.onnx_graph import TranslationError

# Random networks amplify rounding errors, those of forty blocks even float32's. The output of a
# different network has an error of 1 and a correlation of 0.
TOLERANCE = 0.001  # of float32 outputs, relative to the maximum
MIN_CORRELATION = 0.9  # of bfloat16 and int8 outputs


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A network in the file format of an engine, with an input and the output of Keras."""

    network: str
    engine: Engine
    path: Path
    input: np.ndarray
    expected: np.ndarray

    @property
    def size(self) -> int:
        """Size in bytes, of all files if there are several."""
        return sum(path.stat().st_size for path in self.path.parent.iterdir())

    @property
    def title(self) -> str:
        """Network and engine."""
        return f"{self.network}, {self.engine.title}"


class Measurement(NamedTuple):
    """How a file runs.

    Attributes:
        network: Name of the network.
        engine: Name of the engine.
        version: Version of the engine.
        precision: Arithmetic precision.
        threads: Number of threads of the engine.
        size: Size of the file in bytes.
        memory: Peak memory in bytes of a process that only runs the file; None if unknown.
        latency: Latency of one image.
        ratio: Median of this package's export divided by this median. bfloat16 is compared with
            the int8 export. None if the export was not measured.
    """

    network: str
    engine: str
    version: str
    precision: str
    threads: int
    size: int
    memory: int | None
    latency: Latency
    ratio: float | None


def make_files(
    networks: Iterable[Network], engines: Sequence[Engine], log: Callable[[str], None]
) -> list[ModelFile]:
    """Write all networks for all engines that are installed.

    Args:
        networks: The networks.
        engines: The engines.
        log: Gets a line for each engine that is skipped.
    """
    installed = [engine for engine in engines if _is_installed(engine, log)]
    files = []
    for network in networks:
        expected = np.asarray(network.model(network.images[:1], training=False))
        for engine in track(installed, f"Writing {network.name}", transient=True):
            folder = network.folder / engine.title.replace(" ", "_").lower()
            folder.mkdir()
            try:
                path = engine.make(network, folder)
            except (ImportError, TranslationError) as error:
                log(f"{network.name}, {engine.title}: {error}")
                continue
            files.append(ModelFile(network.name, engine, path, engine.input(network), expected))
    return files


def _is_installed(engine: Engine, log: Callable[[str], None]) -> bool:
    missing = [package for package in engine.packages if find_spec(package) is None]
    if missing:
        log(
            f"{engine.title}: {' and '.join(missing)} not installed, "
            "pip install 'keras-shufflenet[runtimes]'"
        )
    return not missing


def measure(
    files: Sequence[ModelFile], threads: int, iterations: int, log: Callable[[str], None]
) -> list[Measurement]:
    """Time files with interleaved measurements.

    Args:
        files: Files from `make_files`.
        threads: Number of threads of each engine.
        iterations: Number of timed runs of each file.
        log: Gets a line for each file that cannot be opened or has another output than Keras.

    Raises:
        ValueError: If `iterations` is not a positive integer.
    """
    runs = {}
    for file in track(files, "Opening", transient=True):
        try:
            run = file.engine.open(file.path, file.input, threads)
        except ImportError as error:
            log(f"{file.title}: {error}")
            continue
        if difference := _difference(file, run()):
            log(f"{file.title}: not measured, its output is not that of Keras: {difference}")
            continue
        runs[file] = run
    times = measure_interleaved({file.title: run for file, run in runs.items()}, iterations)
    ours = {
        (file.network, file.engine.precision): times[file.title].median
        for file in runs
        if file.engine.name == OURS
    }
    return [
        Measurement(
            file.network,
            file.engine.name,
            version(file.engine.packages[0]),
            file.engine.precision,
            threads,
            file.size,
            peak_memory(file.engine, file.path, file.input, threads),
            times[file.title],
            _ratio(ours, file, times[file.title]),
        )
        for file in track(list(runs), "Measuring memory", transient=True)
    ]


def _ratio(
    ours: Mapping[tuple[str, str], float], file: ModelFile, latency: Latency
) -> float | None:
    median = ours.get((file.network, COMPARED_WITH[file.engine.precision]))
    return None if median is None else median / latency.median


def _difference(file: ModelFile, output: np.ndarray) -> str:
    """Describe how an output differs from that of Keras; empty if it is within the tolerance."""
    if file.engine.channels_first and output.ndim == 4:
        output = output.transpose(0, 2, 3, 1)
    expected = file.expected
    if output.shape != expected.shape:
        return f"shape {output.shape} instead of {expected.shape}"
    if file.engine.precision == "float32":
        error = np.abs(output - expected).max() / np.abs(expected).max()
        return "" if error <= TOLERANCE else f"relative error {error:.2g}"
    correlation = np.corrcoef(output.ravel(), expected.ravel())[0, 1]
    return "" if correlation >= MIN_CORRELATION else f"correlation {correlation:.3f}"
