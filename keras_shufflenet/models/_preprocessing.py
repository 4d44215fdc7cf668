"""Normalization of images, which every builder puts in front of its network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from keras_shufflenet._layer_names import PREPROCESSING
from keras_shufflenet.models.layers import channel_axis

RGB = 3


@dataclass(frozen=True)
class Preprocessing:
    """Normalization of RGB images 0..255 that a network was trained with.

    Networks trained on BGR need nothing here: when weights are loaded into a model with
    preprocessing, the input channels of the first kernel are reversed.

    Attributes:
        mean: Mean RGB color, or a mean image (height, width, 3) for inputs of that size.
        std: Standard deviation of RGB.
    """

    mean: Sequence[float] | NDArray[np.floating] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (1.0, 1.0, 1.0)


MEAN_STD = Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # ImageNet's pixels
IDENTITY = Preprocessing()


def prepend_preprocessing(
    image: keras.KerasTensor, preprocessing: Preprocessing | None
) -> keras.KerasTensor:
    """Normalize images 0..255 as the network expects.

    Args:
        image: Images with any number of channels, see `for_channels`.
        preprocessing: Normalization of RGB images; None for none.
    """
    if preprocessing is None:
        return image
    if preprocessing is IDENTITY:  # the layer's name tells the weight loader that input is RGB
        return layers.Identity(name=PREPROCESSING)(image)
    channels = image.shape[channel_axis()]
    mean = for_channels(_fit(np.asarray(preprocessing.mean, np.float32), image), channels)
    std = for_channels(np.asarray(preprocessing.std), channels)
    variance = np.broadcast_to(np.square(std), mean.shape)
    axes: Any = channel_axis() if mean.ndim == 1 else (1, 2, 3)
    if mean.ndim == 3 and channel_axis() == 1:
        mean, variance = mean.transpose(2, 0, 1), variance.transpose(2, 0, 1)
    return layers.Normalization(
        axis=axes, mean=mean.tolist(), variance=variance.tolist(), name=PREPROCESSING
    )(image)


def for_channels(rgb: NDArray[Any], channels: int) -> NDArray[Any]:
    """Return the statistics of images with another number of channels than RGB.

    Args:
        rgb: Numbers of RGB, on the last axis.
        channels: Number of channels of the images. From three on the first three are RGB; all
            others are treated as gray, with the average of the three numbers.
    """
    if channels == RGB:
        return rgb
    colors = rgb if channels > RGB else rgb[..., :0]
    gray = rgb.mean(axis=-1, keepdims=True)
    others = np.repeat(gray, channels - colors.shape[-1], axis=-1)
    return np.concatenate([colors, others], axis=-1)


def _fit(mean: NDArray[np.float32], image: keras.KerasTensor) -> NDArray[np.float32]:
    """Resize a mean image to the input, or average it if the input size is variable."""
    height, width = image.shape[1:3] if channel_axis() == -1 else image.shape[2:4]
    if mean.shape[-1:] != (RGB,) or mean.ndim not in (1, 3):
        raise ValueError(
            "`mean` must be a color (3,) or an image (height, width, 3). "
            f"Received: mean of shape {mean.shape}"
        )
    if mean.ndim == 1 or mean.shape[:2] == (height, width):
        return mean
    if height is None or width is None:
        return mean.mean(axis=(0, 1))
    resized = keras.ops.image.resize(
        mean, (height, width), antialias=True, data_format="channels_last"
    )
    return np.asarray(keras.ops.convert_to_numpy(resized), np.float32)
