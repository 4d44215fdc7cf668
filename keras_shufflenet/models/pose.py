"""Top-down pose estimators: a backbone and a head that predicts one heatmap per keypoint.

Three heads:

* "deconv", mmpose's `TopdownHeatmapSimpleHead`: three 4 × 4 transposed convolutions to 256
  channels, 88 % of the multiply-adds on a ShuffleNet. Paper: Xiao, Wu, Wei, "Simple Baselines for
  Human Pose Estimation and Tracking", ECCV 2018, https://arxiv.org/abs/1804.06208; code:
  https://github.com/open-mmlab/mmpose.
* "light": 128 channels; bilinear upsampling, each followed by a depthwise and a pointwise
  convolution. A fifteenth of the multiply-adds of the transposed convolutions.
* "fpn": like "light" with 64 channels, and after each upsampling the backbone's feature map of
  that size is added (see `necks`). It learns from fewer instances, also without pretrained weights.
"""

import re
import warnings
from pathlib import Path
from typing import Any, get_args

import keras
from keras import initializers, layers

from keras_shufflenet import weights as pretrained
from keras_shufflenet._checks import check_bool, check_choice, check_integer, check_size
from keras_shufflenet._layer_names import ENCODING, HEAD_PREFIX, HEATMAPS
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.codec import DEFAULT_ENCODING, GaussianEncoding
from keras_shufflenet.keypoints.skeletons import Skeleton, SkeletonLike
from keras_shufflenet.models._input_channels import copy_adapted
from keras_shufflenet.models._model_data import attach_encoding, attach_skeleton, find_saved_data
from keras_shufflenet.models._preprocessing import RGB
from keras_shufflenet.models._registry import (
    build_network,
    feature_extractor,
    layer_name,
    register_task,
)
from keras_shufflenet.models.layers import (
    activate,
    batch_norm,
    channel_axis,
    conv_bn,
    depthwise_bn,
)
from keras_shufflenet.models.necks import top_down_pyramid, upsample
from keras_shufflenet.weights import WeightsMismatchError, catalog
from keras_shufflenet.weights.keras_archive import is_model_archive

PUBLISHED = ("coco", "mpii")  # keypoints that there are published weights for
STRIDE = 32  # of the backbone; the heads reduce it to 4
UPSAMPLINGS = 3
DECONV_CHANNELS = 256
LIGHT_CHANNELS = 128
FPN_CHANNELS = 64
FPN_STRIDES = (16, 8, 4)

# Published by mmpose: each backbone for each set of keypoints and input size (height, width).
PRESET_BACKBONES = ("shufflenet_v1_x1_0_g3_mmcls", "shufflenet_v2_x1_0", "mobilenet_v2_x1_0")
PRESET_SIZES = (("coco", (256, 192)), ("coco", (384, 288)), ("mpii", (256, 256)))

PREFIX = "pose_"
NAME = re.compile(
    PREFIX + r"(?P<backbone>[\w:@.,]+)_(?P<keypoints>[a-z][a-z0-9]*)_(?P<height>\d+)x(?P<width>\d+)"
    r"(?:_(?P<head>[a-z]\w*))?"
)


def deconv_head(backbone: keras.Model) -> keras.KerasTensor:
    """Apply three 4 × 4 transposed convolutions with stride 2, batch normalization and ReLU."""
    x = backbone.output
    for index in range(1, UPSAMPLINGS + 1):
        name = f"{HEAD_PREFIX}deconv{index}"
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
    """Reduce the channels; three times: upsample, depthwise 3 × 3, pointwise."""
    x = conv_bn(backbone.output, LIGHT_CHANNELS, name=f"{HEAD_PREFIX}reduce")
    for index in range(1, UPSAMPLINGS + 1):
        x = _separable(upsample(x, name=f"{HEAD_PREFIX}up{index}"), index)
    return x


def fpn_head(backbone: keras.Model) -> keras.KerasTensor:
    """Reduce the channels; three levels of a feature pyramid with separable convolutions."""
    x = conv_bn(backbone.output, FPN_CHANNELS, name=f"{HEAD_PREFIX}reduce")
    finer_maps = feature_extractor(backbone, FPN_STRIDES).outputs
    return top_down_pyramid(x, finer_maps, FPN_CHANNELS, _separable, HEAD_PREFIX)[-1]


def _separable(x: keras.KerasTensor, index: int) -> keras.KerasTensor:
    channels = x.shape[channel_axis()]
    x = depthwise_bn(x, name=f"{HEAD_PREFIX}dw{index}")
    return conv_bn(x, channels, name=f"{HEAD_PREFIX}pw{index}")


HEADS = {"deconv": deconv_head, "light": light_head, "fpn": fpn_head}
DEFAULT_HEAD = "deconv"


def estimator_name(
    backbone: str, keypoints: str, input_size: tuple[int, int], head: str = DEFAULT_HEAD
) -> str:
    """Return the name of an estimator, for example "pose_shufflenet_v2_x1_0_coco_256x192_light"."""
    height, width = input_size
    name = f"{PREFIX}{backbone}_{keypoints}_{height}x{width}"
    return name if head == DEFAULT_HEAD else f"{name}_{head}"


def parse_name(name: str) -> dict[str, Any]:
    """Return the arguments of `PoseEstimator` that a name stands for.

    Raises:
        ValueError: If the name has another form.
    """
    match = NAME.fullmatch(name)
    if not match:
        raise ValueError(
            f"`name` must be {PREFIX}<backbone>_<{'|'.join(PUBLISHED)}>_<height>x<width>, followed "
            f"by _<{'|'.join(HEADS)}> for a head other than {DEFAULT_HEAD}. Received: name={name!r}"
        )
    return {
        "backbone": match["backbone"],
        "keypoints": match["keypoints"],
        "head": match["head"] or DEFAULT_HEAD,
        "input_size": (int(match["height"]), int(match["width"])),
    }


def preset_names() -> list[str]:
    """Return the names of the configurations that mmpose published weights for."""
    return [
        estimator_name(backbone, keypoints, size)
        for backbone in PRESET_BACKBONES
        for keypoints, size in PRESET_SIZES
    ]


def PoseEstimator(
    backbone: str = "shufflenet_v2_x1_0",
    keypoints: SkeletonLike = "coco",
    head: str = DEFAULT_HEAD,
    input_size: tuple[int, int] = (256, 192),
    weights: str | None = None,
    backbone_weights: str | None = None,
    include_preprocessing: bool = True,
    name: str | None = None,
    input_channels: int = 3,
    adapt_input_channels: bool = False,
    encoding: GaussianEncoding | None = None,
) -> keras.Model:
    """Build a top-down pose estimator, which maps a crop of one person to heatmaps.

    Args:
        backbone: A name of `list_models()`.
        keypoints: "coco" (17 keypoints), "mpii" (16), or your own: a list of names, the path of a
            json as for `keypoints.read_skeleton`, or a `keypoints.Skeleton`. The model keeps them,
            and so do its `.keras` and `.tflite` files.
        head: A name of `HEADS`: "deconv" (mmpose's), "light" or "fpn".
        input_size: (height, width) of the crop in pixels, both divisible by 32.
        weights: Weights of the whole estimator: None, "coco" or "mpii" (mmpose's, for those
            keypoints), a name of `weights.list_weights()`, or the path of a file. With your own
            keypoints, weights of other keypoints are loaded without the last layer, which stays
            random; a warning says so.
        backbone_weights: Weights of the backbone: None, "imagenet", a name of
            `weights.list_weights()`, or the path of a file.
        include_preprocessing: Whether the model takes RGB crops 0..255. If False, it takes crops
            normalized as the publisher of the backbone does.
        name: Name of the model. Defaults to backbone, keypoints, size and head.
        input_channels: Number of channels of the crops: 3 for RGB, 1 for gray.
        adapt_input_channels: Whether pretrained weights for RGB are adapted to another number of
            `input_channels`, as the builder of the backbone does. If False, such weights are an
            error.
        encoding: How heatmaps are encoded, and so decoded: "msra", "unbiased" (DARK) or "udp", as
            for `keypoints.HeatmapCodec`. The model keeps it, and so do its `.keras` and `.tflite`
            files; training, prediction, evaluation and export follow it. Defaults to that of
            `weights` which are published or a `.keras` file, else to "msra".

    Returns:
        A functional `keras.Model` from (N, height, width, input_channels) to heatmaps
        (N, height / 4, width / 4, keypoints), float32; the peak of a confident keypoint is 1.

    Raises:
        ValueError: If an argument is invalid, or the weights are of another network.
    """
    check_bool("include_preprocessing", include_preprocessing)
    check_integer("input_channels", input_channels)
    check_bool("adapt_input_channels", adapt_input_channels)
    _check_weights(weights, backbone_weights)
    skeleton = skeletons.get(keypoints, "keypoints")
    check_choice("head", head, HEADS)
    if encoding is not None:
        check_choice("encoding", encoding, get_args(GaussianEncoding))
    height, width = check_size("input_size", input_size, multiple_of=STRIDE)
    shape = (input_channels, height, width)
    if keras.config.image_data_format() == "channels_last":
        shape = (height, width, input_channels)
    network = build_network(
        backbone,
        include_top=False,
        weights=backbone_weights,
        input_shape=shape,
        include_preprocessing=include_preprocessing,
        adapt_input_channels=adapt_input_channels,
    )

    def named(keypoints: str) -> str:
        return estimator_name(backbone, keypoints, (height, width), head)

    encoding = encoding or weights_encoding(weights, named(str(weights)))
    features = attach_encoding(attach_skeleton(HEADS[head](network), skeleton), encoding)
    heatmaps = layers.Conv2D(
        len(skeleton),
        1,
        kernel_initializer=initializers.RandomNormal(stddev=0.001),
        dtype="float32",
        name=HEATMAPS,
    )(features)
    default_name = named(_short_name(skeleton))
    model = keras.Model(network.input, heatmaps, name=name or layer_name(default_name))
    if weights is not None and adapt_input_channels and input_channels != RGB:
        loaded = PoseEstimator(
            backbone, keypoints, head, input_size, weights, None, include_preprocessing
        )
        copy_adapted(loaded, model)
    elif weights is not None and skeletons.is_published(skeleton):
        pretrained.load(model, weights, model_name=default_name)
    elif weights is not None:
        _load_for_own_keypoints(model, weights, named(weights), skeleton)
    return model


def weights_encoding(weights: str | None, model_name: str) -> GaussianEncoding:
    """Return the encoding of the heatmaps that weights were trained for, `"msra"` if unknown.

    Args:
        weights: As for `PoseEstimator`.
        model_name: Name of the model that the weights of a dataset are those of.
    """
    found: Any = None
    if weights in catalog.DATASETS:
        entries = catalog.list_weights(model_name)
        found = next((entry.encoding for entry in entries if entry.dataset == weights), None)
    elif weights in catalog.CATALOG:
        found = catalog.CATALOG[weights].encoding
    elif weights is not None and is_model_archive(path := Path(weights).expanduser()):
        found = find_saved_data(path, ENCODING)
    return found if found in get_args(GaussianEncoding) else DEFAULT_ENCODING


def _load_for_own_keypoints(
    model: keras.Model, weights: str, published_name: str, skeleton: Skeleton
) -> None:
    """Load weights; those of other keypoints without the last layer, with a warning."""
    mismatch = None
    if weights not in catalog.DATASETS and weights not in catalog.CATALOG:
        try:
            pretrained.load(model, weights)  # a file, which may have these keypoints
            return
        except WeightsMismatchError as error:
            mismatch = error
    body = keras.Model(model.input, model.get_layer(HEATMAPS).input, name=model.name)
    try:
        pretrained.load(body, weights, model_name=published_name)
    except WeightsMismatchError as error:
        raise mismatch or error from None
    warnings.warn(
        f"The last layer is new and must be trained: the weights {weights!r} are those of other "
        f"keypoints than the {len(skeleton)} of {skeleton.name!r}.",
        stacklevel=3,
    )


def _short_name(skeleton: Skeleton) -> str:
    """Return the name of a skeleton for names of models: lowercase letters and digits."""
    return re.sub(r"[^a-z0-9]|^[^a-z]+", "", skeleton.name.lower()) or "keypoints"


def _check_weights(weights: str | None, backbone_weights: str | None) -> None:
    if weights == "imagenet":
        raise ValueError(
            "`weights` must be those of the whole estimator (None, 'coco', 'mpii', or a file); "
            "weights of its backbone go to `backbone_weights`. Received: weights='imagenet'"
        )
    if backbone_weights in PUBLISHED:
        raise ValueError(
            "`backbone_weights` must be those of a classifier (None, 'imagenet', or a file); "
            f"weights of the whole estimator go to `weights`. "
            f"Received: backbone_weights={backbone_weights!r}"
        )


def _build_by_name(name: str, **arguments: Any) -> keras.Model:
    return PoseEstimator(**{**parse_name(name), **arguments})


register_task("pose", PREFIX, preset_names, _build_by_name)
