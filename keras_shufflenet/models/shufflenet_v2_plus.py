"""ShuffleNetV2+: ShuffleNetV2 with searched units, hard swish and squeeze-and-excitation.

Source: https://github.com/megvii-model/ShuffleNet-Series (no paper). Compared to OneShot it has
other channels and, from stage 2 on, hard swish for ReLU; stages 3 and 4 squeeze and excite; a
hidden layer precedes the classifier. Input is BGR 0..255 as it is.
"""

from collections.abc import Sequence

import keras
from keras import layers

from keras_shufflenet.models import _builder
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

# stride: what the names of the layers there begin with
FEATURE_PREFIXES = {2: "stem_conv", 4: "stage1", 8: "stage2", 16: "stage3", 32: "stage4"}

PRESETS = {f"shufflenet_v2_plus_{size}": {"size": size} for size in CHANNELS}


def shufflenet_v2_plus(x: keras.KerasTensor, channels: Sequence[int]) -> keras.KerasTensor:
    """The network from image to the last convolution's maps (stride 32)."""
    x = conv_bn(x, STEM_CHANNELS, 3, strides=2, activation="hard_silu", name="stem_conv")
    architecture = parse_architecture(ARCHITECTURE, sum(UNITS))
    middles = [channels[stage - 1] // 2 for stage, _ in unit_positions(UNITS)]
    x = search_stages(x, architecture, UNITS, channels, middles, STYLES)
    return conv_bn(x, LAST_CHANNELS, activation="hard_silu", name="conv_last")


def _hidden(x: keras.KerasTensor) -> keras.KerasTensor:
    """Squeeze-and-excitation of the pooled channels, then a dense layer: (N, C) to (N, C)."""
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
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
) -> keras.Model:
    """Build ShuffleNetV2+.

    Args:
        size: "small", "medium" or "large".
        include_preprocessing: True for images RGB 0..255, False for BGR 0..255 as the publisher's
            network takes it.
        include_top: whether to end in pooling and classifier.
        weights: None, "imagenet", a name of `weights.list_weights()`, or the path of a file.
        input_tensor: tensor to build on, instead of a new input.
        input_shape: (height, width, channels), at least 32 × 32; None for a size that varies.
            Default (224, 224, 3) with the top and (None, None, 3) without.
        pooling: without top: None for maps (N, H/32, W/32, C), "avg" or "max" for vectors (N, C).
        classes: how many. With pretrained weights and other than 1000, all but the classifier
            is loaded.
        classifier_activation: of the classifier; None for logits.
        name: of the model; default is the registry's, such as "shufflenet_v2_plus_small".

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: for an argument outside of what is said above.
    """
    _builder.check_choice("size", size, CHANNELS)
    return _builder.build(
        lambda x: shufflenet_v2_plus(x, CHANNELS[size]),
        preset=f"shufflenet_v2_plus_{size}",
        preprocessing=_builder.AS_IS if include_preprocessing else None,
        top=_builder.Top(
            classes, classifier_activation, use_bias=False, dropout=DROPOUT, hidden=_hidden
        )
        if include_top
        else None,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        name=name,
    )
