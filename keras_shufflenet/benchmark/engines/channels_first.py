"""A network as an ONNX file in the form that its PyTorch original has, channels first.

That is what the other engines are made for: padding belongs to convolutions and poolings, halves
are one split, the shuffle is a transposition of five axes, batch normalizations are folded into
kernels. The images' normalization stays outside: `planes` does it before the clock starts.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from keras_shufflenet.export.optimization.steps import calls
from keras_shufflenet.export.optimization.trace import NOTHING, rearranged

OPSET = 17
IR_VERSION = 8  # the oldest of that opset: every engine reads it
NO_PADS = (0, 0, 0, 0)  # top, left, bottom, right
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "hard_silu": ("HardSwish", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "softmax": ("Softmax", {"axis": 1}),
}


class TranslationError(ValueError):
    """The network holds what the translation does not know."""


def planes(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """What the ONNX file of a model is fed.

    Args:
        model: the network.
        images: (N, H, W, 3), what the model is fed.

    Returns:
        (N, 3, H, W) float32, normalized if the model does that itself.
    """
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            images = keras.ops.convert_to_numpy(layer(images))
    return np.ascontiguousarray(np.transpose(images, (0, 3, 1, 2)), np.float32)


def write(model: keras.Model, path: Path) -> None:
    """Write a network of this package as an ONNX file for one image.

    Args:
        model: a classifier or pose estimator, channels last, of a fixed input size.
        path: of the file.

    Raises:
        ImportError: without the package onnx.
        TranslationError: for layers that the networks of this package do not have.
    """
    import onnx

    onnx.save(_Writer(model).finish(), path)


class _Value(NamedTuple):
    """A tensor of the file.

    Attributes:
        name: of it.
        channels: the numbers of its channels as Keras has arranged them by now.
        pads: zeros around it, which the next layer is to add.
        flat: whether it is a vector in the file, too; poolings keep two axes of size 1 until a
            vector is asked for.
    """

    name: str
    channels: np.ndarray
    pads: tuple[int, int, int, int] = NO_PADS
    flat: bool = False


class _Writer:
    """Reads a model call by call and collects the nodes of its ONNX graph."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._nodes: dict[str, Any] = {}
        self._tensors: dict[str, np.ndarray] = {}
        self._values: dict[int, _Value] = {}
        self._halves: dict[int, dict[int, str]] = {}
        self._calls = list(calls(model))
        self._readers = Counter(id(x) for call in self._calls for x in call.input_tensors)

    def finish(self) -> Any:
        """The ONNX model."""
        from onnx import TensorProto, checker, helper, numpy_helper

        (source,), (target,) = self._model.inputs, self._model.outputs
        _, height, width, channels = source.shape
        self._values[id(source)] = _Value("images", np.arange(channels))
        for call in self._calls:
            (output,) = call.outputs
            self._values[id(output)] = self._translate(call, output)
        result = self._values[id(target)]
        name = self._flat(result) if target.ndim == 2 else result.name
        float32 = TensorProto.FLOAT
        graph = helper.make_graph(
            list(self._nodes.values()),
            self._model.name,
            [helper.make_tensor_value_info("images", float32, (1, channels, height, width))],
            [helper.make_tensor_value_info(name, float32, _planar(target.shape))],
            [
                numpy_helper.from_array(_storable(array), name)
                for name, array in self._tensors.items()
            ],
        )
        opset = helper.make_opsetid("", OPSET)
        proto = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        checker.check_model(proto, full_check=True)
        return proto

    def _add(self, kind: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        from onnx import helper

        self._nodes[name] = helper.make_node(kind, inputs, [name], name, **attributes)
        return name

    def _constant(self, name: str, array: Any) -> str:
        self._tensors[name] = np.asarray(array)
        return name

    def _translate(self, call: Any, output: keras.KerasTensor) -> _Value:
        layer = call.operation
        values = [self._values[id(x)] for x in call.input_tensors]
        value = values[0]
        if isinstance(layer, (*NOTHING, layers.Normalization)):
            return value
        if value.channels.ndim > 1 or isinstance(layer, (layers.Reshape, layers.Permute)):
            return self._rearrange(layer, value, call, output)
        for kind, translate in WAYS.items():
            if isinstance(layer, kind):
                return translate(self, layer, values, call, output)
        raise _unknown(layer, "such a layer")

    # ---- what has weights ------------------------------------------------------------------------

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
        _require(known, layer, "another size than 4 × 4 or stride than 2")
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
        _require(layer.activation.__name__ == "linear", layer, "an activation of its own")
        channels = output.shape[-1]
        bias = _array(layer.bias) if layer.use_bias else np.zeros(channels)
        weights = [
            self._constant(f"{layer.name}_weight", kernel),
            self._constant(f"{layer.name}_bias", bias),
        ]
        name = self._add(kind, layer.name, [read, *weights], **attributes)
        return _Value(name, np.arange(channels))

    def _batch_norm(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        maker, alone = self._nodes[values[0].name], self._readers[id(call.input_tensors[0])] == 1
        foldable = alone and maker.op_type in ("Conv", "ConvTranspose")
        _require(foldable, layer, "no convolution before it")
        factor = _array(layer.gamma) if layer.scale else 1.0
        factor = factor / np.sqrt(_array(layer.moving_variance) + layer.epsilon)
        shift = _array(layer.beta) if layer.center else 0.0
        _, weight, bias = maker.input
        axes = (-1, 1, 1, 1) if maker.op_type == "Conv" else (1, -1, 1, 1)
        self._tensors[weight] = self._tensors[weight] * factor.reshape(axes)
        self._tensors[bias] = (self._tensors[bias] - _array(layer.moving_mean)) * factor + shift
        return values[0]

    def _dense(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        weight = self._constant(f"{layer.name}_weight", _array(layer.kernel).T)
        bias = _array(layer.bias) if layer.use_bias else np.zeros(layer.units)
        inputs = [self._flat(values[0]), weight]
        inputs.append(self._constant(f"{layer.name}_bias", bias))
        name = self._add("Gemm", layer.name, inputs, transB=1)
        if layer.activation.__name__ != "linear":
            kind, attributes = ACTIVATIONS[layer.activation.__name__]
            name = self._add(kind, f"{name}_{layer.activation.__name__}", [name], **attributes)
        return _Value(name, np.arange(layer.units), flat=True)

    def _flat(self, value: _Value) -> str:
        return (
            value.name if value.flat else self._add("Flatten", f"{value.name}_flat", [value.name])
        )

    # ---- what has none ---------------------------------------------------------------------------

    def _relu(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        _require(not layer.negative_slope and not layer.threshold, layer, "a slope or threshold")
        if layer.max_value is None:
            return self._same(values[0], self._add("Relu", layer.name, [values[0].name]))
        limits = [
            self._constant(f"{layer.name}_low", np.float32(0)),
            self._constant(f"{layer.name}_high", np.float32(layer.max_value)),
        ]
        return self._same(values[0], self._add("Clip", layer.name, [values[0].name, *limits]))

    def _activation(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        _require(layer.activation.__name__ in ACTIVATIONS, layer, layer.activation.__name__)
        kind, attributes = ACTIVATIONS[layer.activation.__name__]
        return self._same(values[0], self._add(kind, layer.name, [values[0].name], **attributes))

    def _merge(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        names = [value.name for value in values]
        if isinstance(layer, layers.Concatenate):
            return _Value(
                self._add("Concat", layer.name, names, axis=1), np.arange(output.shape[-1])
            )
        kind = "Add" if isinstance(layer, layers.Add) else "Mul"
        return self._same(values[0], self._add(kind, layer.name, names))

    def _pad(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        (above, below), (left, right) = layer.padding
        return values[0]._replace(pads=(above, left, below, right))

    def _pool(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        _require(layer.padding == "valid", layer, f"padding {layer.padding}")
        shape = {"kernel_shape": layer.pool_size, "strides": layer.strides, "pads": values[0].pads}
        if isinstance(layer, layers.MaxPooling2D):
            name = self._add("MaxPool", layer.name, [values[0].name], **shape)
        else:
            shape["count_include_pad"] = 1
            name = self._add("AveragePool", layer.name, [values[0].name], **shape)
        return self._same(values[0], name)

    def _global_pool(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        maximum = isinstance(layer, layers.GlobalMaxPooling2D)
        kind = "GlobalMaxPool" if maximum else "GlobalAveragePool"
        return self._same(values[0], self._add(kind, layer.name, [values[0].name]))

    def _flatten(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        _require(output.shape[-1] == values[0].channels.size, layer, "more than one pixel")
        return values[0]

    def _enlarge(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        _require(layer.interpolation == "bilinear", layer, layer.interpolation)
        scales = self._constant(f"{layer.name}_scales", np.array([1, 1, *layer.size], np.float32))
        inputs = [values[0].name, "", scales]
        mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return self._same(values[0], self._add("Resize", layer.name, inputs, **mode))

    @staticmethod
    def _same(value: _Value, name: str) -> _Value:
        return value._replace(name=name, pads=NO_PADS)

    # ---- what moves channels ---------------------------------------------------------------------

    def _slice(self, layer: Any, values: list[_Value], call: Any, output: Any) -> _Value:
        """A part of `models.blocks.split_halves`: both are outputs of one split."""
        tensor = call.input_tensors[0]
        if id(tensor) not in self._halves:
            self._halves[id(tensor)] = self._split(tensor)
        name = self._halves[id(tensor)][layer.cropping[1][0]]
        return _Value(name, np.arange(output.shape[-1]))

    def _split(self, tensor: keras.KerasTensor) -> dict[int, str]:
        """Names of the parts by the number of their first channel."""
        parts = {
            call.operation.cropping[1][0]: call
            for call in self._calls
            if isinstance(call.operation, layers.Cropping2D) and call.input_tensors[0] is tensor
        }
        starts = sorted(parts)
        sizes = [parts[start].outputs[0].shape[-1] for start in starts]
        layer = parts[starts[0]].operation
        _require(starts == [0, *np.cumsum(sizes)[:-1]], layer, "parts that leave gaps")
        names = [parts[start].operation.name for start in starts]
        read = self._values[id(tensor)].name
        self._add("Split", names[0], [read, self._constant(f"{names[0]}_sizes", sizes)], axis=1)
        self._nodes[names[0]].output.extend(names[1:])
        return dict(zip(starts, names, strict=True))

    def _rearrange(self, layer: Any, value: _Value, call: Any, output: Any) -> _Value:
        """Steps of a channel shuffle; it is written when the last one is reached."""
        if call.input_tensors[0].ndim == 2:  # (C,) to (1, 1, C)
            _require(output.shape[1:-1] == (1, 1), layer, "more than one pixel")
            return value
        channels = rearranged(layer, value.channels, call, output)
        if channels.ndim > 1:
            return value._replace(channels=channels)
        _, height, width, count = output.shape
        groups = count // int(channels[1])
        shuffled = np.arange(count).reshape(groups, -1).T.ravel()
        _require(np.array_equal(channels, shuffled), layer, "an order that is no shuffle")
        grouped = (1, groups, count // groups, height, width)
        name = layer.name
        axes = self._constant(f"{name}_groups", grouped)
        apart = self._add("Reshape", f"{name}_apart", [value.name, axes])
        turned = self._add("Transpose", f"{name}_turned", [apart], perm=(0, 2, 1, 3, 4))
        whole = self._constant(f"{name}_whole", (1, count, height, width))
        return _Value(self._add("Reshape", name, [turned, whole]), np.arange(count))


WAYS: dict[Any, Callable[..., _Value]] = {
    layers.DepthwiseConv2D: _Writer._conv,
    layers.Conv2DTranspose: _Writer._deconv,
    layers.Conv2D: _Writer._conv,
    layers.BatchNormalization: _Writer._batch_norm,
    layers.Dense: _Writer._dense,
    layers.ReLU: _Writer._relu,
    layers.Activation: _Writer._activation,
    (layers.Add, layers.Multiply, layers.Concatenate): _Writer._merge,
    layers.ZeroPadding2D: _Writer._pad,
    (layers.MaxPooling2D, layers.AveragePooling2D): _Writer._pool,
    (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D): _Writer._global_pool,
    layers.Flatten: _Writer._flatten,
    layers.UpSampling2D: _Writer._enlarge,
    layers.Cropping2D: _Writer._slice,
}


def _same_pads(layer: Any, sizes: Sequence[int]) -> tuple[int, int, int, int]:
    """The zeros that Keras adds around maps of (height, width) for the padding "same"."""
    sides = zip(sizes, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
    down, across = (
        max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * rate + 1 - size)
        for size, kernel, stride, rate in sides
    )
    return down // 2, across // 2, down - down // 2, across - across // 2


def _planar(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The shape for one image with channels first."""
    return (1, shape[-1], *shape[1:-1])


def _array(variable: Any) -> np.ndarray:
    """Double precision: rounding happens once, at the end."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)


def _storable(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _require(condition: bool, layer: keras.Layer, what: str) -> None:
    if not condition:
        raise _unknown(layer, what)


def _unknown(layer: keras.Layer, what: str) -> TranslationError:
    return TranslationError(
        f"The layer {layer.name!r} has no translation to ONNX. "
        f"Received: {type(layer).__name__} with {what}"
    )
