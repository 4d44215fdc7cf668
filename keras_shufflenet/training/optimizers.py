"""Optimizers and learning rate schedules that Keras does not have."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_shufflenet._keras_private import VariableRateAdam
from keras_shufflenet._layer_names import HEAD_PREFIX


@keras.saving.register_keras_serializable(package="keras_shufflenet")
class BackboneAdam(VariableRateAdam):
    """Adam with a lower learning rate for a pretrained backbone.

    mmpose's ``paramwise_cfg`` with ``lr_mult`` for the backbone.

    Args:
        learning_rate: A number or a schedule: the learning rate of the head.
        backbone_lr_multiplier: Factor on the rate of all layers but those named ``head_...``.
        **kwargs: As for `keras.optimizers.Adam`.

    Raises:
        ValueError: If the factor is negative.
    """

    def __init__(
        self, learning_rate: Any = 0.001, backbone_lr_multiplier: float = 1.0, **kwargs: Any
    ) -> None:
        if backbone_lr_multiplier < 0:
            raise ValueError(
                "`backbone_lr_multiplier` must not be negative. "
                f"Received: backbone_lr_multiplier={backbone_lr_multiplier}"
            )
        super().__init__(learning_rate, **kwargs)
        self.backbone_lr_multiplier = backbone_lr_multiplier

    def rate_factor(self, variable: keras.Variable) -> float:
        """Return 1 for the head and the multiplier for the backbone."""
        return 1.0 if variable.path.startswith(HEAD_PREFIX) else self.backbone_lr_multiplier

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"backbone_lr_multiplier": self.backbone_lr_multiplier}


@keras.saving.register_keras_serializable(package="keras_shufflenet")
class WarmupMultiStepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then a constant rate that is multiplied by ``gamma`` at every boundary.

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
            raise ValueError(f"`boundaries` must ascend. Received: boundaries={list(boundaries)}")
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
