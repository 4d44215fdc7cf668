"""ShuffleNets, MobileNetV2, top-down pose estimation and detection in Keras 3.

Networks and weights work with every Keras backend; `data`, `metrics`, `export`, `inference`,
`search` and `training` need TensorFlow. Submodules are imported at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from keras_shufflenet.version import __version__

if TYPE_CHECKING:
    from keras_shufflenet import (
        data,
        detection,
        export,
        inference,
        keypoints,
        metrics,
        models,
        search,
        synthetic_people,
        training,
        weights,
    )
    from keras_shufflenet.models import (
        DetNAS,
        MobileNetV2,
        NanoDet,
        NanoDetPlus,
        OneShotNet,
        PoseEstimator,
        RetinaNet,
        ShuffleNetV1,
        ShuffleNetV2,
        ShuffleNetV2ExLarge,
        ShuffleNetV2Large,
        ShuffleNetV2Plus,
        count_params_and_macs,
        create_model,
        decode_predictions,
        feature_extractor,
        list_models,
        preprocess_input,
        summary,
    )

__all__ = [
    "DetNAS",
    "MobileNetV2",
    "NanoDet",
    "NanoDetPlus",
    "OneShotNet",
    "PoseEstimator",
    "RetinaNet",
    "ShuffleNetV1",
    "ShuffleNetV2",
    "ShuffleNetV2ExLarge",
    "ShuffleNetV2Large",
    "ShuffleNetV2Plus",
    "__version__",
    "count_params_and_macs",
    "create_model",
    "data",
    "decode_predictions",
    "detection",
    "export",
    "feature_extractor",
    "inference",
    "keypoints",
    "list_models",
    "metrics",
    "models",
    "preprocess_input",
    "search",
    "summary",
    "synthetic_people",
    "training",
    "weights",
]

_PACKAGES = {
    "data",
    "detection",
    "export",
    "inference",
    "keypoints",
    "metrics",
    "models",
    "search",
    "synthetic_people",
    "training",
    "weights",
}


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"keras_shufflenet.{name}")
    if name in __all__:
        return getattr(import_module("keras_shufflenet.models"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
