"""ShuffleNet, the first version.

Paper: Zhang, Zhou, Lin, Sun, "ShuffleNet: An Extremely Efficient Convolutional Neural Network for
Mobile Devices", CVPR 2018, https://arxiv.org/abs/1707.01083.

Pointwise convolutions are grouped; a channel shuffle in between lets information flow across the
groups. There are two variants, and weights fit only the one they were trained with:

* `variant="megvii"` (https://github.com/megvii-model/ShuffleNet-Series, the authors' own): the
  shuffle is the inverse of the paper's, channels follow a table, the classifier has no bias. Input
  is BGR 0..255, not normalized.
* `variant="mmcls"` (https://github.com/open-mmlab/mmpretrain, also mmpose): the paper's shuffle,
  channels are rounded multiples of the ones at width 1. Input is RGB normalized with ImageNet's
  mean and standard deviation.

In both, the shuffle follows the depthwise convolution; in the paper's figure it precedes it.
"""

from collections.abc import Sequence
from typing import Literal

import keras
from keras import layers

from keras_shufflenet._checks import check_choice, check_positive
from keras_shufflenet.models import _builder
from keras_shufflenet.models._registry import register_family
from keras_shufflenet.models.layers import (
    activate,
    channel_axis,
    channel_shuffle,
    concatenate,
    conv_bn,
    depthwise_bn,
    max_pool,
    round_channels,
)

Variant = Literal["megvii", "mmcls"]

# (groups, width): channels of the stem and of stage 2, 3, 4.
MEGVII_CHANNELS = {
    (3, 0.5): (12, 120, 240, 480),
    (3, 1.0): (24, 240, 480, 960),
    (3, 1.5): (24, 360, 720, 1440),
    (3, 2.0): (48, 480, 960, 1920),
    (8, 0.5): (16, 192, 384, 768),
    (8, 1.0): (24, 384, 768, 1536),
    (8, 1.5): (24, 576, 1152, 2304),
    (8, 2.0): (48, 768, 1536, 3072),
}
# groups: channels of stage 2, 3, 4 at width 1.
MMCLS_CHANNELS = {
    1: (144, 288, 576),
    2: (200, 400, 800),
    3: (240, 480, 960),
    4: (272, 544, 1088),
    8: (384, 768, 1536),
}
MMCLS_STEM_CHANNELS = 24
UNITS = (4, 8, 4)  # of stage 2, 3, 4
BOTTLENECK = 4  # ratio of a unit's output channels to its bottleneck channels
PREPROCESSING = {"megvii": _builder.IDENTITY, "mmcls": _builder.MEAN_STD}

# stride: prefix of the names of the layers that end there
FEATURE_PREFIXES = {2: "stem_conv", 4: "stem_pool", 8: "stage2", 16: "stage3", 32: "stage4"}


def _preset_name(width: float, groups: int, variant: str) -> str:
    name = f"{_builder.preset_name('shufflenet_v1', width)}_g{groups}"
    return name if variant == "megvii" else f"{name}_mmcls"


PRESETS = {
    _preset_name(width, groups, variant): {"width": width, "groups": groups, "variant": variant}
    for variant, variants in (
        ("megvii", tuple(MEGVII_CHANNELS)),
        ("mmcls", tuple((groups, 1.0) for groups in MMCLS_CHANNELS)),
    )
    for groups, width in variants
}


def channels(width: float, groups: int, variant: Variant) -> tuple[int, ...]:
    """Return the channels of the stem and of stage 2, 3, 4.

    Raises:
        ValueError: If groups or width are not in the table, or the groups do not divide the
            channels of a unit.
    """
    check_choice("variant", variant, PREPROCESSING)
    if variant == "megvii":
        check_choice("(groups, width)", (groups, width), MEGVII_CHANNELS)
        return MEGVII_CHANNELS[groups, width]
    check_choice("groups", groups, MMCLS_CHANNELS)
    check_positive("width", width)
    stages = tuple(round_channels(count * width) for count in MMCLS_CHANNELS[groups])
    made = (int(MMCLS_STEM_CHANNELS * width), *stages)
    splits = [stages[0] - made[0], *(count // BOTTLENECK for count in stages)]
    if made[0] < 1 or any(count % groups for count in splits):
        raise ValueError(
            f"`groups` must divide the channels of the stem and the stages, {made}; choose another "
            f"width. Received: width={width!r}, groups={groups!r}"
        )
    return made


def _average_pool(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Apply 3 × 3 average pooling with stride 2; the padded zeros count."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.AveragePooling2D(3, 2, name=name)(x)


def _shuffle(x: keras.KerasTensor, groups: int, variant: Variant, name: str) -> keras.KerasTensor:
    if variant == "mmcls":
        return channel_shuffle(x, groups, name=f"{name}_shuffle")
    return channel_shuffle(x, x.shape[channel_axis()] // groups, name=f"{name}_unshuffle")


def _unit(
    x: keras.KerasTensor,
    filters: int,
    strides: int,
    groups: int,
    variant: Variant,
    name: str,
    *,
    first: bool,
) -> keras.KerasTensor:
    """Apply a unit of figure 2 of the paper: (b) for stride 1, (c) for stride 2."""
    made = filters if strides == 1 else filters - x.shape[channel_axis()]
    branch = conv_bn(x, filters // BOTTLENECK, groups=1 if first else groups, name=f"{name}_pw1")
    branch = depthwise_bn(branch, strides=strides, name=f"{name}_dw")
    branch = _shuffle(branch, groups, variant, name)
    branch = conv_bn(branch, made, groups=groups, activation=None, name=f"{name}_pw2")
    if strides == 1:
        return activate(layers.Add(name=f"{name}_add")([x, branch]), "relu", name)
    branch = activate(branch, "relu", name)
    shortcut = _average_pool(x, name=f"{name}_pool")
    return concatenate([shortcut, branch], name=f"{name}_concat")


def shufflenet_v1(
    x: keras.KerasTensor, width: float, groups: int, variant: Variant
) -> keras.KerasTensor:
    """Map normalized images to the feature maps of the last stage (stride 32)."""
    stem, *stages = channels(width, groups, variant)
    x = conv_bn(x, stem, 3, strides=2, name="stem_conv")
    x = max_pool(x, name="stem_pool")
    for stage, (filters, units) in enumerate(zip(stages, UNITS, strict=True), start=2):
        for unit in range(units):
            x = _unit(
                x,
                filters,
                2 if unit == 0 else 1,
                groups,
                variant,
                f"stage{stage}_unit{unit}",
                first=stage == 2 and unit == 0,  # it has too few input channels for groups
            )
    return x


def ShuffleNetV1(
    width: float = 1.0,
    groups: int = 3,
    variant: Variant = "megvii",
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
    """Build ShuffleNet, version 1.

    Args:
        width: Channel multiplier: 0.5, 1.0, 1.5 or 2.0; with `variant="mmcls"` any positive number
            whose channels the groups divide.
        groups: Number of groups of the pointwise convolutions: 3 or 8; with `variant="mmcls"` 1, 2,
            3, 4 or 8.
        variant: Publisher of the network: "megvii" or "mmcls", see the docstring of the module.
        include_preprocessing: Whether the model takes RGB images 0..255. If False, it takes what
            the publisher's network does: BGR 0..255 (megvii), RGB normalized with ImageNet's
            mean and std (mmcls).
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
        name: Name of the model. Defaults to its registry name, such as "shufflenet_v1_x1_0_g3".
        adapt_input_channels: Whether pretrained weights for RGB are adapted to an `input_shape`
            with another number of channels: one and two channels share the sum of the RGB kernels,
            further channels begin with zeros. If False, such weights are an error.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    channels(width, groups, variant)  # raises before anything is built
    return _builder.build(
        lambda x: shufflenet_v1(x, width, groups, variant),
        preset=_preset_name(width, groups, variant),
        preprocessing=PREPROCESSING[variant],
        include_preprocessing=include_preprocessing,
        top=_builder.Top(classes, classifier_activation, use_bias=variant == "mmcls"),
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        name=name,
        adapt_input_channels=adapt_input_channels,
    )


register_family(ShuffleNetV1, PRESETS, FEATURE_PREFIXES)
