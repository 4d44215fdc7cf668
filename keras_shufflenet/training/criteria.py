"""What the outputs of a detector must be: assignment and losses, by the design of the detector.

A criterion maps annotated boxes and outputs to the parts of the loss. Those of replicas that share
a batch add up to the parts of the batch. `CRITERIA` has one for each design. Sources:
https://github.com/RangiLyu/nanodet, commit be9b4a9, `nanodet/model/head`; see `focal_loss` for
RetinaNet.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_shufflenet.detection.priors import (
    BOX_CHANNELS,
    NANODET,
    NANODET_PLUS,
    RETINANET,
    Design,
    find_design,
    make_priors,
)
from keras_shufflenet.training.box_losses import (
    aligned_iou,
    decode_boxes,
    distribution_focal_loss,
    giou,
    quality_focal_loss,
)
from keras_shufflenet.training.focal_loss import (
    IGNORED,
    assign_anchors,
    encode_deltas,
    sigmoid_focal_loss,
)
from keras_shufflenet.training.label_assignment import Assignment, atss, dynamic_soft_label
from keras_shufflenet.training.train_step import sum_over_replicas

QFL, GIOU, DFL = "qfl", "giou", "dfl"
FOCAL, L1 = "focal", "l1"
GIOU_WEIGHT, DFL_WEIGHT = 2.0, 0.25
PREFIXES = ("", "auxiliary_")  # of the outputs


class Criterion(ABC):
    """Assignment and losses of a detector.

    Args:
        design: What its outputs mean.
        input_size: (height, width) of its input in pixels.
    """

    def __init__(self, design: Design, input_size: tuple[int, int]) -> None:
        self.design = design
        self.priors = make_priors(design, input_size).astype(np.float32)

    @abstractmethod
    def parts(self, outputs: int) -> list[str]:
        """Return the names of the parts of the loss of a number of outputs."""

    @abstractmethod
    def __call__(self, boxes: Any, labels: Any, outputs: Sequence[Any]) -> dict[str, Any]:
        """Return the parts of the loss by their names; the loss is their sum.

        Args:
            boxes: (B, M, 4) float32 in pixels of the input.
            labels: (B, M) int32, indices of the classes; -1 for padding.
            outputs: The output (B, P, ...) of the detector, then that of the auxiliary branch if
                there is one.
        """


class _Predictions(NamedTuple):
    """An output of NanoDet: logits (B, P, C), distributions (B, P, 32), boxes (B, P, 4)."""

    logits: Any
    distributions: Any
    boxes: Any


class _Targets(NamedTuple):
    """What a batch of points must predict.

    Attributes:
        is_positive: (B, P) bool.
        classes: (B, P, C), 1 at the class of a positive point.
        boxes: (B, P, 4); those of negative points mean nothing.
    """

    is_positive: Any
    classes: Any
    boxes: Any


class _GeneralizedFocal(Criterion):
    """Quality Focal Loss of the classes, GIoU and Distribution Focal Loss of the boxes."""

    def parts(self, outputs: int) -> list[str]:
        """Return the names of the losses, those of an auxiliary branch with a prefix."""
        return [prefix + name for prefix in PREFIXES[:outputs] for name in (QFL, GIOU, DFL)]

    def _predictions(self, output: Any) -> _Predictions:
        logits, distributions = output[..., :-BOX_CHANNELS], output[..., -BOX_CHANNELS:]
        return _Predictions(logits, distributions, decode_boxes(distributions, self.priors))

    def _targets(self, boxes: Any, labels: Any, assignment: Assignment, classes: int) -> _Targets:
        index = ops.maximum(assignment.index, 0)
        label = ops.take_along_axis(ops.cast(labels, "int32"), index, axis=1)
        one_hot = ops.one_hot(ops.where(assignment.is_positive, label, -1), classes)
        box = ops.take_along_axis(boxes, ops.expand_dims(index, -1), axis=1)
        return _Targets(assignment.is_positive, one_hot, box)

    def _losses(
        self, predicted: _Predictions, targets: _Targets, quality: Any, positives: Any, least: float
    ) -> tuple[Any, Any, Any]:
        """Return the three losses.

        Args:
            predicted: The predictions.
            targets: The targets.
            quality: (B, P), IoUs of the positive points.
            positives: Number that the Quality Focal Loss is divided by.
            least: Minimum of the number that the other two are divided by.
        """
        qualities = targets.classes * ops.expand_dims(quality, -1)
        qfl = ops.sum(quality_focal_loss(predicted.logits, qualities)) / positives
        scores = ops.stop_gradient(ops.sigmoid(ops.max(predicted.logits, axis=-1)))
        weights = ops.where(targets.is_positive, scores, 0.0)
        weights = weights / ops.maximum(sum_over_replicas(ops.sum(weights)), least)
        box = GIOU_WEIGHT * ops.sum(weights * (1.0 - giou(predicted.boxes, targets.boxes)))
        points, stride = self.priors[:, :2], self.priors[:, 2:]
        sides = [points - targets.boxes[..., :2], targets.boxes[..., 2:] - points]
        distances = ops.concatenate(sides, axis=-1) / stride
        per_point = ops.mean(distribution_focal_loss(predicted.distributions, distances), axis=-1)
        return qfl, box, DFL_WEIGHT * ops.sum(weights * per_point)


class ATSSCriterion(_GeneralizedFocal):
    """NanoDet's: boxes are assigned by ATSS, the quality is the IoU of the predicted box.

    A batch without a box trains the classes, unlike in the reference, where it is left out.
    """

    def __call__(self, boxes: Any, labels: Any, outputs: Sequence[Any]) -> dict[str, Any]:
        """Return the parts of the loss, as `Criterion`."""
        predicted = self._predictions(outputs[0])
        strides = self.priors[:, 2]
        levels = [int((strides == stride).sum()) for stride in self.design.strides]
        assignment = atss(boxes, labels >= 0, self.priors, levels)
        targets = self._targets(boxes, labels, assignment, predicted.logits.shape[-1])
        quality = ops.stop_gradient(aligned_iou(predicted.boxes, targets.boxes))
        # An image without a positive point counts as one.
        number = ops.sum(ops.cast(assignment.is_positive, "float32"), axis=1)
        positives = sum_over_replicas(ops.sum(ops.maximum(number, 1.0)))
        least = keras.config.epsilon()
        losses = self._losses(predicted, targets, quality, positives, least)
        return dict(zip(self.parts(1), losses, strict=True))


class DynamicSoftLabelCriterion(_GeneralizedFocal):
    """NanoDet-Plus': boxes are assigned by the predictions, those of the auxiliary branch if any.

    Both outputs have the same targets, the IoU of the assignment as quality among them.
    """

    def __call__(self, boxes: Any, labels: Any, outputs: Sequence[Any]) -> dict[str, Any]:
        """Return the parts of the loss, as `Criterion`."""
        predictions = [self._predictions(output) for output in outputs]
        guide = predictions[-1]
        assignment = dynamic_soft_label(boxes, labels, guide.logits, guide.boxes, self.priors)
        targets = self._targets(boxes, labels, assignment, guide.logits.shape[-1])
        number = sum_over_replicas(ops.sum(ops.cast(assignment.is_positive, "float32")))
        positives = ops.maximum(number, 1.0)
        losses = [
            loss
            for predicted in predictions
            for loss in self._losses(predicted, targets, assignment.iou, positives, 1.0)
        ]
        return dict(zip(self.parts(len(outputs)), losses, strict=True))


class FocalLossCriterion(Criterion):
    """RetinaNet's: anchors are assigned by their IoU with the annotated boxes."""

    def __init__(self, design: Design, input_size: tuple[int, int]) -> None:
        super().__init__(design, input_size)
        centers, halves = self.priors[:, :2], self.priors[:, 2:] / 2
        self._anchors = np.concatenate([centers - halves, centers + halves], axis=1)

    def parts(self, outputs: int) -> list[str]:
        """Return the names of the parts of the loss."""
        return [FOCAL, L1]

    def __call__(self, boxes: Any, labels: Any, outputs: Sequence[Any]) -> dict[str, Any]:
        """Return the parts of the loss, as `Criterion`: sums per positive anchor of the batch."""
        (output,) = outputs
        classes = self.design.count_classes(output.shape[-1])
        logits, deltas = output[..., :classes], output[..., classes:]
        assigned = assign_anchors(self._anchors, boxes, labels)
        is_positive, index = assigned >= 0, ops.maximum(assigned, 0)
        target_boxes = ops.take_along_axis(boxes, ops.expand_dims(index, -1), axis=1)
        label = ops.take_along_axis(ops.cast(labels, "int32"), index, axis=1)
        targets = ops.one_hot(ops.where(is_positive, label, -1), classes)
        is_counted = ops.cast(ops.expand_dims(assigned != IGNORED, -1), "float32")
        focal = sigmoid_focal_loss(logits, targets) * is_counted
        errors = ops.abs(deltas - encode_deltas(target_boxes, self.priors))
        number = sum_over_replicas(ops.sum(ops.cast(is_positive, "float32")))
        positives = ops.maximum(number, 1.0)
        return {
            FOCAL: ops.sum(focal) / positives,
            L1: ops.sum(ops.where(ops.expand_dims(is_positive, -1), errors, 0.0)) / positives,
        }


CRITERIA: Mapping[Design, type[Criterion]] = MappingProxyType(
    {
        NANODET: ATSSCriterion,
        NANODET_PLUS: DynamicSoftLabelCriterion,
        RETINANET: FocalLossCriterion,
    }
)


def find_criterion(model: keras.Model) -> Criterion:
    """Return the criterion of a detector, by the design that its output has.

    Raises:
        ValueError: If the size of the input varies, or the model is no detector.
    """
    height, width = model.input_shape[1:3]
    if None in (height, width):
        raise ValueError(
            "`model` must have a fixed input size to be trained, as `input_shape=(320, 320, 3)`. "
            f"Received: {model.name} with the input shape {model.input_shape}"
        )
    shape = model.output_shape
    if not isinstance(shape, tuple) or len(shape) != 3:
        raise ValueError(
            f"`model` must be a detector, such as nanodet_plus_m. Received: {model.name} with the "
            f"output shape {shape}"
        )
    design = find_design(shape[1], (height, width))
    return CRITERIA[design](design, (height, width))
