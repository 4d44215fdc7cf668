"""The learning rate schedules of classifiers: a warm-up, and a decay by any of five rules."""

import math
from typing import Any, Literal

import keras
from keras import ops

from keras_shufflenet._checks import check_choice, check_integer, check_positive

SCHEDULES = ("cosine", "linear", "poly", "step", "constant")
Schedule = Literal["cosine", "linear", "poly", "step", "constant"]


@keras.saving.register_keras_serializable(package="keras_shufflenet")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A warm-up, then a decay.

    With the step i from 0, the number of steps T and that of the warm-up W, the rate after the
    warm-up is a multiple of ``learning_rate``:

    - "cosine": (1 + cos(pi (i - W) / (T - W))) / 2, as in torchvision's recipes;
    - "linear": 1 - (i + 1) / T, which is 0 in the last step, as in Megvii's;
    - "poly": (1 - i / T) ** power, as in mmcls';
    - "step": gamma ** (i // step_size);
    - "constant": 1.

    In the warm-up that is multiplied by ``warmup_ratio``, which a linear warm-up increases to 1.

    Args:
        learning_rate: Peak learning rate.
        steps: Number of steps of the training.
        schedule: The rule.
        power: For "poly".
        gamma: For "step", the factor of a drop.
        step_size: For "step", the number of steps from one drop to the next.
        final_ratio: For "cosine" and "poly", the rate at the end as a share of the peak.
        warmup_steps: Number of steps of the warm-up; 0 for none.
        warmup_ratio: Rate of the first step as a share of what it were without a warm-up.
        warmup: "linear" or "constant".
        interval: The rate changes every `interval` steps: those of an epoch, or 1.

    Raises:
        ValueError: If an argument is out of range, or there is no such rule.
    """

    def __init__(
        self,
        learning_rate: float,
        steps: int,
        schedule: Schedule = "cosine",
        *,
        power: float = 1.0,
        gamma: float = 0.1,
        step_size: int = 1,
        final_ratio: float = 0.0,
        warmup_steps: int = 0,
        warmup_ratio: float = 0.0,
        warmup: Literal["linear", "constant"] = "linear",
        interval: int = 1,
    ) -> None:
        check_positive("learning_rate", learning_rate)
        check_integer("steps", steps)
        check_choice("schedule", schedule, SCHEDULES)
        check_choice("warmup", warmup, ("linear", "constant"))
        check_integer("step_size", step_size)
        check_integer("warmup_steps", warmup_steps, minimum=0)
        check_integer("interval", interval)
        self.learning_rate = learning_rate
        self.steps = steps
        self.schedule = schedule
        self.power = power
        self.gamma = gamma
        self.step_size = step_size
        self.final_ratio = final_ratio
        self.warmup_steps = warmup_steps
        self.warmup_ratio = warmup_ratio
        self.warmup = warmup
        self.interval = interval

    def __call__(self, step: Any) -> Any:
        """Return the rate of a step, counted from 0."""
        step = ops.cast(step, "float32")
        step = ops.floor(step / self.interval) * self.interval
        rate = self.learning_rate * self._decay(step)
        if not self.warmup_steps:
            return rate
        progress = step / self.warmup_steps if self.warmup == "linear" else 0.0
        factor = self.warmup_ratio + (1.0 - self.warmup_ratio) * progress
        return rate * ops.where(step < self.warmup_steps, factor, 1.0)

    def _decay(self, step: Any) -> Any:
        left = 1.0 - ops.minimum(step / self.steps, 1.0)
        if self.schedule == "linear":
            return ops.maximum(1.0 - (step + 1.0) / self.steps, 0.0)
        if self.schedule == "poly":
            return self.final_ratio + (1.0 - self.final_ratio) * ops.power(left, self.power)
        if self.schedule == "step":
            return ops.power(self.gamma, ops.floor(step / self.step_size))
        if self.schedule == "constant":
            return ops.ones_like(step)
        rest = max(1, self.steps - self.warmup_steps)
        progress = ops.clip((step - self.warmup_steps) / rest, 0.0, 1.0)
        cosine = (1.0 + ops.cos(math.pi * progress)) / 2.0
        return self.final_ratio + (1.0 - self.final_ratio) * cosine

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        names = "learning_rate steps schedule power gamma step_size final_ratio warmup_steps"
        names += " warmup_ratio warmup interval"
        return {name: getattr(self, name) for name in names.split()}
