"""Where the persons of an image are: boxes that a user has, or those of a detector."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_shufflenet.inference.detection import (
    PREDICTION_IOU_THRESHOLD,
    PREDICTION_SCORE_THRESHOLD,
    Detector,
)

PERSON = "person"


class PersonBoxes(NamedTuple):
    """The bounding boxes of the N persons in an image.

    Attributes:
        bboxes: float64 (N, 4): x, y, width, height in image pixels.
        scores: float64 (N,), 0..1.
    """

    bboxes: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class PersonDetector:
    """A detector of a single class. Create one with `PersonDetector.load`.

    Attributes:
        detector: Detects the objects of the class.
    """

    detector: Detector

    @classmethod
    def load(
        cls,
        detector: Any,
        *,
        category: str = PERSON,
        score_threshold: float = PREDICTION_SCORE_THRESHOLD,
        iou_threshold: float = PREDICTION_IOU_THRESHOLD,
    ) -> "PersonDetector":
        """Create a detector of persons from a model.

        Args:
            detector: As for `Detector.load`, or a `Detector`, whose own thresholds then apply.
            category: Name of the class, for example "hand" for a detector and a pose estimator of
                hands.
            score_threshold: Minimum score of a person, 0..1.
            iou_threshold: Maximum IoU of two persons that are both kept.

        Raises:
            ValueError: If the model is no detector, or none of its classes has the name.
        """
        if not isinstance(detector, Detector):
            detector = Detector.load(
                detector, score_threshold=score_threshold, iou_threshold=iou_threshold
            )
        return cls(detector.of_category(category))

    def detect(self, images: list[Any]) -> list[PersonBoxes]:
        """Return the boxes of the persons in each image, best first; images are one batch.

        Args:
            images: Paths, `PIL.Image`s or arrays (H, W, 3), RGB, 0..255.

        Raises:
            FileNotFoundError: If an image is missing.
            ValueError: If an image cannot be decoded.
        """
        found = []
        for boxes, scores, _ in self.detector.detect(images):
            bboxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
            found.append(PersonBoxes(bboxes, scores))
        return found


def given_boxes(bboxes: ArrayLike, image: np.ndarray) -> PersonBoxes:
    """Check the boxes that a user passes; their score is 1.

    Args:
        bboxes: (N, 4): x, y, width, height in image pixels.
        image: (H, W, 3).

    Raises:
        ValueError: If they have another shape, no area, or lie outside of the image.
    """
    try:
        array = np.asarray(bboxes, np.float64)
    except (TypeError, ValueError):  # strings, or rows of different lengths
        array = np.zeros(1)
    array = array.reshape(0, 4) if array.size == 0 else array
    valid = array.ndim == 2 and array.shape[1] == 4
    if not valid or not np.isfinite(array).all() or (array[:, 2:] <= 0).any():
        raise ValueError(
            "`bboxes` must have the shape (persons, 4): x, y, width, height in pixels, with widths "
            f"and heights above 0. Received: {bboxes!r}"
        )
    height, width = image.shape[:2]
    ends = array[:, :2] + array[:, 2:]
    outside = (array[:, :2] >= (width, height)).any(axis=1) | (ends <= 0).any(axis=1)
    if outside.any():
        listed = ", ".join(f"{x:g},{y:g},{w:g},{h:g}" for x, y, w, h in array[outside])
        raise ValueError(
            f"`bboxes` must overlap with the image of {width} × {height} pixels. Received: {listed}"
        )
    return PersonBoxes(array, np.ones(len(array)))


def whole_image(image: np.ndarray) -> PersonBoxes:
    """Return the box of an image (H, W, 3) that is one person as a whole."""
    return given_boxes([[0, 0, image.shape[1], image.shape[0]]], image)
