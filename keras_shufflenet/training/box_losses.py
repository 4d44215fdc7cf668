"""Boxes and losses of NanoDet on whole batches: GIoU, Quality Focal Loss, Distribution Focal Loss.

Boxes are (left, top, right, bottom) in pixels. Everything is made of `keras.ops` on static shapes,
so that it is traced with the training step. Sources: Li et al., "Generalized Focal Loss", NeurIPS
2020, https://arxiv.org/abs/2006.04388; Rezatofighi et al., "Generalized Intersection over Union",
CVPR 2019, https://arxiv.org/abs/1902.09630; https://github.com/RangiLyu/nanodet, commit be9b4a9.
"""

from typing import Any

import numpy as np
from keras import ops

from keras_shufflenet.detection.priors import BINS

BETA = 2.0  # exponent of the Quality Focal Loss
EPSILON = 1e-7  # minimum area
MAX_DISTANCE = BINS - 1 - 0.1  # in strides: a target has a bin on both sides


def decode_boxes(distributions: Any, priors: Any) -> Any:
    """Return the boxes (B, P, 4) that a detector predicts, not clipped to the image.

    Args:
        distributions: (B, P, 32): logits of the bins of the four distances.
        priors: (P, 3): x, y and stride of each point in pixels.
    """
    shape = (-1, len(priors), 4, BINS)
    shares = ops.softmax(ops.reshape(distributions, shape), axis=-1)
    bins = np.arange(BINS, dtype=np.float32)
    left, top, right, bottom = ops.unstack(ops.sum(shares * bins, axis=-1) * priors[:, 2:], 4, -1)
    x, y = priors[:, 0], priors[:, 1]
    return ops.stack([x - left, y - top, x + right, y + bottom], axis=-1)


def area(boxes: Any) -> Any:
    """Return the areas (...) of boxes (..., 4)."""
    left, top, right, bottom = ops.unstack(boxes, 4, -1)
    return (right - left) * (bottom - top)


def pairwise_iou(boxes: Any, others: Any) -> Any:
    """Return the intersections over union (B, M, P) of boxes (B, M, 4) and others (B, P, 4)."""
    boxes, others = ops.expand_dims(boxes, 2), ops.expand_dims(others, 1)
    shared, union = _shared_and_union(boxes, others)
    return shared / ops.maximum(union, EPSILON)


def giou(boxes: Any, others: Any) -> Any:
    """Return the generalized intersections over union (...) of boxes (..., 4), one to one."""
    shared, union = _shared_and_union(boxes, others)
    union = ops.maximum(union, EPSILON)
    low = ops.minimum(boxes[..., :2], others[..., :2])
    high = ops.maximum(boxes[..., 2:], others[..., 2:])
    enclosing = ops.maximum(area(ops.concatenate([low, high], axis=-1)), EPSILON)
    return shared / union - (enclosing - union) / enclosing


def aligned_iou(boxes: Any, others: Any) -> Any:
    """Return the intersections over union (...) of boxes (..., 4), one to one."""
    shared, union = _shared_and_union(boxes, others)
    return shared / ops.maximum(union, EPSILON)


def _shared_and_union(boxes: Any, others: Any) -> tuple[Any, Any]:
    low = ops.maximum(boxes[..., :2], others[..., :2])
    sides = ops.maximum(ops.minimum(boxes[..., 2:], others[..., 2:]) - low, 0.0)
    shared = sides[..., 0] * sides[..., 1]
    return shared, area(boxes) + area(others) - shared


def quality_focal_loss(logits: Any, qualities: Any) -> Any:
    """Return the Quality Focal Loss (...) of class logits.

    Args:
        logits: (...), any shape.
        qualities: (...): the IoU of the predicted box at the assigned class, 0 elsewhere.
    """
    error = ops.abs(qualities - ops.sigmoid(logits))
    return binary_cross_entropy(logits, qualities) * ops.power(error, BETA)


def binary_cross_entropy(logits: Any, targets: Any) -> Any:
    """Return the binary cross entropy (...) of logits with soft targets."""
    return ops.softplus(logits) - logits * targets


def distribution_focal_loss(distributions: Any, distances: Any) -> Any:
    """Return the Distribution Focal Loss (B, P, 4) of the distances to the four sides.

    Args:
        distributions: (B, P, 32): logits of the bins.
        distances: (B, P, 4): targets in strides.
    """
    distances = ops.clip(distances, 0.0, MAX_DISTANCE)
    logits = ops.reshape(distributions, (-1, *distances.shape[1:], BINS))
    # The shares of the two bins beside the target, the nearer one the larger.
    bins = np.arange(BINS, dtype=np.float32)
    shares = ops.maximum(1.0 - ops.abs(ops.expand_dims(distances, -1) - bins), 0.0)
    return -ops.sum(shares * ops.log_softmax(logits, axis=-1), axis=-1)
