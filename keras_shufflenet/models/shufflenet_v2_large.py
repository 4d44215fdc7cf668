"""ShuffleNetV2.Large and ShuffleNetV2.ExLarge: residual networks with squeeze-and-excitation.

Source: https://github.com/megvii-model/ShuffleNet-Series (no paper; Large descends from
section 4 of https://arxiv.org/abs/1807.11164). Large takes BGR 0..255 minus a mean image, ExLarge
BGR 0..255, not normalized.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from keras_shufflenet.models import _builder
from keras_shufflenet.models._registry import register_family
from keras_shufflenet.models.layers import (
    Norm,
    activate,
    channel_axis,
    concatenate,
    conv_bn,
    depthwise_bn,
    max_pool,
    split_even_odd,
)

# Channels of the three stem convolutions; of the units of stage 2, 3, 4, 5; units of each stage.
LARGE_STEM = (64, 64, 128)
LARGE_STAGES = (256, 512, 1024, 2048)
LARGE_UNITS = (10, 10, 23, 10)
LARGE_LAST_CHANNELS = 1280
LARGE_GROUPS = 8
LARGE_NORM = Norm(epsilon=1e-9)

EXLARGE_STEM = (64, 128, 256)
EXLARGE_STAGES = (320, 640, 1280, 2560)
EXLARGE_UNITS = (8, 16, 36, 10)
EXLARGE_GROUPS = 16
EXLARGE_SQUEEZE = 4
EXLARGE_NORM = Norm()
STAGE_STRIDES = (1, 2, 2, 2)  # of the first unit of each stage
DROPOUT = 0.2

AUXILIARY_CHANNELS = {16: 1024, 8: 512, 4: 256}  # by stride of the auxiliary classifiers
AUXILIARY_LOSS_WEIGHTS = (1.0, 0.7, 0.5, 0.3)  # of the main and the auxiliary outputs

# stride: prefix of the names of the layers that end there
FEATURE_PREFIXES = {2: "stem_conv3", 4: "stage2", 8: "stage3", 16: "stage4", 32: "stage5"}

LARGE_PRESETS: dict[str, dict[str, Any]] = {"shufflenet_v2_large": {}}
EXLARGE_PRESETS: dict[str, dict[str, Any]] = {"shufflenet_v2_exlarge": {}}

FeatureMaps = MutableMapping[int, keras.KerasTensor]

MEAN_COLOR = (123.152, 115.903, 103.063)  # of Large's mean image, RGB 0..255


def _stem(x: keras.KerasTensor, channels: Sequence[int], norm: Norm) -> keras.KerasTensor:
    first, second, third = channels
    x = conv_bn(x, first, 3, strides=2, norm=norm, name="stem_conv")
    x = conv_bn(x, second, 3, norm=norm, name="stem_conv2")
    x = conv_bn(x, third, 3, norm=norm, name="stem_conv3")
    return max_pool(x, name="stem_pool")


def _squeeze_excite(x: keras.KerasTensor, squeezed: int, name: str) -> keras.KerasTensor:
    """Apply squeeze-and-excitation with two dense layers."""
    channels = x.shape[channel_axis()]
    gate = layers.GlobalAveragePooling2D(name=f"{name}_pool")(x)
    gate = layers.Dense(squeezed, activation="relu", name=f"{name}_fc1")(gate)
    gate = layers.Dense(channels, activation="sigmoid", name=f"{name}_fc2")(gate)
    shape = (1, 1, channels) if channel_axis() == -1 else (channels, 1, 1)
    gate = layers.Reshape(shape, name=f"{name}_gate")(gate)
    return layers.Multiply(name=f"{name}_scale")([x, gate])


def _large_unit(
    x: keras.KerasTensor, filters: int, strides: int, name: str, *, first: bool
) -> keras.KerasTensor:
    """Pass or project the even channels; apply a residual bottleneck to the odd channels."""
    half, norm = filters // 2, LARGE_NORM
    kept, taken = split_even_odd(x, name)
    if first:
        kept = conv_bn(kept, half, 3, strides, activation=None, norm=norm, name=f"{name}_proj")
    main = conv_bn(taken, half, norm=norm, name=f"{name}_main_pw1")
    main = conv_bn(main, half, 3, strides, groups=LARGE_GROUPS, norm=norm, name=f"{name}_main_conv")
    main = conv_bn(main, half, activation=None, norm=norm, name=f"{name}_main_pw2")
    main = _squeeze_excite(main, half, name=f"{name}_se")
    if not first:
        main = layers.Add(name=f"{name}_add")([main, taken])
    x = activate(concatenate([kept, main], name=f"{name}_concat"), "relu", name)
    return conv_bn(x, filters, norm=norm, name=f"{name}_down") if strides == 2 else x


def _exlarge_unit(
    x: keras.KerasTensor, filters: int, strides: int, name: str, *, first: bool
) -> keras.KerasTensor:
    """Apply a unit like Large's with a wider bottleneck; both branches of the first take all."""
    half, norm = filters // 2, EXLARGE_NORM
    if first:
        kept, taken = conv_bn(x, half, 3, strides, norm=norm, name=f"{name}_proj"), x
    else:
        kept, taken = split_even_odd(x, name)
    main = conv_bn(taken, filters, norm=norm, name=f"{name}_main_pw1")
    main = conv_bn(
        main, filters, 3, strides, groups=EXLARGE_GROUPS, norm=norm, name=f"{name}_main_conv"
    )
    main = depthwise_bn(main, norm=norm, name=f"{name}_main_dw")
    main = conv_bn(main, half, activation=None, norm=norm, name=f"{name}_main_pw2")
    main = _squeeze_excite(main, half // EXLARGE_SQUEEZE, name=f"{name}_se")
    if not first:
        main = activate(layers.Add(name=f"{name}_add")([taken, main]), "relu", name)
    return concatenate([kept, main], name=f"{name}_concat")


def shufflenet_v2_large(x: keras.KerasTensor, feature_maps: FeatureMaps) -> keras.KerasTensor:
    """Map images to the feature maps of the last convolution (stride 32).

    Args:
        x: Images.
        feature_maps: Receives the feature maps of the stages by stride.
    """
    x = _stem(x, LARGE_STEM, LARGE_NORM)
    for stage, (filters, units, strides) in enumerate(
        zip(LARGE_STAGES, LARGE_UNITS, STAGE_STRIDES, strict=True), start=2
    ):
        for unit in range(units):
            first = unit == 0
            name = f"stage{stage}_unit{unit}"
            x = _large_unit(x, filters, strides if first else 1, name, first=first)
        feature_maps[2**stage] = x
    return conv_bn(x, LARGE_LAST_CHANNELS, 3, norm=LARGE_NORM, name="conv_last")


def shufflenet_v2_exlarge(x: keras.KerasTensor, feature_maps: FeatureMaps) -> keras.KerasTensor:
    """Map images to the feature maps of the last stage (stride 32).

    Args:
        x: Images.
        feature_maps: Receives the feature maps of the stages by stride.
    """
    x = _stem(x, EXLARGE_STEM, EXLARGE_NORM)
    for stage, (filters, units, strides) in enumerate(
        zip(EXLARGE_STAGES, EXLARGE_UNITS, STAGE_STRIDES, strict=True), start=2
    ):
        for unit in range(units):
            first = unit == 0
            name = f"stage{stage}_unit{unit}"
            x = _exlarge_unit(x, filters, strides if first else 1, name, first=first)
        x = conv_bn(x, filters, norm=EXLARGE_NORM, name=f"stage{stage}_last")
        feature_maps[2**stage] = x
    return x


def _auxiliary_head(
    x: keras.KerasTensor, filters: int, norm: Norm, top: _builder.Top, name: str
) -> keras.KerasTensor:
    x = max_pool(x, name=f"{name}_pool")
    x = conv_bn(x, filters, norm=norm, name=f"{name}_conv1")
    x = conv_bn(x, filters, 3, norm=norm, name=f"{name}_conv2")
    x = layers.GlobalAveragePooling2D(name=f"{name}_avg_pool")(x)
    return layers.Dense(
        top.count, activation=top.activation, dtype="float32", name=f"{name}_predictions"
    )(x)


def _auxiliary_heads(
    feature_maps: Mapping[int, keras.KerasTensor], norm: Norm, top: _builder.Top
) -> list[keras.KerasTensor]:
    """Build the auxiliary classifiers at the strides 16, 8, 4."""
    return [
        _auxiliary_head(feature_maps[stride], filters, norm, top, name=f"auxiliary_stride{stride}")
        for stride, filters in AUXILIARY_CHANNELS.items()
    ]


def ShuffleNetV2Large(
    mean_image: NDArray[np.floating] | None = None,
    auxiliary: bool = False,
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
    """Build ShuffleNetV2.Large.

    Args:
        mean_image: The mean image that the published weights require, (224, 224, 3), RGB 0..255,
            from `weights.read_mean_image`. It is resized to the input. Defaults to its mean color,
            which is also used for inputs of variable size.
        auxiliary: Whether to add the publisher's three auxiliary classifiers, after the stages of
            stride 16, 8 and 4, as further outputs in this order; requires the top. The published
            loss is the sum of the four losses with the weights `AUXILIARY_LOSS_WEIGHTS`.
        include_preprocessing: Whether the model takes RGB images 0..255. If False, it takes BGR
            images 0..255 minus the mean image.
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
            classifiers; so is a file with another number of classes, or none, with a warning.
        classifier_activation: Activation of the classifiers; None returns logits.
        name: Name of the model. Defaults to its registry name, "shufflenet_v2_large".
        adapt_input_channels: Whether pretrained weights for RGB are adapted to an `input_shape`
            with another number of channels: one and two channels share the sum of the RGB kernels,
            further channels begin with zeros. If False, such weights are an error.

    Returns:
        A functional `keras.Model`; with `auxiliary` it has a list of four outputs.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    feature_maps: FeatureMaps = {}
    mean = MEAN_COLOR if mean_image is None else mean_image
    if np.asarray(mean).dtype.kind not in "fiu":
        raise ValueError(
            "`mean_image` must be an array (height, width, 3), as `weights.read_mean_image` "
            f"returns, or None. Received: mean_image={mean_image!r}"
        )
    return _builder.build(
        lambda x: shufflenet_v2_large(x, feature_maps),
        preset="shufflenet_v2_large",
        preprocessing=_builder.Preprocessing(mean),
        include_preprocessing=include_preprocessing,
        top=_builder.Top(classes, classifier_activation, dropout=DROPOUT),
        include_top=include_top,
        auxiliary=(lambda top: _auxiliary_heads(feature_maps, LARGE_NORM, top))
        if auxiliary
        else None,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        name=name,
        adapt_input_channels=adapt_input_channels,
    )


def ShuffleNetV2ExLarge(
    auxiliary: bool = False,
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
    """Build ShuffleNetV2.ExLarge: 255 million parameters, 46 billion multiply-adds.

    Args:
        auxiliary: Whether to add the publisher's three auxiliary classifiers, after the stages of
            stride 16, 8 and 4, as further outputs in this order; requires the top. The published
            loss is the sum of the four losses with the weights `AUXILIARY_LOSS_WEIGHTS`.
        include_preprocessing: Whether the model takes RGB images 0..255. If False, it takes BGR
            images 0..255.
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
            classifiers; so is a file with another number of classes, or none, with a warning.
        classifier_activation: Activation of the classifiers; None returns logits.
        name: Name of the model. Defaults to its registry name, "shufflenet_v2_exlarge".
        adapt_input_channels: Whether pretrained weights for RGB are adapted to an `input_shape`
            with another number of channels: one and two channels share the sum of the RGB kernels,
            further channels begin with zeros. If False, such weights are an error.

    Returns:
        A functional `keras.Model`; with `auxiliary` it has a list of four outputs.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    feature_maps: FeatureMaps = {}
    return _builder.build(
        lambda x: shufflenet_v2_exlarge(x, feature_maps),
        preset="shufflenet_v2_exlarge",
        preprocessing=_builder.IDENTITY,
        include_preprocessing=include_preprocessing,
        top=_builder.Top(classes, classifier_activation, dropout=DROPOUT),
        include_top=include_top,
        auxiliary=(lambda top: _auxiliary_heads(feature_maps, EXLARGE_NORM, top))
        if auxiliary
        else None,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        name=name,
        adapt_input_channels=adapt_input_channels,
    )


register_family(ShuffleNetV2Large, LARGE_PRESETS, FEATURE_PREFIXES)
register_family(ShuffleNetV2ExLarge, EXLARGE_PRESETS, FEATURE_PREFIXES)
