"""ShuffleNetV2+: ShuffleNetV2 with searched units, hard swish and squeeze-and-excitation.

Source: https://github.com/megvii-model/ShuffleNet-Series (no paper). Compared to OneShot it has
other channels and, from stage 2 on, hard swish instead of ReLU; stages 3 and 4 have
squeeze-and-excitation; a hidden layer precedes the classifier. Input is BGR 0..255, not normalized.
"""

from collections.abc import Sequence

import keras
from keras import layers

from keras_shufflenet._checks import check_choice
from keras_shufflenet.models import _builder
from keras_shufflenet.models._registry import register_family
from keras_shufflenet.models.layers import TORCH_NORM, activate, channel_axis, conv_bn
from keras_shufflenet.models.search_space import (
    Style,
    parse_architecture,
    search_stages,
    squeeze_excite,
    unit_positions,
)

# size: channels of stage 1, 2, 3, 4.
CHANNELS = {
    "small": (36, 104, 208, 416),
    "medium": (48, 128, 256, 512),
    "large": (68, 168, 336, 672),
}
ARCHITECTURE = "0031 1100 20211020 2132"
STEM_CHANNELS = 16
LAST_CHANNELS = 1280
UNITS = (4, 4, 8, 4)
DROPOUT = 0.2
STYLES = (
    Style("relu"),
    Style("hard_silu"),
    Style("hard_silu", squeeze=True),
    Style("hard_silu", squeeze=True),
)

# stride: prefix of the names of the layers that end there
FEATURE_PREFIXES = {2: "stem_conv", 4: "stage1", 8: "stage2", 16: "stage3", 32: "stage4"}

PRESETS = {f"shufflenet_v2_plus_{size}": {"size": size} for size in CHANNELS}


def shufflenet_v2_plus(x: keras.KerasTensor, channels: Sequence[int]) -> keras.KerasTensor:
    """Map images to the feature maps of the last convolution (stride 32)."""
    x = conv_bn(x, STEM_CHANNELS, 3, strides=2, activation="hard_silu", name="stem_conv")
    architecture = parse_architecture(ARCHITECTURE, sum(UNITS))
    bottleneck_channels = [channels[stage - 1] // 2 for stage, _ in unit_positions(UNITS)]
    x = search_stages(x, architecture, UNITS, channels, bottleneck_channels, STYLES)
    return conv_bn(x, LAST_CHANNELS, activation="hard_silu", name="conv_last")


def _hidden(x: keras.KerasTensor) -> keras.KerasTensor:
    """Apply squeeze-and-excitation to the pooled channels, then a dense layer: (N, C) to (N, C)."""
    shape = [1, 1, 1]
    shape[channel_axis() if channel_axis() == -1 else 0] = LAST_CHANNELS
    x = layers.Reshape(shape, name="head_reshape")(x)
    x = squeeze_excite(x, x, TORCH_NORM, name="head_se")
    x = layers.Flatten(name="head_flatten")(x)
    x = layers.Dense(LAST_CHANNELS, use_bias=False, name="head_fc")(x)
    return activate(x, "hard_silu", "head_fc")


def ShuffleNetV2Plus(
    size: str = "small",
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
    """Build ShuffleNetV2+.

    Args:
        size: Size of the network: "small", "medium" or "large".
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
        name: Name of the model. Defaults to its registry name, such as "shufflenet_v2_plus_small".
        adapt_input_channels: Whether pretrained weights for RGB are adapted to an `input_shape`
            with another number of channels: one and two channels share the sum of the RGB kernels,
            further channels begin with zeros. If False, such weights are an error.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    check_choice("size", size, CHANNELS)
    return _builder.build(
        lambda x: shufflenet_v2_plus(x, CHANNELS[size]),
        preset=f"shufflenet_v2_plus_{size}",
        preprocessing=_builder.IDENTITY,
        include_preprocessing=include_preprocessing,
        top=_builder.Top(
            classes, classifier_activation, use_bias=False, dropout=DROPOUT, hidden=_hidden
        ),
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        name=name,
        adapt_input_channels=adapt_input_channels,
    )


register_family(ShuffleNetV2Plus, PRESETS, FEATURE_PREFIXES)
