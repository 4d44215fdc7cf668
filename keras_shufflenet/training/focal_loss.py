"""RetinaNet's losses: anchors are assigned by IoU, focal loss of the classes, L1 of the deltas.

Paper: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017,
https://arxiv.org/abs/1708.02002. Source: mmdet v3, `MaxIoUAssigner`, `FocalLoss`, `RetinaHead`.

Everything has static shapes, so that it runs inside of a compiled training step.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_shufflenet.training.box_losses import binary_cross_entropy, pairwise_iou

POSITIVE_IOU, NEGATIVE_IOU = 0.5, 0.4
ALPHA, GAMMA = 0.25, 2.0
BACKGROUND, IGNORED = -1, -2


def assign_anchors(anchors: Any, boxes: Any, labels: Any) -> Any:
    """Assign each anchor to a box.

    An anchor goes to the box of the highest IoU if that is at least .5, and is background if it is
    below .4. The anchors that no other overlaps a box more than go to that box in any case.

    Args:
        anchors: (A, 4), left, top, right and bottom in pixels.
        boxes: (B, M, 4), likewise.
        labels: (B, M), class indices, -1 for padding.

    Returns:
        int32 (B, A): the index of the box, -1 for background, or -2 for an anchor between the
        thresholds, which does not count.
    """
    is_real = ops.expand_dims(labels >= 0, -1)
    ious = ops.where(is_real, pairwise_iou(boxes, anchors[np.newaxis]), -1.0)  # (B, M, A)
    best = ops.max(ious, axis=1)
    of_box = ops.max(ious, axis=2, keepdims=True)
    is_closest = ops.logical_and(ious == of_box, of_box > 0)
    # Of several boxes the last one, as in the reference.
    numbers = np.arange(boxes.shape[1], dtype=np.int32)[:, np.newaxis]
    closest = ops.max(ops.where(is_closest, numbers, -1), axis=1)
    assigned = ops.where(
        best >= POSITIVE_IOU,
        ops.cast(ops.argmax(ious, axis=1), "int32"),
        ops.where(best < NEGATIVE_IOU, BACKGROUND, IGNORED),
    )
    return ops.where(closest >= 0, closest, assigned)


def encode_deltas(boxes: Any, priors: Any) -> Any:
    """Return the deltas from anchors to boxes, the inverse of `box_codes.decode_deltas`.

    Args:
        boxes: (..., 4), left, top, right and bottom in pixels.
        priors: (..., 4), x, y, width and height in pixels.
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    shifts = ((low + high) / 2 - priors[..., :2]) / priors[..., 2:]
    ratios = ops.maximum(high - low, keras.config.epsilon()) / priors[..., 2:]
    return ops.concatenate([shifts, ops.log(ratios)], axis=-1)


def sigmoid_focal_loss(logits: Any, targets: Any) -> Any:
    """Return the focal loss (...) of logits (...) with targets 0 or 1."""
    weight = ALPHA * targets + (1.0 - ALPHA) * (1.0 - targets)
    errors = ops.power(ops.abs(targets - ops.sigmoid(logits)), GAMMA)
    return weight * errors * binary_cross_entropy(logits, targets)
