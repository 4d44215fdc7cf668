"""What the networks are."""

from keras_shufflenet.models._profile import ModelStats, count_params_and_macs
from keras_shufflenet.models._registry import create_model, list_models
from keras_shufflenet.models.costs import MODEL_STATS
from keras_shufflenet.models.detnas import DetNAS
from keras_shufflenet.models.features import feature_extractor
from keras_shufflenet.models.imagenet import decode_predictions, preprocess_input
from keras_shufflenet.models.mobilenet_v2 import MobileNetV2
from keras_shufflenet.models.one_shot import OneShotNet
from keras_shufflenet.models.pose import PoseEstimator
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
    "OneShotNet",
    "PoseEstimator",
    "ShuffleNetV1",
    "ShuffleNetV2",
    "ShuffleNetV2ExLarge",
    "ShuffleNetV2Large",
    "ShuffleNetV2Plus",
    "count_params_and_macs",
    "create_model",
    "decode_predictions",
    "feature_extractor",
    "list_models",
    "preprocess_input",
]
