"""Latency of architectures, measured with the files that `export.litert` writes.

Every measurement is interleaved with a network of 3 × 3 blocks: only ratios to it are used, so that
what slows down the machine for a while slows down both. With one thread its CPU time is measured,
which is the latency on a machine that does nothing else.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, thread_time

import keras
import numpy as np
from rich.progress import track

from keras_shufflenet._checks import check_choice, check_integer, check_size
from keras_shufflenet.benchmark.interleaved import measure_interleaved
from keras_shufflenet.benchmark.networks import normalize
from keras_shufflenet.models.pose import HEADS, STRIDE, PoseEstimator
from keras_shufflenet.search.spaces import Architecture, SearchSpace

PRECISIONS = ("float32", "int8")
BATCH = 16  # files in memory at once, beside that of the base
BASE = "base"
NAME = "network"  # of the models
COARSE = 8  # pixels of the images from which activation ranges are taken, enlarged


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

    def build(self, architecture: Architecture) -> keras.Model:
        """Build the network, with random weights."""
        if self.head is not None:
            name = f"{self.space.name}:{architecture}"
            return PoseEstimator(name, head=self.head, input_size=self.input_size, name=NAME)
        shape = (*self.input_size, 3)
        return self.space.build(architecture, input_shape=shape, classes=self.classes, name=NAME)

    def export(self, architecture: Architecture) -> bytes:
        """Return the content of the `.tflite` file.

        Weights are random. Activation ranges do not change the latency: they are those of
        enlarged noise, after which the normalizations are set.
        """
        from keras_shufflenet.export.litert import litert

        model = self.build(architecture)
        model.run_eagerly = True  # the export runs it once, and tracing takes longer
        calibration = {}
        if self.precision == "int8":
            noise = np.random.default_rng(0).uniform(0, 255, (2, COARSE, COARSE, 3))
            resized = keras.ops.image.resize(noise.astype(np.float32), self.input_size)
            images = keras.ops.convert_to_numpy(resized)
            normalize(model, images)
            calibration = {"representative_dataset": images, "calibration_method": "min_max"}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.tflite"
            litert(model, path, self.precision, **calibration)
            return path.read_bytes()

    def measure(
        self, architectures: Sequence[Architecture], iterations: int, verbose: bool = True
    ) -> tuple[np.ndarray, float]:
        """Measure architectures beside the base.

        Args:
            architectures: The architectures.
            iterations: Timed runs of each file.
            verbose: Whether to show progress.

        Returns:
            The latency of each, divided by that of the base, and the latency of the base in
            milliseconds: medians.

        Raises:
            ValueError: If an architecture is not of the space, or `iterations` no positive integer.
        """
        check_integer("iterations", iterations)
        base_run = self._open(self.base)
        ratios, base_times = [], []
        for start in range(0, len(architectures), BATCH):
            batch = architectures[start : start + BATCH]
            title = f"Exporting {start + 1} to {start + len(batch)} of {len(architectures)}"
            runs = {BASE: base_run} | {
                str(number): self._open(architecture)
                for number, architecture in enumerate(
                    track(batch, title, transient=True, disable=not verbose)
                )
            }
            clock = thread_time if self.threads == 1 else perf_counter
            times = measure_interleaved(runs, iterations, clock)
            base = times.pop(BASE).median
            base_times.append(base)
            ratios += [time.median / base for time in times.values()]
        return np.array(ratios), float(np.median(base_times))

    def _open(self, architecture: Architecture) -> Callable[[], None]:
        """Export a network, and return a function that runs it."""
        from keras_shufflenet.litert.interpreter import open_interpreter

        interpreter = open_interpreter(self.export(architecture), self.threads)
        (image,) = interpreter.get_input_details()
        interpreter.set_tensor(image["index"], np.full(image["shape"], 128, image["dtype"]))
        return interpreter.invoke
