"""Recipes: how long, how fast and with which targets a pose estimator is trained.

A recipe is a function of a few numbers that returns a frozen `Recipe`. Its docstring has the
command that runs it and says what is to be expected.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import keras

from keras_shufflenet.data import COCO_AUGMENTATION, Augmentation
from keras_shufflenet.training.optimizers import BackboneAdam
from keras_shufflenet.training.schedules import WarmupMultiStepDecay

DROPS = (170 / 210, 200 / 210)  # mmpose's, as shares of the training
WARMUP_RATIO = 0.001
WARMUP_SHARE = 0.05  # the most that a short training spends on warming up
LIGHT_AUGMENTATION = Augmentation(scale_factor=0.25, rotate_factor=20.0, half_body_prob=0.1)
WEAK_AUGMENTATION = Augmentation(scale_factor=0.15, rotate_factor=12.0, half_body_prob=0.0)


@dataclass(frozen=True)
class Recipe:
    """How a pose estimator is trained with Adam.

    Attributes:
        epochs: Passes over the people of the training set.
        batch_size: PoseInstances per step.
        peak_learning_rate: Greatest rate.
        schedule: "step" lets the rate drop to a tenth twice near the end, "cosine" lowers it from
            the warm-up to the end.
        warmup_steps: Steps of the linear warm-up; a twentieth of a short training at most.
        sigma: Standard deviation of the target's peaks in heatmap pixels; None for the codec's own.
        augmentation: How the views of people vary.
        backbone_lr_multiplier: Factor on the rate of all layers but the head's.

    Raises:
        ValueError: If a number is not positive or there is no such schedule.
    """

    epochs: int
    batch_size: int
    peak_learning_rate: float
    schedule: Literal["step", "cosine"] = "step"
    warmup_steps: int = 500
    sigma: float | None = None
    augmentation: Augmentation = COCO_AUGMENTATION
    backbone_lr_multiplier: float = 1.0

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("epochs", "batch_size", "peak_learning_rate", "backbone_lr_multiplier"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive. Received: {getattr(self, name)}")
        if self.schedule not in ("step", "cosine"):
            raise ValueError(f"schedule must be step or cosine. Received: {self.schedule!r}")

    def optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        """Return the optimizer, its schedule scaled to the length of the training."""
        steps = self.epochs * steps_per_epoch
        warmup = min(self.warmup_steps, round(WARMUP_SHARE * steps))
        schedule = self._cosine if self.schedule == "cosine" else self._step
        return BackboneAdam(schedule(steps, warmup), self.backbone_lr_multiplier, epsilon=1e-8)

    def _step(self, steps: int, warmup: int) -> WarmupMultiStepDecay:
        boundaries = sorted({max(1, round(share * steps)) for share in DROPS})
        return WarmupMultiStepDecay(
            self.peak_learning_rate, boundaries, warmup_steps=warmup, warmup_ratio=WARMUP_RATIO
        )

    def _cosine(self, steps: int, warmup: int) -> keras.optimizers.schedules.CosineDecay:
        return keras.optimizers.schedules.CosineDecay(
            self.peak_learning_rate * WARMUP_RATIO,
            decay_steps=max(1, steps - warmup),
            warmup_target=self.peak_learning_rate,
            warmup_steps=warmup,
        )


def mmpose(epochs: int = 210, batch_size: int = 64, peak_learning_rate: float = 5e-4) -> Recipe:
    """Return the recipe of mmpose for its ShuffleNets and MobileNetV2 on COCO.

    ::

        keras-shufflenet train --recipe mmpose --model shufflenet_v2_x1_0 --head deconv
            --annotations person_keypoints_train2017.json --images train2017 --output runs/mmpose

    Expected: AP .60 on val2017 with a detector's boxes at 256 × 192. That is mmpose's own figure,
    with 8 GPUs of 64 people each.

    Args:
        epochs: Passes over the training set; the drops of the rate keep their share of it.
        batch_size: PoseInstances per step.
        peak_learning_rate: Greatest rate.
    """
    return Recipe(epochs, batch_size, peak_learning_rate)


def finetune(epochs: int = 12, batch_size: int = 16, peak_learning_rate: float = 1e-2) -> Recipe:
    """Return a recipe for an hour on two cores: few people, a backbone that knows ImageNet.

    The head is new and learns fast, the backbone keeps to a tenth of its rate; wide peaks and calm
    views make the first steps easier. Half of the time at half of the size helps, too::

        keras-shufflenet train --recipe finetune --model shufflenet_v2_x1_0 --head light
            --annotations train.json --images images --weights shufflenetv2_x1.0.pth
            --input-size 192x128 --epochs 11 --output runs/small
        keras-shufflenet train --recipe finetune --model shufflenet_v2_x1_0 --head light
            --annotations train.json --images images --start-from runs/small/model.keras
            --input-size 256x192 --epochs 5 --lr 5e-3 --output runs/light

    Expected: AP .18 with annotated boxes on 460 people of val2017, after 54 minutes with 4 823
    people of COCO and LSPET, see `results/coco.csv` and `results/training.csv`.

    Args:
        epochs: Passes over the training set.
        batch_size: PoseInstances per step.
        peak_learning_rate: Greatest rate.
    """
    return Recipe(
        epochs,
        batch_size,
        peak_learning_rate,
        schedule="cosine",
        warmup_steps=200,
        sigma=3.0,
        augmentation=LIGHT_AUGMENTATION,
        backbone_lr_multiplier=0.1,
    )


def from_scratch(epochs: int = 5, batch_size: int = 16, peak_learning_rate: float = 2e-2) -> Recipe:
    """Return a recipe for minutes: a small network without pretrained weights, drawn people.

    ::

        keras-shufflenet demo

    Args:
        epochs: Passes over the training set.
        batch_size: PoseInstances per step.
        peak_learning_rate: Greatest rate.
    """
    return Recipe(
        epochs,
        batch_size,
        peak_learning_rate,
        schedule="cosine",
        warmup_steps=100,
        augmentation=WEAK_AUGMENTATION,
    )


RECIPES: Mapping[str, Callable[..., Recipe]] = MappingProxyType(
    {recipe.__name__: recipe for recipe in (mmpose, finetune, from_scratch)}
)
