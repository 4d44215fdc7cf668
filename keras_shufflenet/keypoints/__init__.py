"""Geometry, heatmap codecs and metrics of keypoints, in NumPy."""

from keras_shufflenet.keypoints.annotations import PoseInstances
from keras_shufflenet.keypoints.boxes import (
    box_to_center_scale,
    clip_box,
    get_udp_warp_matrix,
    get_warp_matrix,
    invert_affine,
    transform_points,
)
from keras_shufflenet.keypoints.coco import (
    evaluate_keypoints,
    rescore_and_nms,
    save_results,
)
from keras_shufflenet.keypoints.coco_file import COCOFile
from keras_shufflenet.keypoints.coco_reader import read_coco, read_detections
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.mpii import evaluate_pckh, read_mpii
from keras_shufflenet.keypoints.nms import oks, oks_nms, soft_oks_nms
from keras_shufflenet.keypoints.sigmas import estimate_sigmas
from keras_shufflenet.keypoints.skeleton_files import read_skeleton, save_skeleton
from keras_shufflenet.keypoints.skeletons import COCO, MPII, Skeleton
from keras_shufflenet.keypoints.warping import warp

__all__ = [
    "COCO",
    "MPII",
    "COCOFile",
    "HeatmapCodec",
    "PoseInstances",
    "Skeleton",
    "box_to_center_scale",
    "clip_box",
    "estimate_sigmas",
    "evaluate_keypoints",
    "evaluate_pckh",
    "get_udp_warp_matrix",
    "get_warp_matrix",
    "invert_affine",
    "oks",
    "oks_nms",
    "read_coco",
    "read_detections",
    "read_mpii",
    "read_skeleton",
    "rescore_and_nms",
    "save_results",
    "save_skeleton",
    "soft_oks_nms",
    "transform_points",
    "warp",
]


def __dir__() -> list[str]:
    return __all__
