"""Translation to ONNX of Keras layers without weights, one by one.

Channel splits and shuffles, which take several layers each, are in `channels_first.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from keras_shufflenet.export.translation.onnx_graph import OnnxGraph, TranslationError

Pads = tuple[int, int, int, int]  # top, left, bottom, right

NO_PADS: Pads = (0, 0, 0, 0)
CHANNELS, POINTS = 1, 2  # axes of feature maps (N, C, H, W), and of predictions (N, C, points)
ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "hard_silu": ("HardSwish", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": 1}),
    "tanh": ("Tanh", {}),
}


class Value(NamedTuple):
    """A tensor of the graph.

    Attributes:
        name: Name of the tensor.
        channels: Indices of the channels in the order and shape that Keras has them in.
        pads: Padding that is left to the next layer.
        repeats: Whether `pads` repeat the edge, which for max pooling is no padding; else they are
            zeros.
        edge: Axis of Keras along which only the first row or column is meant; 0 for none.
        flat: Whether the tensor is a vector in the graph; poolings keep two axes of size 1 until
            a vector is needed.
    """

    name: str
    channels: np.ndarray
    pads: Pads = NO_PADS
    repeats: bool = False
    edge: int = 0
    flat: bool = False

    def renamed(self, name: str) -> "Value":
        """Return the tensor that a layer without weights makes of this one."""
        return self._replace(name=name, pads=NO_PADS, repeats=False)


def require(condition: bool, layer: keras.Layer, what: str) -> None:
    """Raise a `TranslationError` for a layer unless a condition holds.

    Args:
        condition: What must be true.
        layer: The layer.
        what: What the layer has otherwise, for the message.
    """
    if not condition:
        raise unsupported(layer, f" with {what}")


def unsupported(layer: keras.Layer, what: str = "") -> TranslationError:
    """Return the error of a layer that cannot be translated."""
    return TranslationError(
        f"The layer {layer.name!r} cannot be translated to ONNX. "
        f"Received: {type(layer).__name__}{what}"
    )


def takes_pads(layer: Any, value: Value, graph: OnnxGraph) -> bool:
    """Return whether a layer pads by itself; max pooling does if nothing is negative."""
    if isinstance(layer, layers.MaxPooling2D):
        made_by = graph.nodes.get(value.name)
        not_negative = made_by is not None and made_by.op_type in ("Relu", "Sigmoid")
        return layer.padding == "valid" and (value.repeats or not_negative)
    convolutions = (layers.Conv2D, layers.DepthwiseConv2D, layers.AveragePooling2D)
    return isinstance(layer, convolutions) and layer.padding == "valid"


def same_pads(layer: Any, sizes: Sequence[int]) -> Pads:
    """Return the padding of Keras for `padding="same"` of (height, width)."""
    sides = zip(sizes, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True)
    down, across = (
        max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * rate + 1 - size)
        for size, kernel, stride, rate in sides
    )
    return down // 2, across // 2, down - down // 2, across - across // 2


def _relu(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    require(not layer.negative_slope and not layer.threshold, layer, "a slope or threshold")
    if layer.max_value is None:
        return values[0].renamed(graph.add("Relu", layer.name, [values[0].name]))
    limits = [
        graph.constant(f"{layer.name}_low", np.float32(0)),
        graph.constant(f"{layer.name}_high", np.float32(layer.max_value)),
    ]
    return values[0].renamed(graph.add("Clip", layer.name, [values[0].name, *limits]))


def _leaky_relu(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    slope = float(layer.negative_slope)
    return values[0].renamed(graph.add("LeakyRelu", layer.name, [values[0].name], alpha=slope))


def _activation(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    function = layer.activation.__name__
    require(function in ACTIVATIONS, layer, f"activation {function}")
    kind, attributes = ACTIVATIONS[function]
    return values[0].renamed(graph.add(kind, layer.name, [values[0].name], **attributes))


def _elementwise(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    kind = "Add" if isinstance(layer, layers.Add) else "Mul"
    name, *others = [value.name for value in values]
    for other in others:
        name = graph.add(kind, layer.name, [name, other])
    channels = np.arange(output.shape[-1])
    return values[0].renamed(name)._replace(channels=channels)


def _concatenate(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    names = [value.name for value in values]
    if layer.axis in (-1, output.ndim - 1):
        name = graph.add("Concat", layer.name, names, axis=CHANNELS)
        return Value(name, np.arange(output.shape[-1]))
    if output.ndim == 3:  # the predictions of several levels
        return values[0].renamed(graph.add("Concat", layer.name, names, axis=POINTS))
    # `models.layers.signed_max_pool` repeats the first row and column where PyTorch pads.
    repeats = [value.edge for value in values] == [layer.axis, 0] and names[0] == names[1]
    require(repeats, layer, f"axis {layer.axis}")
    pads = list(values[1].pads)
    pads[layer.axis - 1] = pads[layer.axis + 1] = 1
    return values[1]._replace(pads=(pads[0], pads[1], pads[2], pads[3]), repeats=True)


def _points(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    """Translate (H, W, C) to (points, C), which are (C, points) in the graph."""
    count = values[0].channels.size
    require(output.shape[-1] == count, layer, f"{output.shape[-1]} of {count} channels")
    shape = graph.constant(f"{layer.name}_shape", [graph.batch, count, output.shape[1]])
    return values[0].renamed(graph.add("Reshape", layer.name, [values[0].name, shape]))


def _pad(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    (above, below), (left, right) = layer.padding
    return values[0]._replace(pads=(above, left, below, right))


def _pool(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    shape: dict[str, Any] = {"kernel_shape": layer.pool_size, "strides": layer.strides}
    kind = "MaxPool" if isinstance(layer, layers.MaxPooling2D) else "AveragePool"
    if layer.padding == "same":
        shape["auto_pad"] = "SAME_UPPER"
    else:
        shape["pads"] = values[0].pads
        if kind == "AveragePool":
            shape["count_include_pad"] = 1
    return values[0].renamed(graph.add(kind, layer.name, [values[0].name], **shape))


def _global_pool(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    maximum = isinstance(layer, layers.GlobalMaxPooling2D)
    kind = "GlobalMaxPool" if maximum else "GlobalAveragePool"
    return values[0].renamed(graph.add(kind, layer.name, [values[0].name]))


def _flatten(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    require(output.shape[-1] == values[0].channels.size, layer, "more than one pixel")
    return values[0]


def _upsample(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    require(layer.interpolation == "bilinear", layer, f"interpolation {layer.interpolation}")
    scales = graph.constant(f"{layer.name}_scales", np.array([1, 1, *layer.size], np.float32))
    inputs = [values[0].name, "", scales]
    mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return values[0].renamed(graph.add("Resize", layer.name, inputs, **mode))


def _normalization(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    require(not layer.invert, layer, "invert=True")
    require(output.ndim == 4, layer, "other inputs than feature maps")
    mean, variance = (np.asarray(x, np.float32) for x in (layer.mean, layer.variance))
    std = np.maximum(np.sqrt(variance), np.float32(keras.config.epsilon()))
    name = values[0].name
    for operator, statistic in {"Sub": mean, "Div": std}.items():
        planes = np.moveaxis(statistic.reshape((1, *statistic.shape)[-4:]), -1, 1)
        constant = graph.constant(f"{layer.name}_{operator.lower()}", planes)
        name = graph.add(operator, f"{layer.name}_{operator}", [name, constant])
    return values[0].renamed(name)


def _rescaling(graph: OnnxGraph, layer: Any, values: list[Value], output: Any) -> Value:
    require(output.ndim == 4, layer, "other inputs than feature maps")
    name = values[0].name
    for operator, factor in {"Mul": layer.scale, "Add": layer.offset}.items():
        planes = np.asarray(factor, np.float32).reshape(1, -1, 1, 1)
        constant = graph.constant(f"{layer.name}_{operator.lower()}", planes)
        name = graph.add(operator, f"{layer.name}_{operator}", [name, constant])
    return values[0].renamed(name)


TRANSLATIONS: dict[Any, Callable[[OnnxGraph, Any, list[Value], Any], Value]] = {
    layers.ReLU: _relu,
    layers.LeakyReLU: _leaky_relu,
    layers.Activation: _activation,
    (layers.Add, layers.Multiply): _elementwise,
    layers.Concatenate: _concatenate,
    layers.Reshape: _points,
    layers.ZeroPadding2D: _pad,
    (layers.MaxPooling2D, layers.AveragePooling2D): _pool,
    (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D): _global_pool,
    layers.Flatten: _flatten,
    layers.UpSampling2D: _upsample,
    layers.Normalization: _normalization,
    layers.Rescaling: _rescaling,
}
