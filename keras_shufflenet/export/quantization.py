"""What post-training quantization does beyond the converter: clipping and bias correction.

The converter takes the minimum and maximum of each tensor on the representative images. The outputs
of depthwise convolutions have long tails: a smaller range has finer steps and clips few values.
(ReLU activations are clipped when the network is optimized.) Biases compensate for the rounding of
the weights; source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", https://arxiv.org/abs/1906.04721, section 4.2, with the mean inputs of the
representative images.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from keras_shufflenet.export.representative import full_batch
from keras_shufflenet.litert.interpreter import open_interpreter
from keras_shufflenet.litert.schema import operator_name, pack, schema

ACTIVATION_STEPS = 255
MAX_IMAGES = 32  # all of their tensors are read
# Candidates, as fractions of the range on the images; the one of least squared error is taken.
FRACTIONS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3)
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def clip_ranges(calibrated: bytes, images: np.ndarray) -> bytes:
    """Clip the ranges of activations that linear convolutions pass to other convolutions.

    The criterion is OCTAV's (Sakr et al., arXiv 2206.06501): the sum of the squared errors of
    rounding and of clipping.

    Args:
        calibrated: Bytes of a float file whose tensors have ranges.
        images: Representative images (N, H, W, 3).

    Returns:
        The file with clipped ranges.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(calibrated, 0))
    tensors = model.subgraphs[0].tensors
    ranges = {index: _range(tensors[index]) for index in _linear_activations(model)}
    errors = {index: np.zeros(len(FRACTIONS)) for index in ranges}
    interpreter = open_interpreter(calibrated, keep_tensors=True)
    source = interpreter.get_input_details()[0]["index"]
    images = images[:: max(1, len(images) // MAX_IMAGES)]
    size = int(interpreter.get_input_details()[0]["shape"][0])
    for start in range(0, len(images), size):
        interpreter.set_tensor(source, full_batch(images, start, size))
        interpreter.invoke()
        for index, (low, high) in ranges.items():
            errors[index] += _errors(interpreter.get_tensor(index), low, high)
    for index, (low, high) in ranges.items():
        fraction = FRACTIONS[int(errors[index].argmin())]
        tensors[index].quantization.min = [fraction * low]
        tensors[index].quantization.max = [fraction * high]
    return pack(model, len(calibrated))


def _range(tensor: Any) -> tuple[float, float]:
    return float(tensor.quantization.min[0]), float(tensor.quantization.max[0])


def _linear_activations(model: Any) -> list[int]:
    """Return the outputs of linear convolutions that only convolutions read."""
    codes = [
        operator_name(code.customCode, code.builtinCode, code.deprecatedBuiltinCode)
        for code in model.operatorCodes
    ]
    graph = model.subgraphs[0]
    readers: dict[int, set[str]] = {int(index): {"output"} for index in graph.outputs}
    for operator in graph.operators:
        for index in operator.inputs:
            readers.setdefault(int(index), set()).add(codes[operator.opcodeIndex])
    none = schema.ActivationFunctionType.NONE
    return [
        int(operator.outputs[0])
        for operator in graph.operators
        if codes[operator.opcodeIndex] in CONVOLUTIONS
        and operator.builtinOptions.fusedActivationFunction == none
        and readers.get(int(operator.outputs[0]), {"none"}) <= set(CONVOLUTIONS)
    ]


def _errors(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the squared errors of a tensor's values for each fraction of its range."""
    found = []
    for fraction in FRACTIONS:
        clipped = np.clip(values, fraction * low, fraction * high) - values
        step = fraction * (high - low) / ACTIVATION_STEPS
        found.append(np.square(clipped, dtype=np.float64).sum() + values.size * step**2 / 12)
    return np.array(found)


WEIGHT_STEPS = 127  # symmetric int8
BATCH = 8


def correct_biases(network: keras.Model, images: np.ndarray, per_channel: bool = True) -> None:
    """Subtract from every bias the mean output error that rounding the weights to int8 causes.

    Args:
        network: An optimized model, which is changed.
        images: Representative images (N, H, W, 3).
        per_channel: Whether weights are quantized per channel.
    """
    weighted = [layer for layer in network.layers if getattr(layer, "bias", None) is not None]
    errors = [_rounding(layer, per_channel) for layer in weighted]
    shifts = [np.zeros(layer.bias.shape) for layer in weighted]
    probe = keras.Model(network.inputs, [layer.input for layer in weighted])
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        inputs = keras.tree.flatten(probe([batch], training=False))
        for layer, x, error, shift in zip(weighted, inputs, errors, shifts, strict=True):
            made = _convolved(layer, x, error)
            mean = keras.ops.mean(made, axis=tuple(range(len(made.shape) - 1)))
            shift += keras.ops.convert_to_numpy(mean) * len(batch) / len(images)
    for layer, shift in zip(weighted, shifts, strict=True):
        layer.bias.assign_sub(shift)


def _rounding(layer: Any, per_channel: bool) -> np.ndarray:
    """Return the rounded kernel minus the kernel."""
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    channels = 2 if isinstance(layer, layers.DepthwiseConv2D) else kernel.ndim - 1
    others = tuple(axis for axis in range(kernel.ndim) if axis != channels)
    greatest = np.abs(kernel).max(axis=others if per_channel else None, keepdims=True)
    scale = np.where(greatest > 0, greatest, 1) / WEIGHT_STEPS
    return np.rint(kernel / scale) * scale - kernel


def _convolved(layer: Any, x: Any, kernel: np.ndarray) -> Any:
    """Return the output of a layer with another kernel, without bias and activation."""
    if isinstance(layer, layers.Dense):
        return keras.ops.matmul(x, kernel)
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    convolve = keras.ops.depthwise_conv if depthwise else keras.ops.conv
    return convolve(x, kernel, layer.strides, layer.padding, layer.data_format, layer.dilation_rate)
