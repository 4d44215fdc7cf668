"""Necks: modules between a backbone and a head of a pose estimator or a detector.

Papers:

* `top_down_pyramid` and `feature_pyramid`: Lin et al., "Feature Pyramid Networks for Object
  Detection", CVPR 2017, https://arxiv.org/abs/1612.03144, the latter with the convolutions and the
  additional levels that RetinaNet has;
* `path_aggregation`: Liu et al., "Path Aggregation Network for Instance Segmentation", CVPR 2018,
  https://arxiv.org/abs/1803.01534, without its convolutions after the sums, as NanoDet has it;
* `ghost_path_aggregation`: the same with the bottlenecks of Han et al., "GhostNet: More Features
  from Cheap Operations", CVPR 2020, https://arxiv.org/abs/1911.11907, as NanoDet-Plus has it.

Code of the last two: https://github.com/RangiLyu/nanodet.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from keras_shufflenet.models.layers import (
    GLOROT,
    concatenate,
    conv_bn,
    depthwise_bn,
)

GHOST_KERNEL, CHEAP_KERNEL = 5, 3


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


def feature_pyramid(
    maps: Sequence[keras.KerasTensor], channels: int, extra_levels: int, prefix: str
) -> list[keras.KerasTensor]:
    """Build a feature pyramid without normalization, and coarser levels from its coarsest one.

    Args:
        maps: Feature maps of the backbone, the finest first, each half as large as the one before.
        channels: Number of channels of all levels.
        extra_levels: Number of coarser levels, each half as large as the one before, rounded up.
        prefix: Prefix of the names of the layers; those of the outputs are `<prefix>out<level>`.

    Returns:
        The outputs in the order of `maps`, and those of the additional levels.
    """
    x = [
        layers.Conv2D(channels, 1, name=f"{prefix}lateral{level}")(each)
        for level, each in enumerate(maps)
    ]
    for level in reversed(range(len(x) - 1)):
        coarser = layers.UpSampling2D(2, name=f"{prefix}up{level}")(x[level + 1])
        x[level] = layers.Add(name=f"{prefix}add{level}")([x[level], coarser])
    outputs = [
        layers.Conv2D(channels, 3, padding="same", name=f"{prefix}out{level}")(each)
        for level, each in enumerate(x)
    ]
    for level in range(len(maps), len(maps) + extra_levels):
        finer = outputs[-1]
        if level > len(maps):
            finer = layers.ReLU(name=f"{prefix}down{level}_relu")(finer)
        finer = layers.ZeroPadding2D(1, name=f"{prefix}out{level}_pad")(finer)
        outputs.append(layers.Conv2D(channels, 3, 2, name=f"{prefix}out{level}")(finer))
    return outputs


def path_aggregation(
    maps: Sequence[keras.KerasTensor], channels: int, prefix: str
) -> list[keras.KerasTensor]:
    """Add coarser feature maps to finer ones, then finer ones to coarser ones.

    Args:
        maps: Feature maps of the backbone, the finest first, each half as large as the one before.
        channels: Number of channels of all levels.
        prefix: Prefix of the names of the layers; those of the outputs are `<prefix>out<level>`.

    Returns:
        The output of each level, in the order of `maps`.
    """
    x = [
        layers.Conv2D(channels, 1, name=f"{prefix}lateral{level}")(each)
        for level, each in enumerate(maps)
    ]
    for level in reversed(range(len(x) - 1)):
        name = "out0" if level == 0 else f"add{level}"
        coarser = upsample(x[level + 1], name=f"{prefix}up{level}")
        x[level] = layers.Add(name=prefix + name)([x[level], coarser])
    for level in range(1, len(x)):
        # Bilinear resizing to half of an even size, as the reference has it.
        finer = layers.AveragePooling2D(2, name=f"{prefix}down{level}")(x[level - 1])
        x[level] = layers.Add(name=f"{prefix}out{level}")([x[level], finer])
    return x


def ghost_path_aggregation(
    maps: Sequence[keras.KerasTensor], channels: int, activation: str, prefix: str
) -> list[keras.KerasTensor]:
    """Merge the levels as `path_aggregation` does, with Ghost bottlenecks; add a coarser level.

    Args:
        maps: Feature maps of the backbone, the finest first, each half as large as the one before.
        channels: Number of channels of all levels.
        activation: As for `layers.activate`.
        prefix: Prefix of the names of the layers; those of level i end in a layer whose name begins
            with `<prefix>out<i>`.

    Returns:
        The outputs in the order of `maps`, and that of the additional level.
    """

    def merge(parts: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
        return _ghost_bottleneck(concatenate(parts, f"{name}_concat"), channels, activation, name)

    def halve(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return separable_bn(x, channels, GHOST_KERNEL, 2, activation=activation, name=name)

    reduced = [
        conv_bn(each, channels, activation=activation, name=f"{prefix}reduce{level}")
        for level, each in enumerate(maps)
    ]
    inner = list(reduced)
    for level in reversed(range(len(inner) - 1)):
        name = f"{prefix}out0" if level == 0 else f"{prefix}inner{level}"
        coarser = upsample(inner[level + 1], name=f"{prefix}up{level}")
        inner[level] = merge([coarser, inner[level]], name)
    outputs = [inner[0]]
    for level in range(1, len(inner)):
        finer = halve(outputs[-1], f"{prefix}down{level}")
        outputs.append(merge([finer, inner[level]], f"{prefix}out{level}"))
    last = len(maps)
    extra = [
        halve(reduced[-1], f"{prefix}extra_reduced"),
        halve(outputs[-1], f"{prefix}extra_out"),
    ]
    return [*outputs, layers.Add(name=f"{prefix}out{last}")(extra)]


def separable_bn(
    x: keras.KerasTensor,
    channels: int,
    kernel_size: int,
    strides: int = 1,
    *,
    activation: str,
    kernel_initializer: Any = GLOROT,
    name: str,
) -> keras.KerasTensor:
    """Apply a depthwise and a pointwise convolution, each with normalization and activation.

    Args:
        x: Feature maps.
        channels: Number of output channels.
        kernel_size: Of the depthwise convolution.
        strides: Of the depthwise convolution, 1 or 2.
        activation: As for `layers.activate`.
        kernel_initializer: Of both convolutions.
        name: The convolutions are `<name>_dw` and `<name>_pw`.
    """
    x = depthwise_bn(
        x,
        kernel_size,
        strides,
        activation=activation,
        kernel_initializer=kernel_initializer,
        name=f"{name}_dw",
    )
    return conv_bn(
        x,
        channels,
        activation=activation,
        kernel_initializer=kernel_initializer,
        name=f"{name}_pw",
    )


def _ghost_bottleneck(
    x: keras.KerasTensor, channels: int, activation: str, name: str
) -> keras.KerasTensor:
    """Apply GhostNet's bottleneck of stride 1 without squeeze-and-excitation."""
    shortcut = depthwise_bn(x, GHOST_KERNEL, name=f"{name}_shortcut_dw")
    shortcut = conv_bn(shortcut, channels, activation=None, name=f"{name}_shortcut_pw")
    x = _ghost(x, channels, activation, f"{name}_ghost1")
    x = _ghost(x, channels, None, f"{name}_ghost2")
    return layers.Add(name=f"{name}_add")([x, shortcut])


def _ghost(
    x: keras.KerasTensor, channels: int, activation: str | None, name: str
) -> keras.KerasTensor:
    """Make half of the channels, and the others from these by a depthwise convolution."""
    primary = conv_bn(x, channels // 2, activation=activation, name=f"{name}_primary")
    cheap = depthwise_bn(primary, CHEAP_KERNEL, activation=activation, name=f"{name}_cheap")
    return concatenate([primary, cheap], f"{name}_concat")
