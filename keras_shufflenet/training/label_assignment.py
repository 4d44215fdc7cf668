"""Label assignment of detectors: which box each point of an image must predict.

Both methods work on whole batches of static shape, B images with M boxes, some of which are
padding, and P points; they are traced with the training step. Equal numbers are resolved by the
order of points and boxes, so that the result is deterministic.

* `atss`: Zhang et al., "Bridging the Gap Between Anchor-based and Anchor-free Detection via
  Adaptive Training Sample Selection", CVPR 2020, https://arxiv.org/abs/1912.02424;
* `dynamic_soft_label`: NanoDet-Plus' own, after SimOTA of Ge et al., "YOLOX", 2021,
  https://arxiv.org/abs/2107.08430.

Source: https://github.com/RangiLyu/nanodet, commit be9b4a9.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_shufflenet.training.box_losses import binary_cross_entropy, pairwise_iou

CANDIDATES = 9  # points of each level, of ATSS
CELL = 5.0  # side in strides of the square around a point, of ATSS
MARGIN = 0.01  # pixels between a point and the sides of its box, of ATSS
MAX_POINTS = 13  # whose IoUs add up to the number of points of a box, of dynamic soft labels
IOU_FACTOR = 3.0
INFINITE = 1e8


class Assignment(NamedTuple):
    """The boxes that are assigned to the points.

    Attributes:
        index: (B, P) int32, the box of each point, or -1 for background.
        iou: (B, P) float32, the IoU that the point was chosen by; 0 for background.
    """

    index: Any
    iou: Any

    @property
    def is_positive(self) -> Any:
        """(B, P) bool, whether a point has a box."""
        return self.index >= 0


def atss(boxes: Any, is_box: Any, priors: np.ndarray, levels: Sequence[int]) -> Assignment:
    """Assign the points near the center of a box, whose IoU with it is above the average.

    Of each level the points nearest to the center are candidates. The minimum IoU is the mean plus
    the standard deviation of the candidates'. A point has the IoU of a square around it.

    Args:
        boxes: (B, M, 4) in pixels.
        is_box: (B, M) bool, False for padding.
        priors: (P, 3): x, y and stride of each point in pixels.
        levels: Number of points of each level; they add up to P.
    """
    centers, half = priors[:, :2], CELL / 2 * priors[:, 2:]
    cells = ops.convert_to_tensor(np.concatenate([centers - half, centers + half], axis=-1)[None])
    iou = pairwise_iou(boxes, cells)
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    offsets = ops.expand_dims(middle, 2) - centers
    distance = ops.sqrt(ops.sum(ops.square(offsets), axis=-1))
    indices, start = [], 0
    for count in levels:
        near = -distance[..., start : start + count]
        _, index = ops.top_k(near, min(CANDIDATES, count))
        indices.append(index + start)
        start += count
    index = ops.concatenate(indices, axis=-1)
    candidates = ops.take_along_axis(iou, index, axis=-1)
    mean = ops.mean(candidates, axis=-1, keepdims=True)
    variance = ops.sum(ops.square(candidates - mean), axis=-1, keepdims=True)
    threshold = mean + ops.sqrt(variance / max(1, candidates.shape[-1] - 1))
    chosen = _mark(index, candidates >= threshold, len(priors))
    inside = _is_inside(boxes, centers, MARGIN)
    score = ops.where(chosen & inside & ops.expand_dims(is_box, -1), iou, -INFINITE)
    best, iou = ops.argmax(score, axis=1), ops.max(score, axis=1)
    return _assignment(best, iou, iou > -INFINITE)


def dynamic_soft_label(
    boxes: Any, labels: Any, logits: Any, predicted: Any, priors: np.ndarray
) -> Assignment:
    """Assign to each box the points whose predictions cost least.

    Points inside of any box are candidates. The cost of a point for a box is the Quality Focal
    Loss of its classes plus 3 times the negative logarithm of its IoU. A box gets as many points as
    the IoUs of its 13 best add up to, but at least one. A point wanted by several boxes gets the
    cheapest of all.

    Args:
        boxes: (B, M, 4) in pixels.
        labels: (B, M) int32, the class of each box; -1 for padding.
        logits: (B, P, C) of the classes.
        predicted: (B, P, 4), the predicted boxes.
        priors: (P, 3): x, y and stride of each point in pixels.
    """
    logits, predicted = ops.stop_gradient(logits), ops.stop_gradient(predicted)
    is_box = ops.expand_dims(labels >= 0, -1)
    inside = _is_inside(boxes, priors[:, :2], 0.0) & is_box
    valid = ops.any(inside, axis=1, keepdims=True) & is_box
    iou = ops.where(valid, pairwise_iou(boxes, predicted), 0.0)
    cost = _class_cost(logits, labels, iou) - IOU_FACTOR * ops.log(iou + 1e-7)
    cost = ops.where(valid, cost, INFINITE)
    most = min(MAX_POINTS, len(priors))
    wanted = ops.cast(ops.sum(ops.top_k(iou, most)[0], axis=-1, keepdims=True), "int32")
    cheapest, index = ops.top_k(-cost, most)
    taken = (ops.arange(most) < ops.maximum(wanted, 1)) & (cheapest > -INFINITE)
    chosen = _mark(index, taken, len(priors))
    number = ops.sum(ops.cast(chosen, "int32"), axis=1)
    single, cheap = ops.argmax(chosen, axis=1), ops.argmin(cost, axis=1)
    best = ops.where(number > 1, cheap, single)
    best_iou = ops.take_along_axis(iou, ops.expand_dims(best, 1), axis=1)[:, 0]
    return _assignment(best, best_iou, number > 0)


def _class_cost(logits: Any, labels: Any, iou: Any) -> Any:
    """Return the Quality Focal Loss (B, M, P) of a point's classes, if it had the box's label.

    The sum over the classes is that of the background, with another summand for the label.
    """
    scores = ops.sigmoid(logits)
    background = ops.expand_dims(ops.sum(ops.softplus(logits) * ops.square(scores), axis=-1), 1)
    is_label = ops.one_hot(ops.maximum(labels, 0), logits.shape[-1])
    logit = ops.einsum("bpc,bmc->bmp", logits, is_label)
    score = ops.sigmoid(logit)
    as_background = ops.softplus(logit) * ops.square(score)
    as_label = binary_cross_entropy(logit, iou) * ops.square(iou - score)
    return background - as_background + as_label


def _is_inside(boxes: Any, points: np.ndarray, margin: float) -> Any:
    """Return whether points (P, 2) are inside of boxes (B, M, 4), bool (B, M, P)."""
    boxes = ops.expand_dims(boxes, 2)
    low, high = points - boxes[..., :2], boxes[..., 2:] - points
    return ops.all(ops.minimum(low, high) > margin, axis=-1)


def _mark(index: Any, value: Any, count: int) -> Any:
    """Return bool (B, M, `count`): `value` (B, M, K) at the different places `index` (B, M, K)."""
    boxes, places = index.shape[1:]
    row = ops.arange(ops.size(index) // places, dtype="int32")
    flat = ops.cast(index, "int32") + count * ops.reshape(row, (-1, boxes, 1))
    marked = ops.scatter(
        ops.reshape(flat, (-1, 1)),
        ops.cast(ops.reshape(value, (-1,)), "int32"),
        (count * (ops.size(index) // places),),
    )
    return ops.reshape(marked, (-1, boxes, count)) > 0


def _assignment(index: Any, iou: Any, is_positive: Any) -> Assignment:
    index = ops.where(is_positive, ops.cast(index, "int32"), -1)
    return Assignment(ops.stop_gradient(index), ops.stop_gradient(ops.where(is_positive, iou, 0.0)))
