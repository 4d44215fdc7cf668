"""Metrics: COCO's average precision of keypoints and boxes, MPII's PCKh, ImageNet accuracy."""

from keras_shufflenet.metrics.coco import coco
from keras_shufflenet.metrics.detection import detection
from keras_shufflenet.metrics.imagenet import imagenet
from keras_shufflenet.metrics.mpii import mpii
from keras_shufflenet.metrics.tables import metrics_table

__all__ = ["coco", "detection", "imagenet", "metrics_table", "mpii"]


def __dir__() -> list[str]:
    return __all__
