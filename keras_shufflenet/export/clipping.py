"""Ranges of the activations of a calibrated file, before it is quantized.

The converter takes the minimum and maximum of each tensor on the representative images. These get
smaller ranges, as `litert.activation_ranges` finds them:

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
from typing import Any

import numpy as np

from keras_shufflenet.export.representative import full_batch
from keras_shufflenet.litert.activation_ranges import Histogram, Range, asymmetric, symmetric
from keras_shufflenet.litert.interpreter import open_interpreter
from keras_shufflenet.litert.schema import operator_name, pack, schema

MAX_IMAGES = 32  # all of their tensors are read
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
            graph.set_range(index, low_high := asymmetric(histogram, leaky[index].slope))
            graph.set_range(leaky[index].output, (leaky[index].slope * low_high[0], low_high[1]))
        else:
            graph.set_range(index, symmetric(histogram))
    for tensors, made in graph.joined():
        ranges = np.array([graph.range(index) for index in made])
        for index in tensors:
            graph.set_range(index, (float(ranges[:, 0].min()), float(ranges[:, 1].max())))
    return pack(graph.model, len(calibrated))


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
        found = {index: Histogram(self.range(index)) for index in indices}
        images = images[:: max(1, len(images) // MAX_IMAGES)]
        size = int(source["shape"][0])
        for start in range(0, len(images), size):
            interpreter.set_tensor(source["index"], full_batch(images, start, size))
            interpreter.invoke()
            for index, histogram in found.items():
                histogram.add(interpreter.get_tensor(index))
        return found

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
