"""Geometry and scoring of keypoints: NumPy only, no model and no TensorFlow."""

from keras_shufflenet.keypoints.boxes import (
    affine_matrix,
    box_to_center_scale,
    invert_affine,
    sanitize_box,
    transform_points,
    udp_matrix,
)
from keras_shufflenet.keypoints.codecs import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import COCO, MPII, Skeleton
from keras_shufflenet.keypoints.warping import warp

__all__ = [
    "COCO",
    "MPII",
    "HeatmapCodec",
    "Skeleton",
    "affine_matrix",
    "box_to_center_scale",
    "invert_affine",
    "sanitize_box",
    "transform_points",
    "udp_matrix",
    "warp",
]
