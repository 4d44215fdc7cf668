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
from keras_shufflenet.export.optimization.trace import IDENTITIES, rearranged
from keras_shufflenet.export.translation import onnx_layers
from keras_shufflenet.export.translation.onnx_graph import INPUT, OnnxGraph, Shape
from keras_shufflenet.export.translation.onnx_layers import (
    ACTIVATIONS,
    Value,
    require,
    unsupported,
)
from keras_shufflenet.inference.keras_outputs import output_names

ANY_BATCH = "batch"
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
        self._halves: dict[int, dict[int, str]] = {}
        self._calls = list(calls(model))
        self._consumers = Counter(id(x) for call in self._calls for x in call.input_tensors)

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
        outputs = {}
        names = output_names(self._model) or ()
        for tensor, wanted in zip(self._model.outputs, names, strict=True):
            name, shape = self._output(tensor)
            outputs[self._graph.rename(name, wanted)] = shape
        return self._graph.model(
            self._model.name, self._shape(source.shape), outputs, dict(metadata)
        )

    def _output(self, tensor: keras.KerasTensor) -> tuple[str, Shape]:
        """Return the name and shape of an output of the graph."""
        value = self._values[id(tensor)]
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
        value = values[0]
        is_left_out = isinstance(layer, layers.Normalization) and not self._include_preprocessing
        if isinstance(layer, IDENTITIES) or is_left_out:
            return value
        is_gather = type(layer).__name__ == "Take"  # a shuffle of images of any size
        is_shuffle = isinstance(layer, (layers.Reshape, layers.Permute)) and output.ndim != 3
        if value.channels.ndim > 1 or is_shuffle or is_gather:
            return self._rearrange(layer, value, call, output)
        for kind, translate in TRANSLATIONS.items():
            if isinstance(layer, kind):
                return translate(self, layer, values, call, output)
        for kind, translate_layer in onnx_layers.TRANSLATIONS.items():
            if isinstance(layer, kind):
                return translate_layer(self._graph, layer, values, output)
        raise unsupported(layer)

    def _conv(self, layer: Any, values: list[Value], call: Any, output: Any) -> Value:
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        kernel = _array(layer.kernel).transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        pads = values[0].pads
        if layer.padding == "same":
            pads = _same_pads(layer, call.input_tensors[0].shape[1:3])
        attributes = {
            "kernel_shape": layer.kernel_size,
            "strides": layer.strides,
            "pads": pads,
            "dilations": layer.dilation_rate,
            "group": len(kernel) if depthwise else layer.groups,
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
        require(layer.activation.__name__ == "linear", layer, "a fused activation")
        channels = output.shape[-1]
        bias = _array(layer.bias) if layer.use_bias else np.zeros(channels)
        weights = [
            self._graph.constant(f"{layer.name}_weight", kernel),
            self._graph.constant(f"{layer.name}_bias", bias),
        ]
        name = self._graph.add(kind, layer.name, [read, *weights], **attributes)
        return Value(name, np.arange(channels))

    def _batch_norm(self, layer: Any, values: list[Value], call: Any, output: Any) -> Value:
        producer, only = (
            self._graph.nodes[values[0].name],
            self._consumers[id(call.input_tensors[0])] == 1,
        )
        foldable = only and producer.op_type in ("Conv", "ConvTranspose")
        require(foldable, layer, "no convolution of its own before it")
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
            return values[0]
        if id(tensor) not in self._halves:
            self._halves[id(tensor)] = self._split(tensor)
        name = self._halves[id(tensor)][layer.cropping[1][0]]
        return Value(name, np.arange(output.shape[-1]))

    def _split(self, tensor: keras.KerasTensor) -> dict[int, str]:
        """Add the node of a split; return the names of its parts by their first channel."""
        parts = {
            call.operation.cropping[1][0]: call
            for call in self._calls
            if isinstance(call.operation, layers.Cropping2D) and call.input_tensors[0] is tensor
        }
        starts = sorted(parts)
        sizes = [parts[start].outputs[0].shape[-1] for start in starts]
        layer = parts[starts[0]].operation
        require(starts == [0, *np.cumsum(sizes)[:-1]], layer, "gaps between the parts")
        names = [parts[start].operation.name for start in starts]
        inputs = [self._values[id(tensor)].name, self._graph.constant(f"{names[0]}_sizes", sizes)]
        self._graph.add("Split", names[0], inputs, axis=1)
        self._graph.nodes[names[0]].output.extend(names[1:])
        return dict(zip(starts, names, strict=True))

    def _rearrange(self, layer: Any, value: Value, call: Any, output: Any) -> Value:
        """Follow the layers of a channel shuffle; add its nodes at the last layer."""
        if call.input_tensors[0].ndim == 2:  # (C,) to (1, 1, C)
            require(output.shape[1:-1] == (1, 1), layer, "more than one pixel")
            return value
        channels = rearranged(layer, value.channels, call, output)
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


def _same_pads(layer: Any, sizes: Sequence[int]) -> tuple[int, int, int, int]:
    """Return the padding of Keras for `padding="same"` of (height, width)."""
    sides = zip(sizes, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
    down, across = (
        max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * rate + 1 - size)
        for size, kernel, stride, rate in sides
    )
    return down // 2, across // 2, down - down // 2, across - across // 2


def _array(variable: Any) -> np.ndarray:
    """Return the value in float64, so that rounding happens once, when it is stored."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)
