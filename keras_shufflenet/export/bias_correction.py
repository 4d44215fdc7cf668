"""Correction of biases for the rounding of weights to int8.

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
https://arxiv.org/abs/1906.04721, section 4.2, with the mean inputs of the representative images.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

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
