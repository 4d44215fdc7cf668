"""Records of people in images, whatever file they came from."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from keras_shufflenet.keypoints.boxes import BBOX_PADDING, Size, box_to_center_scale
from keras_shufflenet.keypoints.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class PoseInstances:
    """N people with K keypoints each, as arrays with one row per person.

    Attributes:
        skeleton: what the K keypoints are.
        image_id: (N,) int64.
        file_name: (N,) strings, relative to the folder of images.
        image_size: (N, 2) int64 as (height, width); 0 where the file does not say.
        bboxes: (N, 4) float64 as (x, y, width, height), not padded.
        bbox_scores: (N,) float64, the detector's; 1 for annotated people.
        keypoints: (N, K, 2) float32, 0-based image pixels; 0 for detections.
        keypoints_visible: (N, K) float32, 1 for labeled keypoints (occluded ones too), else 0.
        areas: (N,) float64, the annotated area in square pixels; the box's where there is none.
    """

    skeleton: Skeleton
    image_id: np.ndarray
    file_name: np.ndarray
    image_size: np.ndarray
    bboxes: np.ndarray
    bbox_scores: np.ndarray
    keypoints: np.ndarray
    keypoints_visible: np.ndarray
    areas: np.ndarray

    def __len__(self) -> int:
        """Return N."""
        return len(self.image_id)

    def select(self, rows: np.ndarray | slice) -> Self:
        """Return the people of some rows: indices, a mask or a slice."""
        arrays = [getattr(self, field.name)[rows] for field in fields(self)[1:]]
        return type(self)(self.skeleton, *arrays)

    def center_scale(
        self, input_size: Size, padding: float = BBOX_PADDING
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frame the people for a network input: center (N, 2) and scale (N, 2)."""
        return box_to_center_scale(self.bboxes, input_size, padding)
