"""Detections in NumPy: decoding of NanoDet's outputs, non-maximum suppression, COCO's box AP."""

from keras_shufflenet.detection.coco_boxes import COCOBoxes, evaluate_boxes
from keras_shufflenet.detection.decoding import Detections, decode, nms
from keras_shufflenet.detection.fitting import (
    fit_image,
    letterbox_matrix,
    stretch_matrix,
    to_image,
)

__all__ = [
    "COCOBoxes",
    "Detections",
    "decode",
    "evaluate_boxes",
    "fit_image",
    "letterbox_matrix",
    "nms",
    "stretch_matrix",
    "to_image",
]


def __dir__() -> list[str]:
    return __all__
