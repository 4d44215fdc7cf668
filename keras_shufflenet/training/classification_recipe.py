"""How a classifier is trained, as numbers: `ClassificationRecipe`."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import keras

from keras_shufflenet._checks import (
    check_bool,
    check_choice,
    check_fraction,
    check_integer,
    check_positive,
)
from keras_shufflenet.data import ClassificationAugmentation
from keras_shufflenet.training.optimizers import AdamW, CoupledSGD, averaging_momentum
from keras_shufflenet.training.schedules import SCHEDULES, Schedule, WarmupDecay

MOMENTUM = 0.9
CROPS_AND_FLIPS = ClassificationAugmentation()


@dataclass(frozen=True)
class ClassificationRecipe:
    """How a classifier is trained.

    Attributes:
        epochs: Number of epochs.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
        optimizer: "sgd" with a momentum of 0.9 (PyTorch's, see `CoupledSGD`), or "adamw".
        weight_decay: Weight decay of the optimizer.
        decayed: What has weight decay: "kernels" (of more than one axis), "all_but_norms" (also
            biases of dense layers and convolutions), or "all".
        schedule: See `WarmupDecay`: "cosine", "linear", "poly" (of power 1), "step" or "constant".
        drop_epochs: For "step", epochs from one drop to the next.
        gamma: For "step", the factor of a drop.
        warmup: Share of the training in which the rate is lower.
        warmup_ratio: Rate of the first step as a share of the peak.
        constant_warmup: Whether the rate stays that low for the whole warm-up.
        by_epoch: Whether the rate changes after every epoch, not after every step.
        clip_norm: Maximum norm of the gradient of all weights; None for no clipping.
        label_smoothing: Share of the targets that is spread over all classes.
        ema_momentum: Momentum of the averages of the weights, which are what is saved; less in a
            short training, so that they reach back a twentieth of it. None for no averages.
        statistics_images: Number of augmented images from which the statistics of batch
            normalizations are computed anew, before a validation and at the end; 0 for none.
        frozen_epochs: Epochs before all others in which only the classifier is trained.
        frozen_learning_rate: Peak learning rate of these.
        freeze_batch_norm: Whether batch normalizations stay as they are: statistics, gamma, beta.
        augmentation: Augmentation of the images.

    Raises:
        ValueError: If a number is out of range, or there is no such optimizer or schedule.
    """

    epochs: int
    batch_size: int
    peak_learning_rate: float
    optimizer: Literal["sgd", "adamw"] = "sgd"
    weight_decay: float = 4e-5
    decayed: Literal["kernels", "all_but_norms", "all"] = "kernels"
    schedule: Schedule = "cosine"
    drop_epochs: int = 1
    gamma: float = 0.1
    warmup: float = 0.0
    warmup_ratio: float = 0.01
    constant_warmup: bool = False
    by_epoch: bool = False
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    ema_momentum: float | None = None
    statistics_images: int = 0
    frozen_epochs: int = 0
    frozen_learning_rate: float = 1e-2
    freeze_batch_norm: bool = False
    augmentation: ClassificationAugmentation = CROPS_AND_FLIPS

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("epochs", "batch_size", "drop_epochs"):
            check_integer(name, getattr(self, name))
        for name in ("frozen_epochs", "statistics_images"):
            check_integer(name, getattr(self, name), minimum=0)
        for name in ("peak_learning_rate", "frozen_learning_rate", "gamma"):
            check_positive(name, getattr(self, name))
        for name in ("warmup", "warmup_ratio", "label_smoothing", "weight_decay"):
            check_fraction(name, getattr(self, name))
        for name in ("constant_warmup", "by_epoch", "freeze_batch_norm"):
            check_bool(name, getattr(self, name))
        check_choice("optimizer", self.optimizer, ("sgd", "adamw"))
        check_choice("decayed", self.decayed, ("kernels", "all_but_norms", "all"))
        check_choice("schedule", self.schedule, SCHEDULES)
        if self.clip_norm is not None:
            check_positive("clip_norm", self.clip_norm)
        averaging_momentum(self.ema_momentum, 1)

    def frozen(self) -> "ClassificationRecipe":
        """Return the recipe of the epochs in which only the classifier is trained."""
        return replace(
            self,
            epochs=self.frozen_epochs,
            peak_learning_rate=self.frozen_learning_rate,
            frozen_epochs=0,
            statistics_images=0,
            ema_momentum=None,
        )

    def averaging(self, steps: int) -> float | None:
        """Return the momentum of the averages in a training of a number of steps."""
        return averaging_momentum(self.ema_momentum, steps)

    def make_schedule(self, steps_per_epoch: int) -> WarmupDecay:
        """Return the learning rate schedule."""
        steps = self.epochs * steps_per_epoch
        return WarmupDecay(
            self.peak_learning_rate,
            steps,
            self.schedule,
            gamma=self.gamma,
            step_size=self.drop_epochs * steps_per_epoch,
            warmup_steps=round(self.warmup * steps),
            warmup_ratio=self.warmup_ratio,
            warmup="constant" if self.constant_warmup else "linear",
            interval=steps_per_epoch if self.by_epoch else 1,
        )

    def make_optimizer(
        self, model: keras.Model, steps_per_epoch: int
    ) -> keras.optimizers.Optimizer:
        """Return the optimizer of a model, with its schedule."""
        averaging = self.averaging(self.epochs * steps_per_epoch)
        schedule = self.make_schedule(steps_per_epoch)
        arguments: dict[str, Any] = {
            "global_clipnorm": self.clip_norm,
            "use_ema": averaging is not None,
            "ema_momentum": averaging or 0.0,
        }
        optimizer: keras.optimizers.Optimizer
        if self.optimizer == "adamw":
            optimizer = AdamW(schedule, weight_decay=self.weight_decay, epsilon=1e-8, **arguments)
        else:
            optimizer = CoupledSGD(schedule, MOMENTUM, self.weight_decay, **arguments)
        optimizer.exclude_from_weight_decay(var_list=self._without_decay(model))
        return optimizer

    def _without_decay(self, model: keras.Model) -> list[keras.Variable]:
        if self.decayed == "all":
            return []
        if self.decayed == "kernels":
            return [v for v in model.trainable_variables if len(v.shape) <= 1]
        norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
        return [v for norm in norms for v in norm.trainable_variables]
