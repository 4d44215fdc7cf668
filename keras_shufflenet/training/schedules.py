"""Learning rate schedules that Keras does not have."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_shufflenet")
class WarmupMultiStepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then a constant rate that drops by ``gamma`` at every boundary.

    During the warm-up the rate of step i is rate * (1 - (1 - i / warmup_steps) *
    (1 - warmup_ratio)), as in mmcv; a boundary is the first step with the smaller rate.

    Args:
        learning_rate: Rate between the warm-up and the first boundary.
        boundaries: Steps, ascending.
        gamma: Factor at each boundary.
        warmup_steps: Number of steps of the warm-up; 0 for none.
        warmup_ratio: Rate of the first step as a share of ``learning_rate``.

    Raises:
        ValueError: If the boundaries do not ascend.
    """

    def __init__(
        self,
        learning_rate: float,
        boundaries: Sequence[int],
        gamma: float = 0.1,
        warmup_steps: int = 500,
        warmup_ratio: float = 0.001,
    ) -> None:
        if list(boundaries) != sorted(set(boundaries)):
            raise ValueError(f"boundaries must ascend. Received: boundaries={list(boundaries)}")
        self.learning_rate = learning_rate
        self.boundaries = tuple(boundaries)
        self.gamma = gamma
        self.warmup_steps = warmup_steps
        self.warmup_ratio = warmup_ratio

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step, counted from 0."""
        step = ops.cast(step, "float32")
        drops = ops.zeros_like(step)
        for boundary in self.boundaries:
            drops = drops + ops.cast(step >= boundary, "float32")
        rate = self.learning_rate * ops.power(self.gamma, drops)
        progress = ops.minimum(1.0, step / self.warmup_steps) if self.warmup_steps else 1.0
        return rate * (self.warmup_ratio + (1.0 - self.warmup_ratio) * progress)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {
            "learning_rate": self.learning_rate,
            "boundaries": list(self.boundaries),
            "gamma": self.gamma,
            "warmup_steps": self.warmup_steps,
            "warmup_ratio": self.warmup_ratio,
        }
