"""The loss of classifiers in training: cross-entropy of one output or several, class weights."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np

from keras_shufflenet.data import ClassificationDataset
from keras_shufflenet.models.shufflenet_v2_large import AUXILIARY_LOSS_WEIGHTS


class ClassifierInTraining(keras.Model):
    """A functional model with cross-entropy of one output or several.

    Args:
        inputs: Its images.
        outputs: The scores of the classes, then those of auxiliary classifiers if there are any.
        name: Name of the model.
        label_smoothing: Share of the targets that is spread over all classes.
        from_logits: Whether scores are logits, not probabilities.
    """

    def __init__(
        self, inputs: Any, outputs: Any, name: str, label_smoothing: float, from_logits: bool
    ) -> None:
        super().__init__(inputs, outputs, name=name)
        self._cross_entropy = keras.losses.CategoricalCrossentropy(
            from_logits=from_logits, label_smoothing=label_smoothing
        )
        self._accuracy = keras.metrics.CategoricalAccuracy("accuracy")

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the weighted sum of the cross-entropies of the outputs."""
        outputs = y_pred if isinstance(y_pred, list | tuple) else [y_pred]
        self._accuracy.update_state(y, outputs[0])
        losses = [self._cross_entropy(y, output, sample_weight) for output in outputs]
        weights = AUXILIARY_LOSS_WEIGHTS[: len(losses)]
        return sum(weight * loss for weight, loss in zip(weights, losses, strict=True))


def weigh_classes(
    weights: Sequence[float] | Literal["balanced"] | None, images: ClassificationDataset
) -> np.ndarray | None:
    """Return the weight (classes,) of the loss of each class; None for equal ones.

    Args:
        weights: The weights, or "balanced": in inverse proportion to the number of images, 1 on
            average over the images.
        images: The images.

    Raises:
        ValueError: If there is not one weight of at least 0 for each class.
    """
    if weights is None:
        return None
    counts = images.counts()
    if isinstance(weights, str) and weights == "balanced":
        return len(images) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    found = np.asarray(weights, np.float64) if not isinstance(weights, str) else np.zeros(0)
    if found.shape != (images.num_classes,) or not (np.isfinite(found) & (found >= 0)).all():
        raise ValueError(
            f"`class_weights` must be 'balanced' or {images.num_classes} numbers of at least 0, "
            f"one for each class. Received: class_weights={weights!r}"
        )
    return found
