"""ShuffleNets, MobileNetV2 and top-down pose estimation in Keras 3.

The networks and their weights run on every backend of Keras. The rooms that need TensorFlow
(`data`, `evaluate`, `export`, `inference`, `training`) are imported when they are first used.
"""

from importlib import import_module
from types import ModuleType

from keras_shufflenet import keypoints, models, weights
from keras_shufflenet.models import (
    MobileNetV2,
    PoseEstimator,
    ShuffleNetV2,
    count_cost,
    create_model,
    decode_predictions,
    feature_extractor,
    list_models,
    preprocess_input,
)
from keras_shufflenet.version import __version__

__all__ = [
    "MobileNetV2",
    "PoseEstimator",
    "ShuffleNetV2",
    "__version__",
    "count_cost",
    "create_model",
    "data",
    "decode_predictions",
    "evaluate",
    "export",
    "feature_extractor",
    "inference",
    "keypoints",
    "list_models",
    "models",
    "preprocess_input",
    "training",
    "weights",
]

_ROOMS_WITH_TENSORFLOW = ("data", "evaluate", "export", "inference", "training")


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS_WITH_TENSORFLOW:
        return import_module(f"keras_shufflenet.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
