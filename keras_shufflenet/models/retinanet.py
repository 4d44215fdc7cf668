"""RetinaNet: a one-stage detector with anchors, the full-size head for any backbone.

Papers: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017,
https://arxiv.org/abs/1708.02002; Chen et al., "DetNAS: Backbone Search for Object Detection",
NeurIPS 2019, https://arxiv.org/abs/1903.10979, whose backbones were searched in it. Code:
https://github.com/open-mmlab/mmdetection, `configs/_base_/models/retinanet_r50_fpn.py`, and
https://github.com/megvii-model/DetNAS, from which the two coarsest levels come.

A feature pyramid of the strides 8 to 128, and two towers of 3 × 3 convolutions, which all levels
share, for the classes and the boxes of nine anchors at every point.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import initializers, layers

from keras_shufflenet._checks import check_integer
from keras_shufflenet._layer_names import HEAD_PREFIX
from keras_shufflenet.detection.priors import RETINANET
from keras_shufflenet.models import _detector, detnas
from keras_shufflenet.models._detector import BACKBONE_STRIDES, COCO_CLASSES, NECK_PREFIX
from keras_shufflenet.models._registry import register_task
from keras_shufflenet.models.necks import feature_pyramid

DEFAULT_BACKBONE = "detnas_coco_retinanet_300m"
DEFAULT_SIZE = 512
CHANNELS, CONVOLUTIONS = 256, 4
CLASS_BIAS = -4.595  # logit of 1 %
# The last convolution of the boxes is independent of the number of classes.
CLASSES, BOXES = f"{HEAD_PREFIX}classes", "tower_boxes_final"
EXTRA_LEVELS = len(RETINANET.strides) - len(BACKBONE_STRIDES)
PREFIX = "retinanet_"


def RetinaNet(
    backbone: str = DEFAULT_BACKBONE,
    classes: int | Sequence[str] = COCO_CLASSES,
    input_shape: tuple[int | None, ...] | None = None,
    weights: str | None = None,
    backbone_weights: str | None = None,
    include_preprocessing: bool = True,
    fpn_channels: int = CHANNELS,
    head_convs: int = CONVOLUTIONS,
    name: str | None = None,
    adapt_input_channels: bool = False,
    input_tensor: keras.KerasTensor | None = None,
) -> keras.Model:
    """Build RetinaNet, a detector with a feature pyramid of five levels and nine anchors a point.

    Args:
        backbone: A name of `list_models()`.
        classes: Number of classes, or a list of their names, which the model then carries into
            its files. Of pretrained weights the classes of the same names are loaded, and others
            are new, with a warning; without names, all if there are as many, else none.
        input_shape: (height, width, channels), both sides multiples of 32 or None for a variable
            side. Defaults to (512, 512, 3).
        weights: Weights of the whole detector: None, or the path of a file.
        backbone_weights: Weights of the backbone: None, "imagenet", a name of
            `weights.list_weights()`, or the path of a file.
        include_preprocessing: Whether the model takes RGB images 0..255. If False, it takes images
            normalized as the publisher of the backbone does.
        fpn_channels: Number of channels of the feature pyramid and of the head.
        head_convs: Number of 3 × 3 convolutions of each of the two towers.
        name: Name of the model. Defaults to "retinanet_" and the name of the backbone.
        adapt_input_channels: Whether pretrained weights for RGB are adapted to an `input_shape`
            with another number of channels. If False, such weights are an error.
        input_tensor: Keras tensor to use as the image input.

    Returns:
        A functional `keras.Model` from images to raw outputs (N, anchors, classes + 4), float32:
        logits of the classes, then the shift of the center from that of the anchor, in widths and
        heights of the anchor, and the logarithms of the ratios of width and height.
        `detection.decode` makes boxes of them.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    check_integer("fpn_channels", fpn_channels)
    check_integer("head_convs", head_convs, minimum=0)
    shape = _detector.check_input_shape(input_shape, DEFAULT_SIZE, input_tensor)

    def head(maps: Sequence[keras.KerasTensor], classes: int) -> list[keras.KerasTensor]:
        levels = feature_pyramid(maps, fpn_channels, EXTRA_LEVELS, NECK_PREFIX)
        return _head(levels, classes, fpn_channels, head_convs)

    return _detector.build(
        head,
        backbone=backbone,
        backbone_arguments={},
        classes=classes,
        shape=shape,
        input_tensor=input_tensor,
        weights=weights,
        backbone_weights=backbone_weights,
        include_preprocessing=include_preprocessing,
        default_name=f"{PREFIX}{backbone}",
        name=name,
        adapt_input_channels=adapt_input_channels,
    )


def _head(
    maps: Sequence[keras.KerasTensor], classes: int, channels: int, convolutions: int
) -> list[keras.KerasTensor]:
    """Predict the anchors of every level, with the same layers at all levels."""
    columns = RETINANET.box_channels
    predict_classes = _tower("classes", classes, channels, convolutions, CLASS_BIAS, CLASSES)
    predict_boxes = _tower("boxes", columns, channels, convolutions, 0.0, BOXES)
    outputs = []
    for level, x in enumerate(maps):
        parts = [
            _detector.to_rows(predict_classes(x), classes, f"_classes{level}"),
            _detector.to_rows(predict_boxes(x), columns, f"_boxes{level}"),
        ]
        name = f"{HEAD_PREFIX}level{level}"
        outputs.append(layers.Concatenate(dtype="float32", name=name)(parts))
    return outputs


def _tower(
    name: str, columns: int, channels: int, convolutions: int, bias: float, last_name: str
) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """Return a function that applies the same convolutions to each feature map it is given."""
    initializer = initializers.RandomNormal(stddev=0.01)
    tower = [
        layers.Conv2D(
            channels,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=initializer.clone(),
            name=f"tower_{name}_conv{index}",
        )
        for index in range(convolutions)
    ]
    last = layers.Conv2D(
        columns * len(RETINANET.anchors),
        3,
        padding="same",
        kernel_initializer=initializer.clone(),
        bias_initializer=initializers.Constant(bias),
        dtype="float32",
        name=last_name,
    )

    def apply(x: keras.KerasTensor) -> keras.KerasTensor:
        for layer in (*tower, last):
            x = layer(x)
        return x

    return apply


PRESETS = {f"{PREFIX}{backbone}": backbone for backbone in detnas.PRESETS}


def _build_by_name(name: str, **arguments: Any) -> keras.Model:
    return RetinaNet(**{"backbone": name.removeprefix(PREFIX), **arguments})


register_task("detection", PREFIX, lambda: list(PRESETS), _build_by_name)
