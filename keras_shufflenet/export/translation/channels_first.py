"""Translation of a Keras network to an ONNX graph in the form of its PyTorch original.

Other runtimes are optimized for that form: channels first, padding as an attribute of convolutions
and poolings, both halves of a split from one node, the channel shuffle as a transposition of five
axes, and batch normalization folded into weights.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_shufflenet._keras_private import calls
from keras_shufflenet.export.optimization.trace import (
    IDENTITIES,
    GraphOptimizationError,
    rearranged,
)
from keras_shufflenet.export.translation import onnx_layers
from keras_shufflenet.export.translation.onnx_graph import (
    INPUT,
    OnnxGraph,
    Shape,
    TranslationError,
)
from keras_shufflenet.export.translation.onnx_layers import (
    ACTIVATIONS,
    NO_PADS,
    Value,
    require,
    same_pads,
    takes_pads,
    unsupported,
)
from keras_shufflenet.inference.keras_outputs import output_names

ANY_BATCH = "batch"
WEIGHTED = ("Conv", "ConvTranspose")
FUSED = "a fused activation: use a separate Activation layer"
TO_CHANNELS_FIRST, TO_CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def translate(
    model: keras.Model,
    *,
    batch_size: int | None = 1,
    data_format: str = "channels_first",
    include_preprocessing: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> Any:
    """Return the ONNX model of a network of this package.

    Args:
        model: A functional model, channels last, of a fixed input size, without nested models.
        batch_size: Number of images of its input; None for any number.
        data_format: Order of the axes of its input and of feature maps that it returns.
        include_preprocessing: Whether it normalizes images, if the model does.
        metadata: Texts that the file carries, by their keys.

    Raises:
        TranslationError: If the network has a layer that no network of this package has.
    """
    translator = _Translator(model, batch_size, data_format, include_preprocessing)
    return translator.translate(metadata or {})


class _Translator:
    """Translates a model call by call."""

    def __init__(
        self,
        model: keras.Model,
        batch_size: int | None,
        data_format: str,
        include_preprocessing: bool,
    ) -> None:
        self._model = model
        self._batch_size = batch_size
        self._is_channels_last = data_format == "channels_last"
        self._include_preprocessing = include_preprocessing
        self._graph = OnnxGraph(batch_size or 0)
        self._values: dict[int, Value] = {}
        self._halves: dict[int, dict[int, tuple[str, int]]] = {}
        self._calls = list(calls(model))
        self._consumers = Counter(map(id, model.outputs))
        self._consumers.update(id(x) for call in self._calls for x in call.input_tensors)

    def translate(self, metadata: Mapping[str, str]) -> Any:
        """Return the ONNX model."""
        (source,) = self._model.inputs
        name = INPUT
        if self._is_channels_last:
            name = self._graph.add("Transpose", "planes", [INPUT], perm=TO_CHANNELS_FIRST)
        self._values[id(source)] = Value(name, np.arange(source.shape[-1]))
        for call in self._calls:
            (output,) = call.outputs
            self._values[id(output)] = self._translate(call, output)
        outputs: dict[str, Shape] = {}
        changed: dict[str, str] = {}
        names = output_names(self._model) or ()
        made = [self._output(tensor) for tensor in self._model.outputs]
        for (name, shape), wanted in zip(made, names, strict=True):
            name = changed.get(name, name)
            if name in outputs or name == INPUT:  # returned twice, or as it is
                name = self._graph.add("Identity", f"{name}_returned", [name])
            changed |= self._graph.rename(name, wanted)
            outputs[wanted] = shape
        return self._graph.model(
            self._model.name, self._shape(source.shape), outputs, dict(metadata)
        )

    def _output(self, tensor: keras.KerasTensor) -> tuple[str, Shape]:
        """Return the name and shape of an output of the graph."""
        value = self._padded(self._values[id(tensor)])
        if value.edge or value.repeats or value.channels.ndim > 1 or tensor.ndim > 4:
            raise TranslationError(
                "An output must be a vector, predictions or a feature map. "
                f"Received: shape {tensor.shape} of {self._model.name}"
            )
        if tensor.ndim == 2:
            return self._flat(value), (self._batch, tensor.shape[-1])
        if tensor.ndim == 3:  # predictions; their original has the points first, too
            name = self._graph.add("Transpose", "points", [value.name], perm=(0, 2, 1))
            return name, (self._batch, *tensor.shape[1:])
        name = value.name
        if self._is_channels_last:
            name = self._graph.add(
                "Transpose", f"{name}_channels_last", [name], perm=TO_CHANNELS_LAST
            )
        return name, self._shape(tensor.shape)

    @property
    def _batch(self) -> int | str:
        return self._batch_size or ANY_BATCH

    def _shape(self, shape: Sequence[int | None]) -> Shape:
        """Return the shape of images or feature maps in the file."""
        _, *sizes, channels = shape
        ordered = (*sizes, channels) if self._is_channels_last else (channels, *sizes)
        return (self._batch, *ordered)

    def _translate(self, call: Any, output: keras.KerasTensor) -> Value:
        layer = call.operation
        values = [self._values[id(x)] for x in call.input_tensors]
        if not takes_pads(layer, values[0], self._graph):
            values = [self._padded(each) for each in values]
        repeating = isinstance(layer, (layers.Concatenate, layers.Cropping2D, layers.MaxPooling2D))
        odd = any(each.edge or each.repeats for each in values) and not repeating
        require(not odd, layer, "a single row or repeated edges as input")
        if len(values) > 1:
            ranks = {x.ndim for x in call.input_tensors}
            require(len(ranks) == 1, layer, "inputs of different ranks")
            if output.ndim == 2:
                values = [each._replace(name=self._flat(each), flat=True) for each in values]
        value = values[0]
        is_left_out = isinstance(layer, layers.Normalization) and not self._include_preprocessing
        if isinstance(layer, IDENTITIES) or is_left_out:
            return value
        is_gather = type(layer).__name__ == "Take"  # a shuffle of images of any size
        is_shuffle = isinstance(layer, (layers.Reshape, layers.Permute)) and output.ndim != 3
        if any(each.channels.ndim > 1 for each in values) or is_shuffle or is_gather:
            require(len(values) == 1, layer, "channels that are split into groups")
            return self._rearrange(layer, value, call, output)
        for kind, translate in TRANSLATIONS.items():
            if isinstance(layer, kind):
                return translate(self, layer, values, call, output)
        for kind, translate_layer in onnx_layers.TRANSLATIONS.items():
            if isinstance(layer, kind):
                return translate_layer(self._graph, layer, values, output)
        raise unsupported(layer)

    def _padded(self, value: Value) -> Value:
        """Return a value whose zeros, if they are left to the next layer, are added here."""
        if value.pads == NO_PADS or value.repeats:
            return value
        above, left, below, right = value.pads
        name = f"{value.name}_padded"
        sizes = self._graph.constant(f"{name}_sizes", [0, 0, above, left, 0, 0, below, right])
        return value.renamed(self._graph.add("Pad", name, [value.name, sizes]))

    def _conv(self, layer: Any, values: list[Value], call: Any, output: Any) -> Value:
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        kernel = _array(layer.kernel).transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        groups = len(kernel) if depthwise else layer.groups
        if depthwise:
            kernel = kernel.reshape(-1, 1, *layer.kernel_size)
        pads = values[0].pads
        if layer.padding == "same":
            pads = same_pads(layer, call.input_tensors[0].shape[1:3])
        attributes = {
            "kernel_shape": layer.kernel_size,
            "strides": layer.strides,
            "pads": pads,
            "dilations": layer.dilation_rate,
            "group": groups,
        }
        return self._weighted("Conv", layer, values[0].name, kernel, output, attributes)

    def _deconv(self, layer: Any, values: list[Value], call: Any, output: Any) -> Value:
        known = layer.kernel_size == (4, 4) and layer.strides == (2, 2) and layer.padding == "same"
        require(known, layer, "a kernel other than 4 × 4 or strides other than 2")
        kernel = _array(layer.kernel).transpose(3, 2, 0, 1)
        attributes = {"kernel_shape": (4, 4), "strides": (2, 2), "pads": (1, 1, 1, 1)}
        return self._weighted("ConvTranspose", layer, values[0].name, kernel, output, attributes)

    def _weighted(
        self,
        kind: str,
        layer: Any,
        read: str,
        kernel: np.ndarray,
        output: keras.KerasTensor,
        attributes: dict[str, Any],
    ) -> Value:
        require(layer.activation.__name__ == "linear", layer, FUSED)
        channels = output.shape[-1]
        bias = _array(layer.bias) if layer.use_bias else np.zeros(channels)
        weights = [
            self._graph.constant(f"{layer.name}_weight", kernel),
            self._graph.constant(f"{layer.name}_bias", bias),
        ]
        name = self._graph.add(kind, layer.name, [read, *weights], **attributes)
        return Value(name, np.arange(channels))

    def _batch_norm(self, layer: Any, values: list[Value], call: Any, output: Any) -> Value:
        producer = self._graph.nodes.get(values[0].name)
        only = self._consumers[id(call.input_tensors[0])] == 1
        if not only or producer is None or producer.op_type not in WEIGHTED:
            raise unsupported(layer, " with no convolution of its own before it")
        factor = _array(layer.gamma) if layer.scale else 1.0
        factor = factor / np.sqrt(_array(layer.moving_variance) + layer.epsilon)
        shift = _array(layer.beta) if layer.center else 0.0
        _, weight, bias = producer.input
        axes = (-1, 1, 1, 1) if producer.op_type == "Conv" else (1, -1, 1, 1)
        self._graph.tensors[weight] = self._graph.tensors[weight] * factor.reshape(axes)
        self._graph.tensors[bias] = (
            self._graph.tensors[bias] - _array(layer.moving_mean)
        ) * factor + shift
        return values[0]

    def _dense(self, layer: Any, values: list[Value], call: Any, output: Any) -> Value:
        require(output.ndim == 2, layer, "feature maps as input")
        weight = self._graph.constant(f"{layer.name}_weight", _array(layer.kernel).T)
        bias = _array(layer.bias) if layer.use_bias else np.zeros(layer.units)
        inputs = [self._flat(values[0]), weight]
        inputs.append(self._graph.constant(f"{layer.name}_bias", bias))
        name = self._graph.add("Gemm", layer.name, inputs, transB=1)
        function = layer.activation.__name__
        if function != "linear":
            require(function in ACTIVATIONS, layer, f"activation {function}")
            kind, attributes = ACTIVATIONS[function]
            name = self._graph.add(kind, f"{name}_{function}", [name], **attributes)
        return Value(name, np.arange(layer.units), flat=True)

    def _flat(self, value: Value) -> str:
        return (
            value.name
            if value.flat
            else self._graph.add("Flatten", f"{value.name}_flat", [value.name])
        )

    def _slice(self, layer: Any, values: list[Value], call: Any, output: Any) -> Value:
        """Translate a part of `models.layers.split_halves`; all parts are outputs of one node."""
        tensor = call.input_tensors[0]
        if layer.data_format == "channels_last":  # the first row or column, repeated by max pooling
            _, height, width, _ = tensor.shape
            first = {((0, height - 1), (0, 0)): 1, ((0, 0), (0, width - 1)): 2}
            edge = first.get(layer.cropping, 0)
            require(edge > 0, layer, "other rows and columns than the first")
            return values[0]._replace(edge=edge)
        require(layer.cropping[0] == (0, 0), layer, "columns and channels at once")
        if id(tensor) not in self._halves:
            self._halves[id(tensor)] = self._split(tensor)
        name, size = self._halves[id(tensor)][layer.cropping[1][0]]
        require(size == output.shape[-1], layer, "parts that overlap")
        return Value(name, np.arange(output.shape[-1]))

    def _split(self, tensor: keras.KerasTensor) -> dict[int, tuple[str, int]]:
        """Add the node of a split; return its parts, names and sizes, by their first channel."""
        crops = [
            call
            for call in self._calls
            if isinstance(call.operation, layers.Cropping2D) and call.input_tensors[0] is tensor
        ]
        parts = {call.operation.cropping[1][0]: call for call in crops}
        starts = sorted(parts)
        sizes = [parts[start].outputs[0].shape[-1] for start in starts]
        layer = parts[starts[0]].operation
        require(starts == [0, *np.cumsum(sizes)[:-1]], layer, "gaps between the parts")
        require(sum(sizes) == tensor.shape[-1], layer, "channels left out")
        names = [parts[start].operation.name for start in starts]
        inputs = [self._values[id(tensor)].name, self._graph.constant(f"{names[0]}_sizes", sizes)]
        names[0] = self._graph.add("Split", names[0], inputs, axis=1)
        names[1:] = map(self._graph.unique, names[1:])
        self._graph.nodes[names[0]].output.extend(names[1:])
        return dict(zip(starts, zip(names, sizes, strict=True), strict=True))

    def _rearrange(self, layer: Any, value: Value, call: Any, output: Any) -> Value:
        """Follow the layers of a channel shuffle; add its nodes at the last layer."""
        if call.input_tensors[0].ndim == 2:  # (C,) to (1, 1, C)
            require(output.shape[1:-1] == (1, 1), layer, "more than one pixel")
            return value
        try:
            channels = rearranged(layer, value.channels, call, output)
        except GraphOptimizationError as error:
            raise unsupported(layer, f" to {output.shape[1:]}") from error
        if channels.ndim > 1:
            return value._replace(channels=channels)
        _, height, width, count = output.shape
        groups = count // int(channels[1])
        shuffled = np.arange(count).reshape(groups, -1).T.ravel()
        require(np.array_equal(channels, shuffled), layer, "a channel order that is not a shuffle")
        batch = self._graph.batch
        grouped = (batch, groups, count // groups, height, width)
        name, graph = layer.name, self._graph
        shapes = {"grouped": grouped, "flat": (batch, count, height, width)}
        axes, flat = (graph.constant(f"{name}_{key}", shape) for key, shape in shapes.items())
        split = graph.add("Reshape", f"{name}_split", [value.name, axes])
        transposed = graph.add("Transpose", f"{name}_transposed", [split], perm=(0, 2, 1, 3, 4))
        return Value(graph.add("Reshape", name, [transposed, flat]), np.arange(count))


TRANSLATIONS: dict[Any, Callable[..., Value]] = {
    layers.DepthwiseConv2D: _Translator._conv,
    layers.Conv2DTranspose: _Translator._deconv,
    layers.Conv2D: _Translator._conv,
    layers.BatchNormalization: _Translator._batch_norm,
    layers.Dense: _Translator._dense,
    layers.Cropping2D: _Translator._slice,
}


def _array(variable: Any) -> np.ndarray:
    """Return the value in float64, so that rounding happens once, when it is stored."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)
