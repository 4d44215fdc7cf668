"""Metrics: COCO's average precision, MPII's PCKh, ImageNet accuracy."""

from keras_shufflenet.metrics.coco import coco
from keras_shufflenet.metrics.imagenet import imagenet
from keras_shufflenet.metrics.mpii import mpii
from keras_shufflenet.metrics.tables import metrics_table

__all__ = ["coco", "imagenet", "metrics_table", "mpii"]


def __dir__() -> list[str]:
    return __all__
