"""The networks. Everything is imported at its first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_shufflenet.models._model_data import class_names, model_encoding, model_skeleton
    from keras_shufflenet.models._profile import MODEL_STATS, ModelStats, count_params_and_macs
    from keras_shufflenet.models._registry import create_model, feature_extractor, list_models
    from keras_shufflenet.models._summary import summary
    from keras_shufflenet.models.detection import NanoDet, NanoDetPlus
    from keras_shufflenet.models.detnas import DetNAS
    from keras_shufflenet.models.imagenet import decode_predictions, preprocess_input
    from keras_shufflenet.models.mobilenet_v2 import MobileNetV2
    from keras_shufflenet.models.one_shot import OneShotNet
    from keras_shufflenet.models.pose import PoseEstimator
    from keras_shufflenet.models.retinanet import RetinaNet
    from keras_shufflenet.models.shufflenet_v1 import ShuffleNetV1
    from keras_shufflenet.models.shufflenet_v2 import ShuffleNetV2
    from keras_shufflenet.models.shufflenet_v2_large import (
        AUXILIARY_LOSS_WEIGHTS,
        ShuffleNetV2ExLarge,
        ShuffleNetV2Large,
    )
    from keras_shufflenet.models.shufflenet_v2_plus import ShuffleNetV2Plus

__all__ = [
    "AUXILIARY_LOSS_WEIGHTS",
    "MODEL_STATS",
    "DetNAS",
    "MobileNetV2",
    "ModelStats",
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
    "class_names",
    "count_params_and_macs",
    "create_model",
    "decode_predictions",
    "feature_extractor",
    "list_models",
    "model_encoding",
    "model_skeleton",
    "preprocess_input",
    "summary",
]

_MODULES = {
    "AUXILIARY_LOSS_WEIGHTS": "shufflenet_v2_large",
    "MODEL_STATS": "_profile",
    "DetNAS": "detnas",
    "MobileNetV2": "mobilenet_v2",
    "ModelStats": "_profile",
    "NanoDet": "detection",
    "NanoDetPlus": "detection",
    "OneShotNet": "one_shot",
    "PoseEstimator": "pose",
    "RetinaNet": "retinanet",
    "ShuffleNetV1": "shufflenet_v1",
    "ShuffleNetV2": "shufflenet_v2",
    "ShuffleNetV2ExLarge": "shufflenet_v2_large",
    "ShuffleNetV2Large": "shufflenet_v2_large",
    "ShuffleNetV2Plus": "shufflenet_v2_plus",
    "class_names": "_model_data",
    "count_params_and_macs": "_profile",
    "create_model": "_registry",
    "decode_predictions": "imagenet",
    "feature_extractor": "_registry",
    "list_models": "_registry",
    "model_encoding": "_model_data",
    "model_skeleton": "_model_data",
    "preprocess_input": "imagenet",
    "summary": "_summary",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
