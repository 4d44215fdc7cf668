"""OneShot: the network found by Single Path One-Shot search, and any other of its search space.

Paper: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling",
ECCV 2020, https://arxiv.org/abs/1904.00420.

Weights: https://github.com/megvii-model/ShuffleNet-Series (operators and channels) and
https://github.com/megvii-model/SinglePathOneShot (operators only). Input is BGR 0..255,
not normalized.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import keras

from keras_shufflenet._checks import is_positive
from keras_shufflenet.models import _builder
from keras_shufflenet.models._registry import register_family
from keras_shufflenet.models.layers import Norm, conv_bn
from keras_shufflenet.models.search_space import (
    Style,
    bottleneck_channels,
    parse_architecture,
    search_stages,
    split_scales,
)


class Searched(NamedTuple):
    """A network found by the search: a choice and a channel scale for each unit."""

    architecture: str
    channel_scales: tuple[float, ...]


# name: choices, factors on the bottleneck channels of the units.
SEARCHED = {
    "one_shot": Searched(
        "0031 1100 20211020 2132",
        (1.4, 1.2, 0.8, 1.2,
         0.6, 1.4, 0.8, 1.0,
         0.6, 1.2, 1.6, 1.2, 1.0, 1.4, 1.6, 1.0,
         1.0, 1.2, 1.0, 0.8),
    ),
    "one_shot_spos": Searched("2101 2020 20230000 3233", (1.0,) * 20),
}  # fmt: skip
STEM_CHANNELS = 16
CHANNELS = (64, 160, 320, 640)  # of stage 1 to 4
LAST_CHANNELS = 1024
UNITS = (4, 4, 8, 4)
DROPOUT = 0.1

# stride: prefix of the names of the layers that end there
FEATURE_PREFIXES = {2: "stem_conv", 4: "stage1", 8: "stage2", 16: "stage3", 32: "stage4"}

PRESETS = {name: {"architecture": name} for name in SEARCHED}


def one_shot(
    x: keras.KerasTensor,
    architecture: Sequence[int],
    channel_scales: Sequence[float],
    norm: Norm,
) -> keras.KerasTensor:
    """Map images to the feature maps of the last convolution (stride 32)."""
    x = conv_bn(x, STEM_CHANNELS, 3, strides=2, norm=norm, name="stem_conv")
    styles = [Style(norm=norm)] * len(UNITS)
    bottlenecks = bottleneck_channels(CHANNELS, UNITS, channel_scales)
    x = search_stages(x, architecture, UNITS, CHANNELS, bottlenecks, styles)
    return conv_bn(x, LAST_CHANNELS, norm=norm, name="conv_last")


def OneShotNet(
    architecture: str | Sequence[int] = "one_shot",
    channel_scales: Sequence[float] | None = None,
    affine: bool = True,
    include_preprocessing: bool = True,
    include_top: bool = True,
    weights: str | None = None,
    input_tensor: keras.KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None,
    pooling: str | None = None,
    classes: int | Sequence[str] = 1000,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
    adapt_input_channels: bool = False,
) -> keras.Model:
    """Build a network of the one-shot search space.

    Args:
        architecture: "one_shot" (found by ShuffleNet-Series), "one_shot_spos" (found by
            SinglePathOneShot), or 20 choices: 0, 1, 2 for units with 3 × 3, 5 × 5, 7 × 7 depthwise
            convolutions, 3 for the Xception unit; as numbers or as a string of digits, which may
            be followed by channel scales, as in "0031…@1.4,1.2,…".
        channel_scales: 20 positive factors on the bottleneck channels of the units. Defaults to
            those of the architecture, otherwise 1.
        affine: Whether batch normalizations have gamma and beta. Those of supernets do not, see
            `weights.supernet_path`.
        include_preprocessing: Whether the model takes RGB images 0..255. If False, it takes what
            the publisher's network does: BGR 0..255.
        include_top: Whether to include pooling and the classifier.
        weights: None (random initialization), "imagenet", a name of `weights.list_weights()`, or
            the path of a file.
        input_tensor: Keras tensor to use as the image input.
        input_shape: (height, width, channels), at least 32 × 32; None for a variable side.
            Defaults to (224, 224, 3) with the top and (None, None, 3) without.
        pooling: Without the top: None for feature maps (N, H/32, W/32, C), "avg" or "max" for
            vectors (N, C).
        classes: Number of classes, or a list of their names, which the model then carries into
            its files. With a number other than 1000, published weights are loaded without their
            classifier; so is a file with another number of classes, or none, with a warning.
        classifier_activation: Activation of the classifier; None returns logits.
        name: Name of the model. Defaults to its registry name, such as "one_shot".
        adapt_input_channels: Whether pretrained weights for RGB are adapted to an `input_shape`
            with another number of channels: one and two channels share the sum of the RGB kernels,
            further channels begin with zeros. If False, such weights are an error.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    found = SEARCHED.get(architecture) if isinstance(architecture, str) else None
    units = sum(UNITS)
    text, own_scales = architecture, None
    if found:
        text, own_scales = found
    elif isinstance(architecture, str):
        text, own_scales = split_scales(architecture)
    choices = parse_architecture(text, units, SEARCHED)
    if channel_scales is None:
        scales = own_scales or (1.0,) * units
    else:
        scales = tuple(channel_scales) if isinstance(channel_scales, Iterable) else ()
    known = len(scales) == units and all(map(is_positive, scales))
    if not known or min(bottleneck_channels(CHANNELS, UNITS, scales)) < 1:
        raise ValueError(
            f"`channel_scales` must be {units} positive numbers that leave at least one channel. "
            f"Received: channel_scales={channel_scales!r}"
        )
    return _builder.build(
        lambda x: one_shot(x, choices, scales, Norm(affine=affine)),
        preset=str(architecture) if found and channel_scales is None else "one_shot_custom",
        preprocessing=_builder.IDENTITY,
        include_preprocessing=include_preprocessing,
        top=_builder.Top(classes, classifier_activation, use_bias=False, dropout=DROPOUT),
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        name=name,
        adapt_input_channels=adapt_input_channels,
    )


register_family(OneShotNet, PRESETS, FEATURE_PREFIXES, spaces={"one_shot": {}})
