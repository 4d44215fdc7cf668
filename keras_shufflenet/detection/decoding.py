"""From the raw outputs of a detector to boxes: scores, boxes, non-maximum suppression.

Source: https://github.com/RangiLyu/nanodet, commit be9b4a9.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_shufflenet._checks import check_fraction
from keras_shufflenet._types import Size
from keras_shufflenet.detection.box_codes import decode_boxes
from keras_shufflenet.detection.priors import Design, find_design, make_priors

SCORE_THRESHOLD = 0.05
IOU_THRESHOLD = 0.6
MAX_DETECTIONS = 100
# For predictions: of those in results/detection_thresholds.csv the ones of the highest F1 of
# persons. Average precision needs the lower ones above, which are the defaults.
PREDICTION_SCORE_THRESHOLD = 0.35
PREDICTION_IOU_THRESHOLD = 0.4
ROUNDING = 1e-4  # of logits: the few whose score is computed although it is below the threshold


class Detections(NamedTuple):
    """The D objects that a detector finds in an image, best first.

    Attributes:
        boxes: float64 (D, 4): left, top, right and bottom in pixels.
        scores: float64 (D,), 0..1.
        classes: int64 (D,), indices of the classes.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]


def decode(
    output: ArrayLike,
    input_size: Size,
    *,
    score_threshold: float = SCORE_THRESHOLD,
    iou_threshold: float = IOU_THRESHOLD,
    max_detections: int = MAX_DETECTIONS,
    classes: Sequence[int] | None = None,
    design: Design | None = None,
) -> Detections:
    """Decode the raw output of a detector for one image.

    Args:
        output: (priors, classes + 32) of NanoDet: logits of the classes, then of 8 bins for each
            of the distances to the left, top, right and bottom. (priors, classes + 4) of
            RetinaNet: logits of the classes, then the deltas from the anchor to the box.
        input_size: (height, width) of the network's input in pixels.
        score_threshold: Minimum score of a detection, 0..1.
        iou_threshold: Maximum IoU of two detections of a class that are both kept.
        max_detections: Maximum number of detections, of all classes.
        classes: Indices of the only classes to decode; by default all.
        design: What the rows mean; by default that of the published detectors with as many.

    Returns:
        Detections in pixels of the network's input, clipped to it; none outside of it. They are in
        the order of their scores, and of equal ones in that of their classes and priors.

    Raises:
        ValueError: If the output has another shape.
    """
    output = np.asarray(output)
    if output.ndim != 2:
        raise ValueError(
            f"`output` must have the shape (priors, columns). Received: shape {output.shape}"
        )
    design = design or find_design(len(output), input_size)
    count = design.count_classes(output.shape[1])
    numbers = np.arange(count) if classes is None else np.array(classes)
    rows, columns = np.nonzero(output[:, numbers] > _logit(score_threshold) - ROUNDING)
    numbers = numbers[columns]
    found = _sigmoid(output[rows, numbers].astype(np.float64))
    above = found > score_threshold
    rows, numbers, found = rows[above], numbers[above], found[above]
    codes = output[rows, count:].astype(np.float64)
    boxes = decode_boxes(codes, make_priors(design, input_size)[rows], design)
    height, width = input_size
    boxes = np.clip(boxes, 0, [width, height, width, height])
    inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # not so are those of anchors at the border
    boxes, numbers, found = boxes[inside], numbers[inside], found[inside]
    kept = np.concatenate(
        [
            np.flatnonzero(numbers == each)[
                nms(boxes[numbers == each], found[numbers == each], iou_threshold, max_detections)
            ]
            for each in np.unique(numbers)
        ]
        or [np.zeros(0, np.int64)]
    )
    best = kept[np.argsort(-found[kept], kind="stable")][:max_detections]
    return Detections(boxes[best], found[best], numbers[best])


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))


def _logit(score: float) -> float:
    return math.log(score / (1 - score)) if 0 < score < 1 else math.copysign(math.inf, score - 0.5)


def iou(box: ArrayLike, boxes: ArrayLike) -> NDArray[np.float64]:
    """Return the intersection over union (N,) of a box (4,) and other boxes (N, 4).

    Boxes are left, top, right and bottom; the IoU of two boxes of no area is 0.
    """
    box, boxes = np.asarray(box, np.float64), np.asarray(boxes, np.float64)
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.maximum(sides, 0).prod(-1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return shared / np.maximum((box[2:] - box[:2]).prod() + areas - shared, np.finfo(float).tiny)


def _numbers(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must be an array of numbers. Received: {name}={values!r:.60}"
        ) from error


def nms(
    boxes: ArrayLike,
    scores: ArrayLike,
    threshold: float = IOU_THRESHOLD,
    max_kept: int | None = None,
) -> NDArray[np.int64]:
    """Keep boxes in order of their score, unless their IoU with a kept one exceeds a threshold.

    Of boxes of equal scores the first comes first.

    Args:
        boxes: (N, 4): left, top, right and bottom.
        scores: (N,).
        threshold: Maximum IoU of two boxes that are both kept.
        max_kept: Maximum number of boxes that are kept; by default all.

    Returns:
        Indices of the kept boxes, best first.

    Raises:
        ValueError: If the shapes do not fit each other, a box is not finite or a score NaN, or the
            threshold is not between 0 and 1.
    """
    boxes, scores = _numbers("boxes", boxes), _numbers("scores", scores)
    check_fraction("threshold", threshold)
    if scores.ndim != 1 or (boxes.shape != (*scores.shape, 4) and boxes.size + scores.size):
        raise ValueError(
            "`boxes` must have the shape (N, 4), and `scores` (N,). "
            f"Received: shapes {boxes.shape} and {scores.shape}"
        )
    if np.isnan(scores).any() or not np.isfinite(boxes).all():
        raise ValueError(
            "`boxes` must be finite, and `scores` must not be NaN. "
            f"Received: {np.count_nonzero(~np.isfinite(boxes))} coordinates that are not finite, "
            f"{np.count_nonzero(np.isnan(scores))} scores of NaN"
        )
    order = np.argsort(-scores, kind="stable")
    kept: list[np.int64] = []
    while len(order) and (max_kept is None or len(kept) < max_kept):
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[iou(boxes[best], boxes[order]) <= threshold]
    return np.array(kept, np.int64)
