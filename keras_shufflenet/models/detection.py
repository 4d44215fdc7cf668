"""NanoDet: one-stage anchor-free detectors.

Source: https://github.com/RangiLyu/nanodet (Apache-2.0). A ShuffleNetV2 with leaky ReLU, a neck
(see `necks`), and for each level a small head, which predicts at every point one logit for each
class and the distribution of the distances to the four sides of the box. Box regression and losses
are those of Li et al., "Generalized Focal Loss", NeurIPS 2020, https://arxiv.org/abs/2006.04388.

`detection` decodes the outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
from keras import initializers, layers

from keras_shufflenet._checks import check_choice
from keras_shufflenet._layer_names import HEAD_PREFIX
from keras_shufflenet.detection.priors import NANODET, NANODET_PLUS, Design
from keras_shufflenet.models import _detector, shufflenet_v2
from keras_shufflenet.models._detector import BACKBONE_STRIDES, COCO_CLASSES, NECK_PREFIX
from keras_shufflenet.models._preprocessing import RGB
from keras_shufflenet.models._registry import register_task
from keras_shufflenet.models.layers import channel_axis
from keras_shufflenet.models.necks import (
    ghost_path_aggregation,
    path_aggregation,
    separable_bn,
)

ACTIVATION = "leaky_relu"
DEFAULT_SIZE, LARGE_SIZE = 320, 416
CONVOLUTIONS = 2  # depthwise separable, of each level's head
CLASS_BIAS = -4.595  # logit of 1 %


@dataclass(frozen=True)
class Network:
    """What distinguishes the detectors.

    Attributes:
        name: Registry name.
        backbone: Registry name of the backbone.
        channels: Number of channels of neck and head.
        design: What its outputs mean.
        kernel_size: Of the head's depthwise convolutions.
    """

    name: str
    backbone: str
    channels: int
    design: Design
    kernel_size: int


SIZES = {
    "m_0.5x": Network("nanodet_m_x0_5", "shufflenet_v2_x0_5", 96, NANODET, 3),
    "m": Network("nanodet_m", "shufflenet_v2_x1_0", 96, NANODET, 3),
    "m_1.5x": Network("nanodet_m_x1_5", "shufflenet_v2_x1_5", 128, NANODET, 3),
}
WIDTHS = {
    1.0: Network("nanodet_plus_m", "shufflenet_v2_x1_0", 96, NANODET_PLUS, 5),
    1.5: Network("nanodet_plus_m_x1_5", "shufflenet_v2_x1_5", 128, NANODET_PLUS, 5),
}
PREFIX = "nanodet_"
LARGE_SUFFIX = f"_{LARGE_SIZE}"
# Published for an input of 416 × 416, too.
PUBLISHED_LARGE = ("nanodet_m", "nanodet_m_x1_5", "nanodet_plus_m", "nanodet_plus_m_x1_5")


def NanoDet(
    size: Literal["m_0.5x", "m", "m_1.5x"] = "m",
    backbone: str | None = None,
    classes: int | Sequence[str] = COCO_CLASSES,
    input_shape: tuple[int | None, ...] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    include_preprocessing: bool = True,
    name: str | None = None,
    adapt_input_channels: bool = False,
    input_tensor: keras.KerasTensor | None = None,
) -> keras.Model:
    """Build NanoDet, a detector with a path aggregation network and three levels.

    Args:
        size: "m_0.5x", "m" or "m_1.5x", after the width of its ShuffleNetV2.
        backbone: A name of `list_models()`, whose network takes the place of the size's own.
            ShuffleNetV2 gets leaky ReLU, the others keep their activations.
        classes: Number of classes, or a list of their names, which the model then carries into
            its files. Of pretrained weights the classes of the same names are loaded, and others
            are new, with a warning; without names, all if there are as many, else none.
        input_shape: (height, width, channels), both sides multiples of 32 or None for a variable
            side. Defaults to (320, 320, 3).
        weights: Weights of the whole detector: None, "coco" (those published for 416 × 416 if
            that is the input, else those for 320 × 320), a name of `weights.list_weights()`, or
            the path of a file.
        backbone_weights: Weights of the backbone: None, "imagenet", a name of
            `weights.list_weights()`, or the path of a file.
        include_preprocessing: Whether the model takes RGB images 0..255. If False, it takes BGR
            normalized with ImageNet's mean and standard deviation, as the publisher's network.
        name: Name of the model. Defaults to its registry name.
        adapt_input_channels: Whether pretrained weights for RGB are adapted to an `input_shape`
            with another number of channels. If False, such weights are an error.
        input_tensor: Keras tensor to use as the image input.

    Returns:
        A functional `keras.Model` from images to raw outputs (N, priors, classes + 32), float32:
        logits of the classes, then of 8 bins for each of the distances to the left, top, right and
        bottom. `detection.decode` makes boxes of them.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    check_choice("size", size, SIZES)
    return _build(
        SIZES[size],
        backbone,
        classes,
        input_shape,
        weights,
        backbone_weights,
        include_preprocessing,
        name,
        adapt_input_channels,
        input_tensor,
    )


def NanoDetPlus(
    width: float = 1.0,
    backbone: str | None = None,
    classes: int | Sequence[str] = COCO_CLASSES,
    input_shape: tuple[int | None, ...] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    include_preprocessing: bool = True,
    name: str | None = None,
    adapt_input_channels: bool = False,
    input_tensor: keras.KerasTensor | None = None,
) -> keras.Model:
    """Build NanoDet-Plus-m, a detector with a Ghost path aggregation network and four levels.

    Args:
        width: Channel multiplier of its ShuffleNetV2: 1.0 or 1.5.
        backbone: As for `NanoDet`.
        classes: As for `NanoDet`.
        input_shape: As for `NanoDet`.
        weights: As for `NanoDet`.
        backbone_weights: As for `NanoDet`.
        include_preprocessing: As for `NanoDet`.
        name: As for `NanoDet`.
        adapt_input_channels: As for `NanoDet`.
        input_tensor: As for `NanoDet`.

    Returns:
        A model as that of `NanoDet`, with the points of another level.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    check_choice("width", width, WIDTHS)
    return _build(
        WIDTHS[width],
        backbone,
        classes,
        input_shape,
        weights,
        backbone_weights,
        include_preprocessing,
        name,
        adapt_input_channels,
        input_tensor,
    )


def _build(
    network: Network,
    backbone: str | None,
    classes: int | Sequence[str],
    input_shape: tuple[int | None, ...] | None,
    weights: str | None,
    backbone_weights: str | None,
    include_preprocessing: bool,
    name: str | None,
    adapt_input_channels: bool,
    input_tensor: keras.KerasTensor | None,
) -> keras.Model:
    shape = _detector.check_input_shape(input_shape, DEFAULT_SIZE, input_tensor)
    body = backbone or network.backbone

    def head(maps: Sequence[keras.KerasTensor], classes: int) -> list[keras.KerasTensor]:
        return _head(_neck(maps, network), classes, network)

    return _detector.build(
        head,
        backbone=body,
        backbone_arguments=_activation(body),
        classes=classes,
        shape=shape,
        input_tensor=input_tensor,
        weights=weights,
        backbone_weights=backbone_weights,
        include_preprocessing=include_preprocessing,
        default_name=_default_name(network, backbone, shape),
        name=name,
        adapt_input_channels=adapt_input_channels,
    )


def _default_name(network: Network, backbone: str | None, shape: tuple[int | None, ...]) -> str:
    """Return the registry name, or one with the name of another backbone."""
    if backbone not in (None, network.backbone):
        return f"{network.name}_{backbone}"
    large = shape[:-1] if channel_axis() == -1 else shape[1:]
    if network.name in PUBLISHED_LARGE and tuple(large) == (LARGE_SIZE, LARGE_SIZE):
        return network.name + LARGE_SUFFIX
    return network.name


def _activation(backbone: str) -> dict[str, str]:
    return {"activation": ACTIVATION} if backbone in shufflenet_v2.PRESETS else {}


def _neck(maps: Sequence[keras.KerasTensor], network: Network) -> list[keras.KerasTensor]:
    if network.design is NANODET:
        return path_aggregation(maps, network.channels, NECK_PREFIX)
    return ghost_path_aggregation(maps, network.channels, ACTIVATION, NECK_PREFIX)


def neck_inputs(model: keras.Model) -> list[keras.KerasTensor]:
    """Return the feature maps that the neck of NanoDet-Plus takes, the finest first."""
    names = [f"{NECK_PREFIX}reduce{level}" for level in range(len(BACKBONE_STRIDES))]
    return [model.get_layer(name).input for name in names]


def neck_outputs(model: keras.Model, levels: int) -> list[keras.KerasTensor]:
    """Return the feature maps that a detector's head takes, the finest first."""
    return [model.get_layer(f"tower{level}_conv0_dw").input for level in range(levels)]


def _head(
    maps: Sequence[keras.KerasTensor], classes: int, network: Network
) -> list[keras.KerasTensor]:
    """Predict at every point of every level."""
    columns = classes + network.design.box_channels
    outputs = []
    for level, x in enumerate(maps):
        for index in range(CONVOLUTIONS):
            x = separable_bn(
                x,
                network.channels,
                network.kernel_size,
                activation=ACTIVATION,
                kernel_initializer=initializers.RandomNormal(stddev=0.01),
                name=f"tower{level}_conv{index}",
            )
        x = layers.Conv2D(
            columns,
            1,
            kernel_initializer=initializers.RandomNormal(stddev=0.01),
            bias_initializer=initializers.Constant(CLASS_BIAS),
            dtype="float32",
            name=f"{HEAD_PREFIX}level{level}",
        )(x)
        outputs.append(_detector.to_rows(x, columns, str(level)))
    return outputs


def _presets() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return builder and arguments by registry name."""
    builders: list[tuple[Any, str, Mapping[Any, Network]]] = [
        (NanoDet, "size", SIZES),
        (NanoDetPlus, "width", WIDTHS),
    ]
    found: dict[str, tuple[Any, dict[str, Any]]] = {}
    for builder, argument, networks in builders:
        for value, network in networks.items():
            found[network.name] = builder, {argument: value}
            if network.name in PUBLISHED_LARGE:
                found[network.name + LARGE_SUFFIX] = builder, {argument: value, "large": True}
    return found


PRESETS = _presets()


def _build_by_name(name: str, **arguments: Any) -> keras.Model:
    check_choice("name", name, PRESETS)
    builder, preset = PRESETS[name]
    preset = dict(preset)
    if preset.pop("large", False) and arguments.get("input_shape") is None:
        size = (LARGE_SIZE, LARGE_SIZE)
        arguments["input_shape"] = (*size, RGB) if channel_axis() == -1 else (RGB, *size)
    return builder(**{**preset, **arguments})


register_task("detection", PREFIX, lambda: list(PRESETS), _build_by_name)
