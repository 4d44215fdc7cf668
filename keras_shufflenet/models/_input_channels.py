"""RGB weights for images with another number of channels.

What timm's `in_chans` does, with two differences: a network for gray images gives the outputs of
the RGB network for the same gray image, whatever the normalization (only the pixels beside the
zero padding of the first convolution differ a little if it subtracts a mean); and further channels
begin with zeros, so that the outputs are those of the RGB network until these weights are trained.
"""

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from keras_shufflenet._layer_names import STEM
from keras_shufflenet.models._preprocessing import RGB, for_channels
from keras_shufflenet.models.layers import channel_axis
from keras_shufflenet.weights.assignment import assign

INPUTS = 2  # axis of Keras' convolution kernel
Array = NDArray[Any]


def copy_adapted(rgb: keras.Model, model: keras.Model) -> None:
    """Copy the weights of a network for RGB into the same network for other channels.

    Args:
        rgb: The network for RGB images.
        model: The network for images with 1, 2 or more than 3 channels, which is changed. One and
            two channels share the sum of the RGB kernels, so that gray images repeated to the
            number of channels give the same output. From four on the first three channels are
            those of `rgb`, and the kernel is 0 for the others.
    """
    for source in rgb.layers:
        if not source.weights or isinstance(source, layers.Normalization):
            continue
        for variable, value in zip(
            model.get_layer(source.name).weights, source.weights, strict=True
        ):
            if tuple(variable.shape) == tuple(value.shape):
                assign(variable, _numpy(value))
    stem, norm = model.get_layer(STEM), model.get_layer(f"{STEM}_bn")
    channels = stem.kernel.shape[INPUTS]
    adapted, offset = _adapt(_numpy(rgb.get_layer(STEM).kernel), channels, _statistics(rgb))
    assign(stem.kernel, adapted)
    assign(norm.moving_mean, _numpy(norm.moving_mean) + offset)


def _adapt(
    kernel: Array, channels: int, statistics: tuple[Array, Array] | None
) -> tuple[Array, Array]:
    """Return the kernel for other channels, and the constant by which its outputs are larger.

    Args:
        kernel: Kernel (height, width, 3, outputs) for RGB.
        channels: Number of channels, other than 3.
        statistics: Mean and standard deviation of RGB that are subtracted and divided by before.
    """
    no_offset = np.zeros(kernel.shape[-1])
    if channels > RGB:
        shape = (*kernel.shape[:INPUTS], channels - RGB, kernel.shape[-1])
        return np.concatenate([kernel, np.zeros(shape)], INPUTS), no_offset
    if statistics is None:
        summed, offset = kernel.sum(INPUTS), no_offset
    else:
        # A gray value g is normalized to (g - mean) / std instead of (g - means) / stds.
        means, stds = statistics
        scaled = kernel / stds[:, np.newaxis]
        summed = scaled.sum(INPUTS) * for_channels(stds, 1)
        offset = np.einsum("hwio,i->o", scaled, means - for_channels(means, 1))
    return np.repeat(summed[:, :, np.newaxis] / channels, channels, INPUTS), offset


def _statistics(rgb: keras.Model) -> tuple[Array, Array] | None:
    """Return mean and standard deviation of each color, averaged over a mean image."""
    found = [layer for layer in rgb.layers if isinstance(layer, layers.Normalization)]
    if not found:
        return None
    others = (0, 1, 2) if channel_axis() == -1 else (0, 2, 3)
    mean, variance = _numpy(found[0].mean), _numpy(found[0].variance)
    return mean.mean(axis=others), np.sqrt(variance.mean(axis=others))


def _numpy(variable: Any) -> Array:
    """Return numbers in double precision: rounding happens once, at the end."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)
