"""Translation of a Keras network to an ONNX file in the form of its PyTorch original.

Other runtimes are optimized for that form: channels first, padding as an attribute of convolutions
and poolings, both halves of a split from one node, the channel shuffle as a transposition of five
axes, and batch normalization folded into weights. The normalization of images is left out:
`preprocess` does it before anything is timed.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from keras_shufflenet._keras_private import calls
from keras_shufflenet.benchmark.engines.onnx_graph import INPUT, OnnxGraph
from keras_shufflenet.export.optimization.trace import IDENTITIES, rearranged

NO_PADS = (0, 0, 0, 0)  # top, left, bottom, right
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "hard_silu": ("HardSwish", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "softmax": ("Softmax", {"axis": 1}),
}


class TranslationError(ValueError):
    """A layer of the network cannot be translated."""


def preprocess(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Convert the input of a model to the input of its ONNX file.

    Args:
        model: The network.
        images: (N, H, W, 3), the input of the model.

    Returns:
        (N, 3, H, W) float32, normalized if the model normalizes its input.
    """
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            images = keras.ops.convert_to_numpy(layer(images))
    return np.ascontiguousarray(np.transpose(images, (0, 3, 1, 2)), np.float32)


def write(model: keras.Model, path: Path) -> None:
    """Write a network of this package as an ONNX file for one image.

    Args:
        model: A classifier or pose estimator, channels last, of a fixed input size.
        path: The file.

    Raises:
        ImportError: If the package onnx is not installed.
        TranslationError: If the network has a layer that no network of this package has.
    """
    import onnx

    onnx.save(_Translator(model).translate(), path)


class _Value(NamedTuple):
    """A tensor of the graph.

    Attributes:
        name: Name of the tensor.
        channels: Indices of the channels in the order and shape that Keras has them in.
        pads: Zero padding that the next layer has to add.
        flat: Whether the tensor is a vector in the graph; poolings keep two axes of size 1 until
            a vector is needed.
    """

    name: str
    channels: np.ndarray
    pads: tuple[int, int, int, int] = NO_PADS
    flat: bool = False


class _Translator:
    """Translates a model call by call."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._graph = OnnxGraph()
        self._values: dict[int, _Value] = {}
        self._halves: dict[int, dict[int, str]] = {}
        self._calls = list(calls(model))
        self._consumers = Counter(id(x) for call in self._calls for x in call.input_tensors)

    def translate(self) -> Any:
        """Return the ONNX model."""
        (source,), (target,) = self._model.inputs, self._model.outputs
        self._values[id(source)] = _Value(INPUT, np.arange(source.shape[-1]))
        for call in self._calls:
            (output,) = call.outputs
            self._values[id(output)] = self._translate(call, output)
        result = self._values[id(target)]
        name = self._flat(result) if target.ndim == 2 else result.name
        return self._graph.model(self._model.name, source.shape, name, target.shape)

    def _translate(self, call: Any, output: keras.KerasTensor) -> _Value:
        layer = call.operation
        values = [self._values[id(x)] for x in call.input_tensors]
        value = values[0]
        if isinstance(layer, (*IDENTITIES, layers.Normalization)):
            return value
        if value.channels.ndim > 1 or isinstance(layer, (layers.Reshape, layers.Permute)):
            return self._rearrange(layer, value, call, output)
        for kind, translate in TRANSLATIONS.items():
            if isinstance(layer, kind):
                return translate(self, layer, values, call, output)
        raise _unsupported(layer)

    def _conv(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
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

    def _deconv(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        known = layer.kernel_size == (4, 4) and layer.strides == (2, 2) and layer.padding == "same"
        _require(known, layer, "a kernel other than 4 × 4 or strides other than 2")
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
    ) -> _Value:
        _require(layer.activation.__name__ == "linear", layer, "a fused activation")
        channels = output.shape[-1]
        bias = _array(layer.bias) if layer.use_bias else np.zeros(channels)
        weights = [
            self._graph.constant(f"{layer.name}_weight", kernel),
            self._graph.constant(f"{layer.name}_bias", bias),
        ]
        name = self._graph.add(kind, layer.name, [read, *weights], **attributes)
        return _Value(name, np.arange(channels))

    def _batch_norm(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        producer, only = (
            self._graph.nodes[values[0].name],
            self._consumers[id(call.input_tensors[0])] == 1,
        )
        foldable = only and producer.op_type in ("Conv", "ConvTranspose")
        _require(foldable, layer, "no convolution of its own before it")
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

    def _dense(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        weight = self._graph.constant(f"{layer.name}_weight", _array(layer.kernel).T)
        bias = _array(layer.bias) if layer.use_bias else np.zeros(layer.units)
        inputs = [self._flat(values[0]), weight]
        inputs.append(self._graph.constant(f"{layer.name}_bias", bias))
        name = self._graph.add("Gemm", layer.name, inputs, transB=1)
        if layer.activation.__name__ != "linear":
            kind, attributes = ACTIVATIONS[layer.activation.__name__]
            name = self._graph.add(
                kind, f"{name}_{layer.activation.__name__}", [name], **attributes
            )
        return _Value(name, np.arange(layer.units), flat=True)

    def _flat(self, value: _Value) -> str:
        return (
            value.name
            if value.flat
            else self._graph.add("Flatten", f"{value.name}_flat", [value.name])
        )

    def _relu(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        _require(not layer.negative_slope and not layer.threshold, layer, "a slope or threshold")
        if layer.max_value is None:
            return self._same(values[0], self._graph.add("Relu", layer.name, [values[0].name]))
        limits = [
            self._graph.constant(f"{layer.name}_low", np.float32(0)),
            self._graph.constant(f"{layer.name}_high", np.float32(layer.max_value)),
        ]
        return self._same(values[0], self._graph.add("Clip", layer.name, [values[0].name, *limits]))

    def _activation(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        function = layer.activation.__name__
        _require(function in ACTIVATIONS, layer, f"activation {function}")
        kind, attributes = ACTIVATIONS[function]
        return self._same(
            values[0], self._graph.add(kind, layer.name, [values[0].name], **attributes)
        )

    def _merge(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        names = [value.name for value in values]
        if isinstance(layer, layers.Concatenate):
            return _Value(
                self._graph.add("Concat", layer.name, names, axis=1), np.arange(output.shape[-1])
            )
        kind = "Add" if isinstance(layer, layers.Add) else "Mul"
        return self._same(values[0], self._graph.add(kind, layer.name, names))

    def _pad(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        (above, below), (left, right) = layer.padding
        return values[0]._replace(pads=(above, left, below, right))

    def _pool(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        _require(layer.padding == "valid", layer, f"padding {layer.padding}")
        shape = {"kernel_shape": layer.pool_size, "strides": layer.strides, "pads": values[0].pads}
        if isinstance(layer, layers.MaxPooling2D):
            name = self._graph.add("MaxPool", layer.name, [values[0].name], **shape)
        else:
            shape["count_include_pad"] = 1
            name = self._graph.add("AveragePool", layer.name, [values[0].name], **shape)
        return self._same(values[0], name)

    def _global_pool(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        maximum = isinstance(layer, layers.GlobalMaxPooling2D)
        kind = "GlobalMaxPool" if maximum else "GlobalAveragePool"
        return self._same(values[0], self._graph.add(kind, layer.name, [values[0].name]))

    def _flatten(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        _require(output.shape[-1] == values[0].channels.size, layer, "more than one pixel")
        return values[0]

    def _upsample(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        _require(layer.interpolation == "bilinear", layer, f"interpolation {layer.interpolation}")
        scales = self._graph.constant(
            f"{layer.name}_scales", np.array([1, 1, *layer.size], np.float32)
        )
        inputs = [values[0].name, "", scales]
        mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return self._same(values[0], self._graph.add("Resize", layer.name, inputs, **mode))

    @staticmethod
    def _same(value: _Value, name: str) -> _Value:
        return value._replace(name=name, pads=NO_PADS)

    def _slice(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        """Translate a part of `models.layers.split_halves`; all parts are outputs of one node."""
        tensor = call.input_tensors[0]
        if id(tensor) not in self._halves:
            self._halves[id(tensor)] = self._split(tensor)
        name = self._halves[id(tensor)][layer.cropping[1][0]]
        return _Value(name, np.arange(output.shape[-1]))

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
        _require(starts == [0, *np.cumsum(sizes)[:-1]], layer, "gaps between the parts")
        names = [parts[start].operation.name for start in starts]
        inputs = [self._values[id(tensor)].name, self._graph.constant(f"{names[0]}_sizes", sizes)]
        self._graph.add("Split", names[0], inputs, axis=1)
        self._graph.nodes[names[0]].output.extend(names[1:])
        return dict(zip(starts, names, strict=True))

    def _rearrange(self, layer: Any, value: _Value, call: Any, output: Any) -> _Value:
        """Follow the layers of a channel shuffle; add its nodes at the last layer."""
        if call.input_tensors[0].ndim == 2:  # (C,) to (1, 1, C)
            _require(output.shape[1:-1] == (1, 1), layer, "more than one pixel")
            return value
        channels = rearranged(layer, value.channels, call, output)
        if channels.ndim > 1:
            return value._replace(channels=channels)
        _, height, width, count = output.shape
        groups = count // int(channels[1])
        shuffled = np.arange(count).reshape(groups, -1).T.ravel()
        _require(np.array_equal(channels, shuffled), layer, "a channel order that is not a shuffle")
        grouped = (1, groups, count // groups, height, width)
        name, graph = layer.name, self._graph
        shapes = {"grouped": grouped, "flat": (1, count, height, width)}
        axes, flat = (graph.constant(f"{name}_{key}", shape) for key, shape in shapes.items())
        split = graph.add("Reshape", f"{name}_split", [value.name, axes])
        transposed = graph.add("Transpose", f"{name}_transposed", [split], perm=(0, 2, 1, 3, 4))
        return _Value(graph.add("Reshape", name, [transposed, flat]), np.arange(count))


TRANSLATIONS: dict[Any, Callable[..., _Value]] = {
    layers.DepthwiseConv2D: _Translator._conv,
    layers.Conv2DTranspose: _Translator._deconv,
    layers.Conv2D: _Translator._conv,
    layers.BatchNormalization: _Translator._batch_norm,
    layers.Dense: _Translator._dense,
    layers.ReLU: _Translator._relu,
    layers.Activation: _Translator._activation,
    (layers.Add, layers.Multiply, layers.Concatenate): _Translator._merge,
    layers.ZeroPadding2D: _Translator._pad,
    (layers.MaxPooling2D, layers.AveragePooling2D): _Translator._pool,
    (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D): _Translator._global_pool,
    layers.Flatten: _Translator._flatten,
    layers.UpSampling2D: _Translator._upsample,
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


def _require(condition: bool, layer: keras.Layer, what: str) -> None:
    if not condition:
        raise _unsupported(layer, f" with {what}")


def _unsupported(layer: keras.Layer, what: str = "") -> TranslationError:
    return TranslationError(
        f"The layer {layer.name!r} cannot be translated to ONNX. "
        f"Received: {type(layer).__name__}{what}"
    )
