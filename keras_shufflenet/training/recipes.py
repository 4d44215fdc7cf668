"""Training recipes of pose estimators: epochs, learning rates, targets, augmentation.

A recipe is a function of a few numbers that returns a frozen `Recipe`. Its docstring has the
command that runs it and the expected result.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import keras

from keras_shufflenet._checks import check_choice, check_integer, check_positive
from keras_shufflenet.data import COCO_AUGMENTATION, MPII_AUGMENTATION, Augmentation
from keras_shufflenet.training.optimizers import (
    BackboneAdam,
    WarmupMultiStepDecay,
    averaging_momentum,
)

DROPS = (170 / 210, 200 / 210)  # mmpose's, as fractions of the training
WARMUP_RATIO = 0.001
MAX_WARMUP = 0.05  # of a short training
LIGHT_AUGMENTATION = Augmentation(scale_factor=0.25, rotate_factor=20.0, half_body_prob=0.1)
DISTILLATION_AUGMENTATION = Augmentation(scale_factor=0.35, rotate_factor=30.0, half_body_prob=0.2)
WEAK_AUGMENTATION = Augmentation(scale_factor=0.15, rotate_factor=12.0, half_body_prob=0.0)
# By the names that the command line has; the first two are mmpose's.
AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType(
    {
        "coco": COCO_AUGMENTATION,
        "mpii": MPII_AUGMENTATION,
        "strong": DISTILLATION_AUGMENTATION,
        "light": LIGHT_AUGMENTATION,
        "weak": WEAK_AUGMENTATION,
    }
)


@dataclass(frozen=True)
class Recipe:
    """How a pose estimator is trained with Adam.

    Attributes:
        epochs: Number of epochs.
        batch_size: Instances per step.
        peak_learning_rate: Peak learning rate.
        schedule: "step" divides the rate by 10 twice near the end, "cosine" decreases it from the
            warm-up to the end.
        warmup_steps: Steps of the linear warm-up; at most a twentieth of a short training.
        sigma: Standard deviation of the targets in heatmap pixels; None for the codec's default.
        augmentation: Augmentation of the instances.
        backbone_lr_multiplier: Factor on the learning rate of all layers but the head's.
        ema_momentum: Momentum of the averages of the weights, which are what is saved; less in a
            short training, so that they reach back a twentieth of it. None for no averages.

    Raises:
        ValueError: If a number is out of range or there is no such schedule.
    """

    epochs: int
    batch_size: int
    peak_learning_rate: float
    schedule: Literal["step", "cosine"] = "step"
    warmup_steps: int = 500
    sigma: float | None = None
    augmentation: Augmentation = COCO_AUGMENTATION
    backbone_lr_multiplier: float = 1.0
    ema_momentum: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        check_integer("epochs", self.epochs)
        check_integer("batch_size", self.batch_size)
        check_positive("peak_learning_rate", self.peak_learning_rate)
        check_positive("backbone_lr_multiplier", self.backbone_lr_multiplier)
        check_choice("schedule", self.schedule, ("step", "cosine"))
        averaging_momentum(self.ema_momentum, 1)

    def averaging(self, steps: int) -> float | None:
        """Return the momentum of the averages in a training of a number of steps."""
        return averaging_momentum(self.ema_momentum, steps)

    def optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        """Return the optimizer with its schedule scaled to the length of the training."""
        steps = self.epochs * steps_per_epoch
        warmup = min(self.warmup_steps, round(MAX_WARMUP * steps))
        schedule = self._cosine if self.schedule == "cosine" else self._step
        averaging = self.averaging(steps)
        return BackboneAdam(
            schedule(steps, warmup),
            self.backbone_lr_multiplier,
            epsilon=1e-8,
            use_ema=averaging is not None,
            ema_momentum=averaging or 0.0,
        )

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
    """Return mmpose's recipe for ShuffleNets and MobileNetV2 on COCO.

    ::

        keras-shufflenet train pose shufflenet_v2_x1_0 --head deconv --recipe mmpose
            --annotations person_keypoints_train2017.json --image-dir train2017
            --output-dir runs/mmpose

    Expected: AP .60 on val2017 with a detector's boxes at 256 × 192. That is mmpose's own figure,
    with 8 GPUs of 64 instances each.

    Args:
        epochs: Number of epochs, by which the schedule is scaled.
        batch_size: Instances per step.
        peak_learning_rate: Peak learning rate.
    """
    return Recipe(epochs, batch_size, peak_learning_rate)


def mmpose_mpii(
    epochs: int = 210, batch_size: int = 64, peak_learning_rate: float = 5e-4
) -> Recipe:
    """Return mmpose's recipe for ShuffleNets and MobileNetV2 on MPII: no shifts, no half bodies.

    ::

        keras-shufflenet train pose shufflenet_v2_x1_0 --head deconv --recipe mmpose_mpii
            --input-size 256x256 --annotations mpii_train.json --image-dir images
            --val-annotations mpii_val.json --val-image-dir images
            --val-ground-truth mpii_gt_val.mat --output-dir runs/mpii

    Expected: PCKh .828, mmpose's own figure with 8 GPUs of 64 instances each.

    Args:
        epochs: Number of epochs, by which the schedule is scaled.
        batch_size: Instances per step.
        peak_learning_rate: Peak learning rate.
    """
    return Recipe(epochs, batch_size, peak_learning_rate, augmentation=MPII_AUGMENTATION)


def finetune(epochs: int = 12, batch_size: int = 16, peak_learning_rate: float = 1e-2) -> Recipe:
    """Return a recipe for an hour on two cores: few instances, a backbone pretrained on ImageNet.

    The learning rate of the backbone is a tenth of the head's; wide targets and light augmentation
    make the first steps easier. Half of the time at a smaller input size helps, too::

        keras-shufflenet train pose shufflenet_v2_x1_0 --head light --recipe finetune
            --annotations train.json --image-dir images --weights shufflenetv2_x1.0.pth
            --input-size 192x128 --epochs 11 --output-dir runs/small
        keras-shufflenet train pose shufflenet_v2_x1_0 --head light --recipe finetune
            --annotations train.json --image-dir images
            --initial-checkpoint runs/small/model.keras --input-size 256x192 --epochs 5
            --learning-rate 5e-3 --output-dir runs/light

    Expected: AP .18 with annotated boxes on 460 instances of val2017, after 54 minutes with 4 823
    instances of COCO and LSPET, see `results/coco.csv` and `results/training.csv`.

    Args:
        epochs: Number of epochs.
        batch_size: Instances per step.
        peak_learning_rate: Peak learning rate.
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


def distill(epochs: int = 40, batch_size: int = 32, peak_learning_rate: float = 2e-3) -> Recipe:
    """Return a recipe for a few hours on two cores with a trained teacher (`--teacher`).

    Targets of the published width, strong augmentation, and averages of the weights::

        keras-shufflenet train pose shufflenet_v2_x1_0 --head light --recipe distill
            --annotations train.json --image-dir images --weights shufflenetv2_x1.0.pth
            --teacher simplepose.onnx --teacher-weight 0.7 --output-dir runs/distill

    Args:
        epochs: Number of epochs.
        batch_size: Instances per step.
        peak_learning_rate: Peak learning rate.
    """
    return Recipe(
        epochs,
        batch_size,
        peak_learning_rate,
        schedule="cosine",
        warmup_steps=300,
        augmentation=DISTILLATION_AUGMENTATION,
        backbone_lr_multiplier=0.5,
        ema_momentum=0.999,
    )


def from_scratch(epochs: int = 5, batch_size: int = 16, peak_learning_rate: float = 2e-2) -> Recipe:
    """Return a recipe for minutes: a small network without pretrained weights, synthetic people.

    ::

        keras-shufflenet demo

    Args:
        epochs: Number of epochs.
        batch_size: Instances per step.
        peak_learning_rate: Peak learning rate.
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
    {recipe.__name__: recipe for recipe in (mmpose, mmpose_mpii, finetune, distill, from_scratch)}
)
