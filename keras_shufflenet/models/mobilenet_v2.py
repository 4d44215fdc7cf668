"""MobileNetV2.

Paper: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018, https://arxiv.org/abs/1801.04381.

PyTorch's networks pad symmetrically, have epsilon 1e-5, and take RGB normalized with ImageNet's
mean and standard deviation. At width 1 they are the same network; at other widths the publishers
round channels differently:

* `variant="torchvision"` (https://github.com/pytorch/vision): to the nearest multiple of 8.
* `variant="mmcls"` (https://github.com/open-mmlab/mmpretrain, also mmpose): likewise, but the
  last convolution's channels are not rounded.
* `variant="tonylins"` (https://github.com/tonylins/pytorch-mobilenet-v2): up to a multiple of 8,
  and stem and first block have the same channels at every width.
* `variant="keras"` (https://keras.io/api/applications/mobilenet/, also Hugging Face's): the network
  of TensorFlow, with torchvision's channels, `padding="same"`, epsilon 1e-3 and input in -1..1.

timm's networks are torchvision's. torchvision has a dropout rate of 0.2 before the classifier, the
others have none.
"""

import math
from collections.abc import Sequence
from typing import Literal, TypedDict

import keras
from keras import layers

from keras_shufflenet._checks import check_choice, check_positive
from keras_shufflenet.models import _builder
from keras_shufflenet.models._registry import register_family
from keras_shufflenet.models.layers import (
    TENSORFLOW_NORM,
    TORCH_NORM,
    Norm,
    channel_axis,
    conv_bn,
    depthwise_bn,
    round_channels,
)

Variant = Literal["torchvision", "mmcls", "tonylins", "keras"]

# expansion, channels, blocks, stride of the first block
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM_CHANNELS = 32
LAST_CHANNELS = 1280
DIVISOR = 8  # of all channels
DROPOUT = {"torchvision": 0.2, "mmcls": 0.0, "tonylins": 0.0, "keras": 0.0}
WIDTHS = {
    "torchvision": (0.35, 0.5, 0.75, 1.0, 1.4),
    "mmcls": (1.0,),
    "tonylins": (0.35, 0.5, 0.75, 1.0, 1.4),
    "keras": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
}  # in the registry

# stride: prefix of the names of the layers that end there
FEATURE_PREFIXES = {2: "block0", 4: "block2", 8: "block5", 16: "block12", 32: "block16"}


def _preset_name(width: float, variant: str) -> str:
    name = _builder.preset_name("mobilenet_v2", width)
    return name if variant == "torchvision" else f"{name}_{variant}"


PRESETS = {
    _preset_name(width, variant): {"width": width, "variant": variant}
    for variant, widths in WIDTHS.items()
    for width in widths
}


def scaled_channels(width: float, variant: Variant) -> tuple[int, tuple[int, ...], int]:
    """Return the channels of the stem, of the stages and of the last convolution."""
    stages = [channels for _, channels, _, _ in STAGES]
    if variant == "tonylins":
        first, *others = stages
        made = (first, *(_round_up(channels * width) for channels in others))
        return STEM_CHANNELS, made, max(LAST_CHANNELS, _round_up(LAST_CHANNELS * width))
    made = tuple(round_channels(channels * width) for channels in stages)
    last = int(LAST_CHANNELS * max(1.0, width))
    if variant != "mmcls":
        last = round_channels(LAST_CHANNELS * max(1.0, width))
    return round_channels(STEM_CHANNELS * width), made, last


def _round_up(channels: float) -> int:
    return math.ceil(channels / DIVISOR) * DIVISOR


class Style(TypedDict):
    """What the frameworks do differently in convolutions with batch normalization."""

    norm: Norm
    same_padding: bool


PYTORCH = Style(norm=TORCH_NORM, same_padding=False)
TENSORFLOW = Style(norm=TENSORFLOW_NORM, same_padding=True)
MINUS_1_TO_1 = _builder.Preprocessing((127.5,) * 3, (127.5,) * 3)


def _block(
    x: keras.KerasTensor, filters: int, expansion: int, strides: int, style: Style, name: str
) -> keras.KerasTensor:
    """Apply an inverted residual with a linear bottleneck, table 1 of the paper."""
    shortcut, channels = x, x.shape[channel_axis()]
    if expansion != 1:
        x = conv_bn(x, channels * expansion, activation="relu6", **style, name=f"{name}_expand")
    x = depthwise_bn(x, strides=strides, activation="relu6", **style, name=f"{name}_dw")
    x = conv_bn(x, filters, activation=None, **style, name=f"{name}_project")
    if strides == 1 and channels == filters:
        x = layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def mobilenet_v2(x: keras.KerasTensor, width: float, variant: Variant) -> keras.KerasTensor:
    """Map normalized images to the feature maps of the last convolution (stride 32)."""
    stem, channels, last = scaled_channels(width, variant)
    style = TENSORFLOW if variant == "keras" else PYTORCH
    x = conv_bn(x, stem, 3, strides=2, activation="relu6", **style, name="stem_conv")
    block = 0
    for (expansion, _, blocks, first_strides), filters in zip(STAGES, channels, strict=True):
        for index in range(blocks):
            strides = first_strides if index == 0 else 1
            x = _block(x, filters, expansion, strides, style, name=f"block{block}")
            block += 1
    return conv_bn(x, last, activation="relu6", **style, name="conv_last")


def MobileNetV2(
    width: float = 1.0,
    variant: Variant = "torchvision",
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
    """Build MobileNetV2.

    Args:
        width: Multiplier of the channels (`alpha` of keras.applications), any positive number;
            weights are published for 1.0.
        variant: Publisher of the network: "torchvision", "mmcls", "tonylins" or "keras", see the
            docstring of the module.
        include_preprocessing: Whether the model takes RGB images 0..255. If False, it takes RGB
            images normalized with ImageNet's mean and std, in -1..1 for "keras".
        include_top: Whether to include pooling, dropout and the classifier.
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
        name: Name of the model. Defaults to its registry name, such as "mobilenet_v2_x1_0".
        adapt_input_channels: Whether pretrained weights for RGB are adapted to an `input_shape`
            with another number of channels: one and two channels share the sum of the RGB kernels,
            further channels begin with zeros. If False, such weights are an error.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    check_choice("variant", variant, WIDTHS)
    check_positive("width", width)
    return _builder.build(
        lambda x: mobilenet_v2(x, width, variant),
        preset=_preset_name(width, variant),
        preprocessing=MINUS_1_TO_1 if variant == "keras" else _builder.MEAN_STD,
        include_preprocessing=include_preprocessing,
        top=_builder.Top(classes, classifier_activation, dropout=DROPOUT[variant]),
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        name=name,
        adapt_input_channels=adapt_input_channels,
    )


register_family(MobileNetV2, PRESETS, FEATURE_PREFIXES)
