"""ShuffleNetV2.

Paper: Ma, Zhang, Zheng, Sun, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture
Design", ECCV 2018, https://arxiv.org/abs/1807.11164.

There are two variants, and weights fit only the one they were trained with:

* `variant="torchvision"` (https://github.com/pytorch/vision, also mmcls, mmpose, PaddleClas): a
  unit splits its input into halves and shuffles its output; the two branches of a strided unit
  output half of the channels each. Input is RGB normalized with
  ImageNet's mean and standard deviation.
* `variant="megvii"` (https://github.com/megvii-model/ShuffleNet-Series, the authors' own): a unit
  splits its input into even and odd channels and never shuffles its output; the projection of a
  strided unit outputs as many channels as it takes and the main branch the rest. The classifier has
  no bias. Input is BGR 0..255, not normalized.
"""

from collections.abc import Sequence
from typing import Literal

import keras

from keras_shufflenet._checks import check_choice
from keras_shufflenet.models import _builder
from keras_shufflenet.models._registry import register_family
from keras_shufflenet.models.layers import (
    channel_axis,
    channel_shuffle,
    concatenate,
    conv_bn,
    max_pool,
    shuffle_branch,
    shuffle_projection,
    signed_max_pool,
    split_even_odd,
    split_halves,
)

Variant = Literal["torchvision", "megvii"]
Activation = Literal["relu", "leaky_relu"]

# width: channels of stage 2, 3, 4 and of the last convolution. 0.25 and 0.33 are PaddleClas'.
CHANNELS = {
    0.25: (24, 48, 96, 512),
    0.33: (32, 64, 128, 512),
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
STEM_CHANNELS = 24
UNITS = (4, 8, 4)  # of stage 2, 3, 4
WIDTHS = {"torchvision": tuple(CHANNELS), "megvii": (0.5, 1.0, 1.5, 2.0)}
PREPROCESSING = {"torchvision": _builder.MEAN_STD, "megvii": _builder.IDENTITY}
MEGVII_DROPOUT = {2.0: 0.2}
POOLING = {"relu": max_pool, "leaky_relu": signed_max_pool}

# stride: prefix of the names of the layers that end there
FEATURE_PREFIXES = {2: "stem_conv", 4: "stem_pool", 8: "stage2", 16: "stage3", 32: "stage4"}

PRESETS = {
    _builder.preset_name("shufflenet_v2", width) + ("_megvii" if variant == "megvii" else ""): {
        "width": width,
        "variant": variant,
    }
    for variant, widths in WIDTHS.items()
    for width in widths
}


def _unit(
    x: keras.KerasTensor,
    filters: int,
    strides: int,
    variant: Variant,
    activation: Activation,
    name: str,
) -> keras.KerasTensor:
    """Apply a unit of figure 3 of the paper: (c) for stride 1, (d) for stride 2."""
    half, channels = filters // 2, x.shape[channel_axis()]
    if strides == 2:
        kept = channels if variant == "megvii" else half
        left = shuffle_projection(x, kept, activation=activation, name=f"{name}_proj")
        right = shuffle_branch(
            x, half, filters - kept, strides=2, activation=activation, name=f"{name}_main"
        )
    else:
        split = split_even_odd if variant == "megvii" else split_halves
        left, right = split(x, name)
        right = shuffle_branch(right, half, half, activation=activation, name=f"{name}_main")
    x = concatenate([left, right], name=f"{name}_concat")
    if variant == "torchvision":
        x = channel_shuffle(x, 2, name=f"{name}_shuffle")
    return x


def shufflenet_v2(
    x: keras.KerasTensor, width: float, variant: Variant, activation: Activation
) -> keras.KerasTensor:
    """Map normalized images to the feature maps of the last convolution (stride 32)."""
    *stages, last = CHANNELS[width]
    x = conv_bn(x, STEM_CHANNELS, 3, strides=2, activation=activation, name="stem_conv")
    x = POOLING[activation](x, name="stem_pool")
    for stage, (filters, units) in enumerate(zip(stages, UNITS, strict=True), start=2):
        for unit in range(units):
            strides = 2 if unit == 0 else 1
            x = _unit(x, filters, strides, variant, activation, name=f"stage{stage}_unit{unit}")
    return conv_bn(x, last, activation=activation, name="conv_last")


def ShuffleNetV2(
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
    activation: Activation = "relu",
) -> keras.Model:
    """Build ShuffleNetV2.

    Args:
        width: Channel multiplier (`alpha` of keras.applications): 0.25, 0.33, 0.5, 1.0, 1.5 or 2.0;
            from 0.5 upwards with `variant="megvii"`.
        variant: Publisher of the network: "torchvision" or "megvii", see the docstring of the
            module.
        include_preprocessing: Whether the model takes RGB images 0..255. If False, it takes what
            the publisher's network does: RGB normalized with ImageNet's mean and std
            (torchvision), BGR 0..255 (megvii).
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
        name: Name of the model. Defaults to its registry name, such as "shufflenet_v2_x1_0".
        adapt_input_channels: Whether pretrained weights for RGB are adapted to an `input_shape`
            with another number of channels: one and two channels share the sum of the RGB kernels,
            further channels begin with zeros. If False, such weights are an error.
        activation: "relu", or "leaky_relu" with slope 0.1, which detectors have in their place;
            max pooling then pads with −inf, not with zeros.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    check_choice("variant", variant, WIDTHS)
    check_choice("width", width, WIDTHS[variant])
    check_choice("activation", activation, POOLING)
    preset = _builder.preset_name("shufflenet_v2", width)
    preset += "_megvii" if variant == "megvii" else ""
    return _builder.build(
        lambda x: shufflenet_v2(x, width, variant, activation),
        preset=preset,
        preprocessing=PREPROCESSING[variant],
        include_preprocessing=include_preprocessing,
        top=_builder.Top(
            classes,
            classifier_activation,
            use_bias=variant == "torchvision",
            dropout=MEGVII_DROPOUT.get(width, 0.0) if variant == "megvii" else 0.0,
        ),
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        name=name,
        adapt_input_channels=adapt_input_channels,
    )


register_family(ShuffleNetV2, PRESETS, FEATURE_PREFIXES)
