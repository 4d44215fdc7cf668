"""Top-down pose estimators: a backbone and a head that makes one heatmap per keypoint.

Three heads:

* "deconv", mmpose's `TopdownHeatmapSimpleHead`: three 4 × 4 transposed convolutions to 256
  channels, 88 % of the multiply-adds on a ShuffleNet. Paper: Xiao, Wu, Wei, "Simple Baselines for
  Human Pose Estimation and Tracking", ECCV 2018, https://arxiv.org/abs/1804.06208; code:
  https://github.com/open-mmlab/mmpose.
* "light": 128 channels, each doubling of the size by bilinear interpolation, a depthwise and a
  pointwise convolution. A fifteenth of the deconvolutions' multiply-adds.
* "fpn": like "light" with 64 channels, and after each doubling the backbone's map of that size is
  added. It learns where joints are from fewer people, also without pretrained weights. Paper: Lin
  et al., "Feature Pyramid Networks for Object Detection", CVPR 2017,
  https://arxiv.org/abs/1612.03144.
"""

import re
from typing import Any

import keras
from keras import initializers, layers

from keras_shufflenet import weights as pretrained
from keras_shufflenet.models._builder import check_choice
from keras_shufflenet.models.families import build_network
from keras_shufflenet.models.features import feature_extractor
from keras_shufflenet.models.layers import activate, batch_norm, conv_bn, depthwise_bn

KEYPOINTS = {"coco": 17, "mpii": 16}
STRIDE = 32  # of the backbone; the heads take it back to 4
UPSAMPLINGS = 3
DECONV_CHANNELS = 256
LIGHT_CHANNELS = 128
FPN_CHANNELS = 64
FPN_STRIDES = (16, 8, 4)

# What mmpose published: each of the backbones for each of the keypoints and crops (height, width).
PRESET_BACKBONES = ("shufflenet_v1_x1_0_g3_mmcls", "shufflenet_v2_x1_0", "mobilenet_v2_x1_0")
PRESET_CROPS = (("coco", (256, 192)), ("coco", (384, 288)), ("mpii", (256, 256)))

PREFIX = "pose_"
NAME = re.compile(
    PREFIX + r"(?P<backbone>\w+)_(?P<keypoints>[a-z]+)_(?P<height>\d+)x(?P<width>\d+)"
    r"(?:_(?P<head>[a-z]+))?"
)


def deconv_head(backbone: keras.Model) -> keras.KerasTensor:
    """Three times: 4 × 4 transposed convolution with stride 2, batch normalization, ReLU."""
    x = backbone.output
    for index in range(1, UPSAMPLINGS + 1):
        name = f"head_deconv{index}"
        x = layers.Conv2DTranspose(
            DECONV_CHANNELS,
            4,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=initializers.RandomNormal(stddev=0.001),
            name=name,
        )(x)
        x = activate(batch_norm(x, f"{name}_bn"), "relu", name)
    return x


def light_head(backbone: keras.Model) -> keras.KerasTensor:
    """Reduce; three times: enlarge, depthwise 3 × 3, pointwise."""
    x = conv_bn(backbone.output, LIGHT_CHANNELS, name="head_reduce")
    for index in range(1, UPSAMPLINGS + 1):
        x = _separable(_enlarge(x, index), LIGHT_CHANNELS, index)
    return x


def fpn_head(backbone: keras.Model) -> keras.KerasTensor:
    """Reduce; three times: enlarge, add the backbone's map, depthwise 3 × 3, pointwise."""
    x = conv_bn(backbone.output, FPN_CHANNELS, name="head_reduce")
    maps = feature_extractor(backbone, FPN_STRIDES).outputs
    for index, finer in enumerate(maps, start=1):
        lateral = conv_bn(finer, FPN_CHANNELS, activation=None, name=f"head_lateral{index}")
        x = layers.Add(name=f"head_add{index}")([_enlarge(x, index), lateral])
        x = _separable(x, FPN_CHANNELS, index)
    return x


def _enlarge(x: keras.KerasTensor, index: int) -> keras.KerasTensor:
    return layers.UpSampling2D(2, interpolation="bilinear", name=f"head_up{index}")(x)


def _separable(x: keras.KerasTensor, channels: int, index: int) -> keras.KerasTensor:
    x = depthwise_bn(x, name=f"head_dw{index}")
    return conv_bn(x, channels, name=f"head_pw{index}")


HEADS = {"deconv": deconv_head, "light": light_head, "fpn": fpn_head}


def estimator_name(
    backbone: str, keypoints: str, input_size: tuple[int, int], head: str = "deconv"
) -> str:
    """What an estimator is called, for example "pose_shufflenet_v2_x1_0_coco_256x192_light"."""
    height, width = input_size
    name = f"{PREFIX}{backbone}_{keypoints}_{height}x{width}"
    return name if head == "deconv" else f"{name}_{head}"


def parse_name(name: str) -> dict[str, Any]:
    """The arguments of `PoseEstimator` that a name stands for.

    Raises:
        ValueError: if it is not such a name.
    """
    match = NAME.fullmatch(name)
    if not match:
        raise ValueError(
            f"A pose estimator is called {PREFIX}<backbone>_<{'|'.join(KEYPOINTS)}>_"
            f"<height>x<width>, and _light or _fpn if it has that head. Received: name={name!r}"
        )
    return {
        "backbone": match["backbone"],
        "keypoints": match["keypoints"],
        "head": match["head"] or "deconv",
        "input_size": (int(match["height"]), int(match["width"])),
    }


def preset_names() -> list[str]:
    """Names of the configurations that mmpose published weights for, sorted."""
    return sorted(
        estimator_name(backbone, keypoints, size)
        for backbone in PRESET_BACKBONES
        for keypoints, size in PRESET_CROPS
    )


def PoseEstimator(
    backbone: str = "shufflenet_v2_x1_0",
    keypoints: str = "coco",
    head: str = "deconv",
    input_size: tuple[int, int] = (256, 192),
    weights: str | None = None,
    backbone_weights: str | None = None,
    include_preprocessing: bool = True,
    name: str | None = None,
) -> keras.Model:
    """Build a top-down pose estimator: crop of one person in, heatmaps out.

    Args:
        backbone: a name of `list_models()`.
        keypoints: "coco" (17) or "mpii" (16).
        head: "deconv" (mmpose's), "light" or "fpn".
        input_size: (height, width) of the crop in pixels, both divisible by 32.
        weights: of the whole estimator: None, "coco" or "mpii" (mmpose's, of those keypoints),
            a name of `weights.list_weights()`, or a path.
        backbone_weights: of the backbone: None, "imagenet", a name of `weights.list_weights()`,
            or a path.
        include_preprocessing: True for crops RGB 0..255, False for what the backbone's publisher
            feeds it.
        name: of the model; the default tells backbone, keypoints, head and size.

    Returns:
        A functional `keras.Model` from (N, height, width, 3) to heatmaps
        (N, height / 4, width / 4, keypoints), float32, peak 1 for a joint that is sure.

    Raises:
        ValueError: for an argument outside of what is said above.
    """
    check_choice("keypoints", keypoints, KEYPOINTS)
    check_choice("head", head, HEADS)
    height, width = _check_size(input_size)
    shape = (3, height, width)
    if keras.config.image_data_format() == "channels_last":
        shape = (height, width, 3)
    network = build_network(
        backbone,
        include_top=False,
        weights=backbone_weights,
        input_shape=shape,
        include_preprocessing=include_preprocessing,
    )
    heatmaps = layers.Conv2D(
        KEYPOINTS[keypoints],
        1,
        kernel_initializer=initializers.RandomNormal(stddev=0.001),
        dtype="float32",
        name="head_final",
    )(HEADS[head](network))
    default_name = estimator_name(backbone, keypoints, (height, width), head)
    model = keras.Model(network.input, heatmaps, name=name or default_name)
    if weights is not None:
        pretrained.load(model, weights, model_name=default_name)
    return model


def _check_size(input_size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) if both are positive multiples of the backbone's stride."""
    valid = (
        isinstance(input_size, (tuple, list))
        and len(input_size) == 2
        and all(isinstance(side, int) and side > 0 and side % STRIDE == 0 for side in input_size)
    )
    if not valid:
        raise ValueError(
            f"`input_size` must be (height, width), both positive multiples of {STRIDE}. "
            f"Received: input_size={input_size!r}"
        )
    return input_size[0], input_size[1]
