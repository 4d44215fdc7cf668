"""Latency of architectures, measured with the files that `export.litert` writes.

Every measurement is interleaved with a network of 3 × 3 blocks: only ratios to it are used, so that
what slows down the machine for a while slows down both. With one thread its CPU time is measured,
which is the latency on a machine that does nothing else. Two interpreters of one file differ by
some percent all the time, by where their memory lies: every file is run by several.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import mean
from time import perf_counter, thread_time

import keras
import numpy as np
from rich.progress import track

from keras_shufflenet._checks import check_choice, check_integer, check_size
from keras_shufflenet.benchmark.interleaved import measure_interleaved
from keras_shufflenet.benchmark.networks import normalize
from keras_shufflenet.export import Report, litert
from keras_shufflenet.litert.interpreter import open_interpreter
from keras_shufflenet.models._registry import build_network
from keras_shufflenet.models.pose import HEADS, STRIDE, PoseEstimator
from keras_shufflenet.search.spaces import Architecture, SearchSpace

PRECISIONS = ("float32", "int8")
BATCH = 16  # files in memory at once, beside that of the base
BASE = -1  # its number among those of the networks
INTERPRETERS = 3  # of each file
COARSE = 8  # pixels of the images from which activation ranges are taken, enlarged

Run = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What is exported, and how it is run.

    Attributes:
        space: The search space.
        precision: "float32" or "int8".
        threads: Number of threads of the interpreter.
        input_size: (height, width) in pixels.
        head: Head of a pose estimator, see `models.pose.HEADS`; None for the classifier.
        classes: Number of classes of the classifier.

    Raises:
        ValueError: If an argument is invalid.
    """

    space: SearchSpace
    precision: str = "float32"
    threads: int = 1
    input_size: tuple[int, int] = (224, 224)
    head: str | None = None
    classes: int = 1000

    def __post_init__(self) -> None:
        """Check the attributes."""
        check_choice("precision", self.precision, PRECISIONS)
        check_integer("threads", self.threads)
        check_choice("head", self.head, (None, *HEADS))
        check_size("input_size", self.input_size, multiple_of=1 if self.head is None else STRIDE)
        check_integer("classes", self.classes)

    @property
    def base(self) -> Architecture:
        """The network that all others are compared with: the first choice, the scale next to 1."""
        scale = min(self.space.channel_scales, key=lambda scale: abs(scale - 1))
        units = self.space.units
        return Architecture((self.space.choices[0],) * units, (scale,) * units)

    def build(self, network: Architecture | str) -> keras.Model:
        """Build a network with random weights.

        Args:
            network: An architecture, or another network to compare with: a name of
                `list_models()`.
        """
        if isinstance(network, Architecture):
            self.space.check(network)
            network = f"{self.space.name}:{network}"
        if self.head is not None:
            return PoseEstimator(network, head=self.head, input_size=self.input_size)
        return build_network(network, input_shape=(*self.input_size, 3), classes=self.classes)

    def export(self, network: Architecture | str, path: Path) -> Report:
        """Write the `.tflite` file of a network, and return the report of the export.

        Weights are random. Activation ranges do not change the latency: they are those of
        enlarged noise, after which the normalizations are set.

        Args:
            network: As for `build`.
            path: The file.
        """
        model = self.build(network)
        model.run_eagerly = True  # the export runs it once, and tracing takes longer
        if self.precision == "float32":
            return litert(model, path, self.precision)
        noise = np.random.default_rng(0).uniform(0, 255, (2, COARSE, COARSE, 3))
        resized = keras.ops.image.resize(noise.astype(np.float32), self.input_size)
        images = keras.ops.convert_to_numpy(resized)
        normalize(model, images)
        return litert(model, path, self.precision, images, calibration_method="min_max")

    def measure(
        self, networks: Sequence[Architecture | str], iterations: int, verbose: bool = True
    ) -> tuple[np.ndarray, float]:
        """Measure networks beside the base.

        Args:
            networks: As for `build`.
            iterations: Timed runs of each file, of all its interpreters together.
            verbose: Whether to show progress.

        Returns:
            The latency of each, divided by that of the base, and the latency of the base in
            milliseconds: means of the interpreters' medians.

        Raises:
            ValueError: If there is no such network, or `iterations` is no positive integer.
        """
        check_integer("iterations", iterations)
        base_runs = self._open(self.base)
        ratios, base_times = [], []
        for start in range(0, len(networks), BATCH):
            batch = networks[start : start + BATCH]
            title = f"Exporting {start + 1} to {start + len(batch)} of {len(networks)}"
            opened = {BASE: base_runs} | {
                number: self._open(network)
                for number, network in enumerate(
                    track(batch, title, transient=True, disable=not verbose)
                )
            }
            times = self._time(opened, iterations, verbose)
            base = times.pop(BASE)
            base_times.append(base)
            ratios += [time / base for time in times.values()]
        return np.array(ratios), float(np.median(base_times))

    def _time(
        self, opened: Mapping[int, Sequence[Run]], iterations: int, verbose: bool
    ) -> dict[int, float]:
        """Return the milliseconds of files: the means of their interpreters' medians."""
        runs = {
            f"{number}.{index}": run
            for number, interpreters in opened.items()
            for index, run in enumerate(interpreters)
        }
        clock = thread_time if self.threads == 1 else perf_counter
        times = measure_interleaved(runs, ceil(iterations / INTERPRETERS), clock, verbose)
        return {
            number: mean(times[f"{number}.{index}"].median for index in range(len(interpreters)))
            for number, interpreters in opened.items()
        }

    def _open(self, network: Architecture | str) -> list[Run]:
        """Export a network, and return functions of several interpreters that run it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.tflite"
            self.export(network, path)
            interpreters = [open_interpreter(path, self.threads) for _ in range(INTERPRETERS)]
        for interpreter in interpreters:
            (image,) = interpreter.get_input_details()
            interpreter.set_tensor(image["index"], np.full(image["shape"], 128, image["dtype"]))
        return [interpreter.invoke for interpreter in interpreters]
