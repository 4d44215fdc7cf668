"""Biases that make up for the rounding of kernels.

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
https://arxiv.org/abs/1906.04721, section 4.2; the mean inputs are those of real images.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

STEPS = 127  # of a symmetric byte
BATCH = 8


def correct_biases(network: keras.Model, images: np.ndarray, per_channel: bool = True) -> None:
    """Take from every bias what rounding the kernel to int8 adds to the output on the average.

    Args:
        network: a lowered model, which is changed.
        images: (N, H, W, 3) as it takes them.
        per_channel: whether each output channel of a kernel has its own scale.
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
    """The rounded kernel minus the kernel."""
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    channels = 2 if isinstance(layer, layers.DepthwiseConv2D) else kernel.ndim - 1
    others = tuple(axis for axis in range(kernel.ndim) if axis != channels)
    greatest = np.abs(kernel).max(axis=others if per_channel else None, keepdims=True)
    scale = np.where(greatest > 0, greatest, 1) / STEPS
    return np.rint(kernel / scale) * scale - kernel


def _convolved(layer: Any, x: Any, kernel: np.ndarray) -> Any:
    """What a layer without bias and activation would make with another kernel."""
    if isinstance(layer, layers.Dense):
        return keras.ops.matmul(x, kernel)
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    convolve = keras.ops.depthwise_conv if depthwise else keras.ops.conv
    return convolve(x, kernel, layer.strides, layer.padding, layer.data_format, layer.dilation_rate)
