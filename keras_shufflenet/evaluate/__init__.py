"""Figures of merit: COCO's average precision, MPII's PCKh, ImageNet accuracy."""

from keras_shufflenet.evaluate.coco import coco
from keras_shufflenet.evaluate.imagenet import imagenet
from keras_shufflenet.evaluate.mpii import mpii
from keras_shufflenet.evaluate.tables import metrics_table

__all__ = ["coco", "imagenet", "metrics_table", "mpii"]
