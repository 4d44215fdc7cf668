"""DetNAS: backbones searched for object detection.

Paper: Chen et al., "DetNAS: Backbone Search for Object Detection", NeurIPS 2019,
https://arxiv.org/abs/1903.10979. Weights: https://github.com/megvii-model/ShuffleNet-Series and
https://github.com/megvii-model/DetNAS.

The units are those of OneShot without channel scales; stem, last convolution and classifier have
biases, and spatial dropout precedes the pooling. Input is BGR 0..255, not normalized.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import keras

from keras_shufflenet._checks import check_choice
from keras_shufflenet.models import _builder
from keras_shufflenet.models._registry import register_family
from keras_shufflenet.models.layers import conv_bn
from keras_shufflenet.models.search_space import (
    Style,
    bottleneck_channels,
    parse_architecture,
    search_stages,
    split_even_odd,
    split_standard,
)

Split = Literal["even_odd", "standard"]


class Size(NamedTuple):
    """Number of units of the stages; channels of the stem, the stages and the last convolution."""

    units: tuple[int, ...]
    stem: int
    stages: tuple[int, ...]
    last: int


SIZES = {
    "300m": Size((4, 4, 8, 4), 16, (64, 160, 320, 640), 1024),
    "1.3g": Size((8, 8, 16, 8), 48, (96, 240, 480, 960), 1024),
    "3.8g": Size((8, 8, 16, 8), 72, (172, 432, 864, 1728), 1728),
}
LARGE = "00312102 03123320 2113202221310333 13333333"
# name: size, choices.
SEARCHED = {
    "voc_fpn_300m": ("300m", "2103 1303 20113333 3331"),
    "voc_retinanet_300m": ("300m", "1300 2333 23333220 2311"),
    "coco_fpn_300m": ("300m", "2120 2112 33130031 3132"),
    "coco_retinanet_300m": ("300m", "2311 3213 31113320 3333"),
    "coco_fpn_1.3g": ("1.3g", LARGE),
    "coco_fpn_3.8g": ("3.8g", LARGE),
}
DROPOUT = 0.2

# stride: prefix of the names of the layers that end there
FEATURE_PREFIXES = {2: "stem_conv", 4: "stage1", 8: "stage2", 16: "stage3", 32: "stage4"}


def _preset_name(architecture: str) -> str:
    return f"detnas_{architecture}".replace(".", "_")


PRESETS = {_preset_name(name): {"architecture": name} for name in SEARCHED}
SPLITS = {"even_odd": split_even_odd, "standard": split_standard}


def detnas(
    x: keras.KerasTensor, size: Size, architecture: Sequence[int], split: Split
) -> keras.KerasTensor:
    """Map images to the feature maps of the last convolution (stride 32)."""
    x = conv_bn(x, size.stem, 3, strides=2, use_bias=True, name="stem_conv")
    bottlenecks = bottleneck_channels(size.stages, size.units, (1.0,) * sum(size.units))
    styles = [Style(split=SPLITS[split])] * len(size.units)
    x = search_stages(x, architecture, size.units, size.stages, bottlenecks, styles)
    return conv_bn(x, size.last, use_bias=True, name="conv_last")


def DetNAS(
    architecture: str | Sequence[int] = "coco_fpn_300m",
    size: str | None = None,
    split: Split = "even_odd",
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
    """Build a DetNAS backbone with its ImageNet classifier.

    Args:
        architecture: "voc_fpn_300m", "voc_retinanet_300m", "coco_fpn_300m", "coco_retinanet_300m",
            "coco_fpn_1.3g", "coco_fpn_3.8g", or a choice for each unit (20 for 300m, 40 for the
            others): 0, 1, 2 for units with 3 × 3, 5 × 5, 7 × 7 depthwise convolutions, 3 for the
            Xception unit; as numbers or as a string of digits.
        size: Size of an architecture given by its choices: "300m" (default), "1.3g" or "3.8g".
        split: how units split their channels: "even_odd" as in all released weights, or
            "standard" as in supernets, see `weights.supernet_path`.
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
        name: Name of the model. Defaults to its registry name, such as "detnas_coco_fpn_300m".
        adapt_input_channels: Whether pretrained weights for RGB are adapted to an `input_shape`
            with another number of channels: one and two channels share the sum of the RGB kernels,
            further channels begin with zeros. If False, such weights are an error.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    check_choice("split", split, SPLITS)
    choices: str | Sequence[int] = architecture
    if isinstance(architecture, str) and architecture in SEARCHED:
        fixed, choices = SEARCHED[architecture]
        check_choice("size", size, (None, fixed))
        preset = _preset_name(architecture)
    else:
        fixed, preset = size or "300m", "detnas_custom"
        check_choice("size", fixed, SIZES)
    channels = SIZES[fixed]
    parsed = parse_architecture(choices, sum(channels.units), SEARCHED)
    return _builder.build(
        lambda x: detnas(x, channels, parsed, split),
        preset=preset,
        preprocessing=_builder.IDENTITY,
        include_preprocessing=include_preprocessing,
        top=_builder.Top(classes, classifier_activation, spatial_dropout=DROPOUT),
        include_top=include_top,
        weights=weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        pooling=pooling,
        name=name,
        adapt_input_channels=adapt_input_channels,
    )


SPACES = {_preset_name(size): {"size": size} for size in SIZES}
register_family(DetNAS, PRESETS, FEATURE_PREFIXES, spaces=SPACES)
