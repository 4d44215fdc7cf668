"""The loss and the training metric of heatmap pose estimators.

Source: mmpose v0.29, ``JointsMSELoss`` and ``pose_pck_accuracy``.
"""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_shufflenet")
class KeypointMSELoss(keras.losses.Loss):
    """Mean squared error between heatmaps, weighted by keypoint.

    The weights are the ``sample_weight`` of Keras with the shape (batch, 1, 1, keypoints): 0 for
    keypoints that are not labeled. The sum is divided by the number of *all* heatmap pixels, not
    of the visible ones, and there is no factor of one half.
    """

    def __init__(self, name: str = "keypoint_mse", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the squared differences, (batch, height, width, keypoints).

        Raises:
            ValueError: If the shapes differ.
        """
        expected, received = tuple(y_pred.shape), tuple(y_true.shape)
        fits = [a == b or None in (a, b) for a, b in zip(expected, received, strict=False)]
        if len(expected) != len(received) or not all(fits):
            raise ValueError(
                f"`y_true` must be heatmaps of the shape of the predicted ones, {expected}. "
                f"Received: shape {received}"
            )
        return ops.square(y_pred - y_true)


@keras.saving.register_keras_serializable(package="keras_shufflenet")
class HeatmapPCK(keras.metrics.Metric):
    """Percentage of correct keypoints (0..1) in heatmaps, averaged over the keypoints.

    A predicted maximum is correct if its distance to the target's maximum is below ``threshold``.
    Keypoints of weight 0 are ignored. Meant to monitor training; evaluate with COCO AP.

    Args:
        num_keypoints: Number of heatmaps.
        threshold: Maximum distance. As in the reference, distances along x are divided by the
            height of the heatmap and those along y by its width.
        name: Name of the metric.
    """

    def __init__(self, num_keypoints: int, threshold: float = 0.05, name: str = "pck") -> None:
        super().__init__(name=name)
        self.num_keypoints = num_keypoints
        self.threshold = threshold
        self.correct = self.add_weight(shape=(num_keypoints,), initializer="zeros", name="correct")
        self.count = self.add_weight(shape=(num_keypoints,), initializer="zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of heatmaps (batch, height, width, keypoints)."""
        height, width = ops.shape(y_true)[1:3]
        difference = _maxima(y_pred) - _maxima(y_true)
        size = ops.cast(ops.stack([height, width]), difference.dtype)
        near = ops.norm(difference / size, axis=-1) < self.threshold
        counted = ops.ones_like(near) if sample_weight is None else sample_weight > 0
        counted = ops.reshape(counted, ops.shape(near))
        self.count.assign_add(ops.sum(ops.cast(counted, self.dtype), axis=0))
        right = ops.logical_and(near, counted)
        self.correct.assign_add(ops.sum(ops.cast(right, self.dtype), axis=0))

    def result(self) -> Any:
        """Return the share of correct maxima, between 0 and 1."""
        seen = self.count > 0
        shares = ops.divide_no_nan(self.correct, self.count)
        return ops.divide_no_nan(
            ops.sum(ops.where(seen, shares, 0.0)), ops.sum(ops.cast(seen, self.dtype))
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {"num_keypoints": self.num_keypoints, "threshold": self.threshold, "name": self.name}


def _maxima(heatmaps: Any) -> Any:
    """Return (x, y) of every map's maximum, (batch, keypoints, 2); (-1, -1) without a value > 0."""
    _, height, width, keypoints = heatmaps.shape
    flat = ops.reshape(heatmaps, (-1, height * width, keypoints))
    index = ops.argmax(flat, axis=1)
    points = ops.stack([index % width, index // width], axis=-1)
    empty = ops.max(flat, axis=1) <= 0
    return ops.where(empty[..., None], -1.0, ops.cast(points, "float32"))
