"""Latency, size and memory of networks in several engines, side by side.

Every engine gets one image as an array of float32 and gives an array back. LiteRT's files take
pixels and normalize them; the others take images that are normalized and have their channels
first, which is done before the clock starts. All outputs are compared with Keras' own before
anything is timed.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track

from keras_shufflenet.benchmark.engines import CLASSES, OURS, Engine, Network
from keras_shufflenet.benchmark.engines.channels_first import TranslationError
from keras_shufflenet.benchmark.interleaved import Latency, measure_interleaved
from keras_shufflenet.benchmark.memory import peak_memory

# Random networks amplify rounding, those of forty blocks even float32's; what another network gives
# is off by as much as the greatest number, and correlates by 0.
TOLERANCE = 0.001  # of float32, in units of the greatest number
LEAST_CORRELATION = 0.9


@dataclass(frozen=True, eq=False)
class File:
    """A network in the form that an engine opens."""

    network: str
    engine: Engine
    path: Path
    input: np.ndarray
    expected: np.ndarray

    @property
    def size(self) -> int:
        """Bytes of all that was written for it."""
        return sum(path.stat().st_size for path in self.path.parent.iterdir())

    @property
    def title(self) -> str:
        """Network and engine."""
        return f"{self.network}, {self.engine.title}"


class Measured(NamedTuple):
    """A file, and how it runs.

    Attributes:
        network: name of it.
        engine: name of it.
        version: of the engine.
        precision: of its arithmetic.
        threads: that it was given.
        size: of the file in bytes.
        memory: greatest of a process that only runs the file, in bytes; None if not known.
        latency: of one image.
        ratio: our median over this one. bfloat16 is compared with our int8; None without ours.
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
    networks: Iterable[Network], engines: Sequence[Engine], say: Callable[[str], None]
) -> list[File]:
    """Write all networks for all engines that are here.

    Args:
        networks: to write.
        engines: to write them for.
        say: gets a line for each engine that falls out.
    """
    present = [engine for engine in engines if _is_present(engine, say)]
    files = []
    for network in networks:
        expected = np.asarray(network.model(network.images[:1], training=False))
        for engine in track(present, f"Writing {network.name}", transient=True):
            folder = network.folder / engine.title.replace(" ", "_").lower()
            folder.mkdir()
            try:
                path = engine.make(network, folder)
            except (ImportError, TranslationError) as error:
                say(f"{network.name}, {engine.title}: {error}")
                continue
            files.append(File(network.name, engine, path, engine.input(network), expected))
    return files


def _is_present(engine: Engine, say: Callable[[str], None]) -> bool:
    missing = [package for package in engine.packages if find_spec(package) is None]
    if missing:
        say(
            f"{engine.title}: {' and '.join(missing)} not installed, "
            "pip install 'keras-shufflenet[peers]'"
        )
    return not missing


def measure(
    files: Sequence[File], threads: int, iterations: int, say: Callable[[str], None]
) -> list[Measured]:
    """Time files in turns.

    Args:
        files: of `make_files`.
        threads: of each engine.
        iterations: turns of each file.
        say: gets a line for each file that cannot be opened here, or computes something else.

    Raises:
        ValueError: if `iterations` is not positive.
    """
    runs = {}
    for file in track(files, "Opening", transient=True):
        try:
            run = file.engine.open(file.path, file.input, threads)
        except ImportError as error:
            say(f"{file.title}: {error}")
            continue
        if disagreement := _disagreement(file, run()):
            say(f"{file.title}: not measured, its output is not that of Keras, {disagreement}")
            continue
        runs[file] = run
    times = measure_interleaved({file.title: run for file, run in runs.items()}, iterations)
    ours = {
        (file.network, file.engine.precision): times[file.title].median
        for file in runs
        if file.engine.name == OURS
    }
    return [
        Measured(
            file.network,
            file.engine.name,
            version(file.engine.packages[0]),
            file.engine.precision,
            threads,
            file.size,
            peak_memory(file.engine, file.path, file.input, threads),
            times[file.title],
            _ratio(ours.get((file.network, CLASSES[file.engine.precision])), times[file.title]),
        )
        for file in track(list(runs), "Measuring memory", transient=True)
    ]


def _ratio(ours: float | None, latency: Latency) -> float | None:
    return None if ours is None else ours / latency.median


def _disagreement(file: File, output: np.ndarray) -> str:
    """How an output differs from Keras' own; empty if it does not."""
    if file.engine.planar and output.ndim == 4:
        output = output.transpose(0, 2, 3, 1)
    expected = file.expected
    if output.shape != expected.shape:
        return f"its shape {output.shape} in the place of {expected.shape}"
    if file.engine.precision == "float32":
        error = np.abs(output - expected).max() / np.abs(expected).max()
        return "" if error <= TOLERANCE else f"relative error {error:.2g}"
    correlation = np.corrcoef(output.ravel(), expected.ravel())[0, 1]
    return "" if correlation >= LEAST_CORRELATION else f"correlation {correlation:.3f}"
