"""Ranges of the activations of a calibrated file, before it is quantized.

The converter takes the minimum and maximum of each tensor on the representative images. Activations
have long tails: a smaller range has finer steps and clips few values. The criterion is OCTAV's
(Sakr et al., arXiv 2206.06501): the sum of the squared errors of rounding and of clipping.

* What linear convolutions pass to other convolutions, such as the outputs of depthwise
  convolutions, is clipped on both sides alike.
* What they pass to a leaky ReLU is clipped on each side: errors of negative values are multiplied
  by its slope.
* What is concatenated, of these and of sums, gets one range, so that nothing is requantized.

(ReLU activations are clipped when the network is optimized.)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from keras_shufflenet.export.representative import full_batch
from keras_shufflenet.litert.interpreter import open_interpreter
from keras_shufflenet.litert.schema import operator_name, pack, schema

STEPS = 255
MAX_IMAGES = 32  # all of their tensors are read
BINS = 4096  # of the histogram of a tensor: 16 for each step
TINY = 1e-30  # width of the range of a tensor with a single value
# Candidates, as fractions of the range on the images; the one of least squared error is taken.
FRACTIONS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3)
BELOW_ZERO = (*FRACTIONS, 0.2, 0.15, 0.1, 0.07, 0.05)  # of what a slope makes small
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
LEAKY_RELU = "LEAKY_RELU"
SUM = "ADD"
# Operators whose inputs and outputs must have one scale.
REARRANGING = (
    "CONCATENATION",
    "MAX_POOL_2D",
    "PAD",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "STRIDED_SLICE",
)

Range = tuple[float, float]


@dataclass(frozen=True)
class Histogram:
    """The values of a tensor on the images.

    Attributes:
        range: The least and the greatest value.
        counts: (BINS,), how many values each part of the range has.
    """

    range: Range
    counts: np.ndarray

    def error(self, candidate: Range, slope: float) -> float:
        """Return the sum of the squared errors that a range causes in the next operator.

        Args:
            candidate: The range.
            slope: What the operator multiplies negative values by.
        """
        start, stop = self.range
        values = start + (np.arange(BINS) + 0.5) * (stop - start) / BINS
        clipped = np.clip(values, *candidate) - values
        weights = np.where(values < 0, slope**2, 1.0) * self.counts
        return float((weights * (np.square(clipped) + _rounding(candidate))).sum())


def clip_ranges(calibrated: bytes, images: np.ndarray) -> bytes:
    """Give activations the ranges that int8 needs.

    Args:
        calibrated: Bytes of a float file whose tensors have ranges.
        images: Representative images (N, H, W, 3).

    Returns:
        The file with other ranges.
    """
    graph = CalibratedGraph(calibrated)
    leaky = graph.leaky_inputs()
    histograms = graph.histograms(images, [*graph.linear_activations(), *leaky])
    for index, histogram in histograms.items():
        if index in leaky:
            graph.set_range(index, low_high := _asymmetric(histogram, leaky[index].slope))
            graph.set_range(leaky[index].output, (leaky[index].slope * low_high[0], low_high[1]))
        else:
            graph.set_range(index, _symmetric(histogram))
    for tensors, made in graph.joined():
        ranges = np.array([graph.range(index) for index in made])
        for index in tensors:
            graph.set_range(index, (float(ranges[:, 0].min()), float(ranges[:, 1].max())))
    return pack(graph.model, len(calibrated))


def _rounding(low_high: Range) -> float:
    """Return the mean squared error of rounding."""
    return ((low_high[1] - low_high[0]) / STEPS) ** 2 / 12


def _symmetric(histogram: Histogram) -> Range:
    low, high = histogram.range
    candidates = [(fraction * low, fraction * high) for fraction in FRACTIONS]
    return min(candidates, key=lambda candidate: histogram.error(candidate, 1.0))


def _asymmetric(histogram: Histogram, slope: float) -> Range:
    """Return the range of the input of a leaky ReLU, whose output is rounded, too."""
    low, high = histogram.range
    count = float(histogram.counts.sum())

    def error(candidate: Range) -> float:
        below, above = candidate
        return histogram.error(candidate, slope) + count * _rounding((slope * below, above))

    candidates = [(a * low, b * high) for a, b in product(BELOW_ZERO, FRACTIONS)]
    return min(candidates, key=error)


@dataclass(frozen=True)
class LeakyReLU:
    """A leaky ReLU.

    Attributes:
        output: Index of its output.
        slope: What it multiplies negative values by.
    """

    output: int
    slope: float


class CalibratedGraph:
    """The operators and tensors of a calibrated file.

    Attributes:
        model: The `schema.ModelT`, which is changed.
    """

    def __init__(self, content: bytes) -> None:
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        self._content = content
        self._graph = self.model.subgraphs[0]
        codes = [
            operator_name(code.customCode, code.builtinCode, code.deprecatedBuiltinCode)
            for code in self.model.operatorCodes
        ]
        self._operators = [(codes[each.opcodeIndex], each) for each in self._graph.operators]

    def range(self, index: int) -> Range:
        """Return the range of a tensor."""
        found = self._graph.tensors[index].quantization
        return float(found.min[0]), float(found.max[0])

    def set_range(self, index: int, low_high: Range) -> None:
        """Set the range of a tensor."""
        found = self._graph.tensors[index].quantization
        found.min, found.max = [low_high[0]], [low_high[1]]

    def linear_activations(self) -> list[int]:
        """Return the outputs of linear convolutions that only convolutions read."""
        return [index for index in self._linear if self._readers(index) <= set(CONVOLUTIONS)]

    def leaky_inputs(self) -> dict[int, LeakyReLU]:
        """Return the outputs of linear convolutions that only a leaky ReLU reads."""
        return {
            int(operator.inputs[0]): LeakyReLU(
                int(operator.outputs[0]), float(operator.builtinOptions.alpha)
            )
            for name, operator in self._operators
            if name == LEAKY_RELU
            and int(operator.inputs[0]) in self._linear
            and self._readers(int(operator.inputs[0])) == {LEAKY_RELU}
        }

    def joined(self) -> list[tuple[set[int], set[int]]]:
        """Return the tensors that must have one scale, and those of them that are computed.

        Left out are those that come from other operators than linear convolutions, leaky ReLUs and
        sums.
        """
        groups: dict[int, set[int]] = {}
        for name, operator in self._operators:
            if name in REARRANGING:
                tensors = {int(i) for i in (*operator.inputs, *operator.outputs) if self._varies(i)}
                merged = tensors.union(*(groups.get(index, set()) for index in tensors))
                groups.update(dict.fromkeys(merged, merged))
        sources = {
            int(operator.outputs[0]): name
            for name, operator in self._operators
            if name not in REARRANGING
        }
        found = []
        for group in {id(group): group for group in groups.values()}.values():
            made = group & sources.keys()
            plain = all(
                index in self._linear or sources[index] in (LEAKY_RELU, SUM) for index in made
            )
            if plain and not group & set(map(int, self._graph.inputs)):
                found.append((group, made))
        return found

    def histograms(self, images: np.ndarray, indices: Iterable[int]) -> dict[int, Histogram]:
        """Run the file on some of the images and return the histograms of tensors."""
        interpreter = open_interpreter(self._content, keep_tensors=True)
        source = interpreter.get_input_details()[0]
        counts = {index: np.zeros(BINS, np.int64) for index in indices}
        images = images[:: max(1, len(images) // MAX_IMAGES)]
        size = int(source["shape"][0])
        for start in range(0, len(images), size):
            interpreter.set_tensor(source["index"], full_batch(images, start, size))
            interpreter.invoke()
            for index, count in counts.items():
                low, high = self.range(index)
                width = max(high - low, TINY) / BINS
                places = (interpreter.get_tensor(index).ravel() - low) / width
                places = np.clip(places.astype(np.int32), 0, BINS - 1)
                count += np.bincount(places, minlength=BINS)
        return {index: Histogram(self.range(index), count) for index, count in counts.items()}

    @cached_property
    def _linear(self) -> set[int]:
        """The outputs of linear convolutions."""
        none = schema.ActivationFunctionType.NONE
        return {
            int(operator.outputs[0])
            for name, operator in self._operators
            if name in CONVOLUTIONS and operator.builtinOptions.fusedActivationFunction == none
        }

    def _readers(self, index: int) -> set[str]:
        names = {name for name, operator in self._operators if index in operator.inputs}
        return names | ({"output"} if index in self._graph.outputs else set())

    def _varies(self, index: Any) -> bool:
        """Return whether a tensor has a range: not so constants and missing inputs."""
        found = self._graph.tensors[index].quantization if index >= 0 else None
        return found is not None and found.min is not None and len(found.min) == 1
