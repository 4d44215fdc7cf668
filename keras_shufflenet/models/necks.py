"""Necks: modules between a backbone and a head. Pose heads use them, and detectors can.

Paper: Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017,
https://arxiv.org/abs/1612.03144.
"""

from collections.abc import Callable, Sequence

import keras
from keras import layers

from keras_shufflenet.models.layers import conv_bn


def upsample(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Double height and width by bilinear interpolation."""
    return layers.UpSampling2D(2, interpolation="bilinear", name=name)(x)


def top_down_pyramid(
    x: keras.KerasTensor,
    finer_maps: Sequence[keras.KerasTensor],
    channels: int,
    smooth: Callable[[keras.KerasTensor, int], keras.KerasTensor],
    prefix: str,
) -> list[keras.KerasTensor]:
    """Build the top-down path of a feature pyramid.

    At each level the coarser output is upsampled, the projected ("lateral") feature map of the
    backbone is added, and the sum is smoothed.

    Args:
        x: Feature maps of the coarsest level, with `channels` channels.
        finer_maps: Feature maps of the backbone, each twice as large as the one before, the first
            twice as large as `x`.
        channels: Number of channels of all levels.
        smooth: Applied to the sum of each level; receives the index of the level, from 1.
        prefix: Prefix of the names of the layers.

    Returns:
        The output of each level, in the order of `finer_maps`.
    """
    levels = []
    for index, finer in enumerate(finer_maps, start=1):
        lateral = conv_bn(finer, channels, activation=None, name=f"{prefix}lateral{index}")
        coarser = upsample(x, name=f"{prefix}up{index}")
        x = smooth(layers.Add(name=f"{prefix}add{index}")([coarser, lateral]), index)
        levels.append(x)
    return levels
