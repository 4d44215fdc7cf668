"""Training recipes of detectors: epochs, optimizer, schedule, averaging, augmentation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import keras

from keras_shufflenet._checks import check_bool, check_choice, check_integer, check_positive
from keras_shufflenet.data import (
    NANODET_AUGMENTATION,
    NANODET_PLUS_AUGMENTATION,
    DetectionAugmentation,
)
from keras_shufflenet.training.optimizers import AdamW, WarmupMultiStepDecay, averaging_momentum
from keras_shufflenet.training.recipes import MAX_WARMUP

DROPS = (240 / 280, 260 / 280, 275 / 280)  # of the steps, as fractions of the training
CLIP_NORM = 35.0  # of the gradient of all weights
MOMENTUM = 0.9
ATTACHED = 10 / 300  # share of the training in which the guidance module trains the detector
RETINANET_DROPS = (60 / 90, 80 / 90)
FLIPS = DetectionAugmentation((1.0, 1.0), (1.0, 1.0), 0.0, color_prob=0.0)
LIGHT_AUGMENTATION = DetectionAugmentation(scale=(0.8, 1.2), stretch=(0.9, 1.1), translate=0.1)


@dataclass(frozen=True)
class DetectionRecipe:
    """How a detector is trained.

    Attributes:
        epochs: Number of epochs.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
        optimizer: "adamw", or "sgd" with a momentum of 0.9.
        weight_decay: Share of the weights that a step of learning rate 1 subtracts.
        schedule: "cosine" decreases the rate to `final_ratio`, "step" divides it by 10 at each
            of the `drops`.
        drops: For "step", fractions of the training.
        warmup_steps: Steps of the linear warm-up; at most a twentieth of a short training.
        warmup_ratio: Rate of the first step as a share of the peak.
        final_ratio: Rate at the end as a share of the peak, for "cosine".
        ema_momentum: Momentum of the averages of the weights, which are what is saved; less in a
            short training, so that they reach back a twentieth of it. None for no averages.
        guidance: Whether detectors with an assign guidance module, NanoDet-Plus, are trained with
            it. It takes most of the time of a step.
        precise_statistics: Whether the statistics of batch normalizations are those of images
            without augmentation, in each validation and at the end; a short training needs it.
        augmentation: Augmentation of the images.

    Raises:
        ValueError: If a number is out of range, or there is no such optimizer or schedule.
    """

    epochs: int
    batch_size: int
    peak_learning_rate: float
    optimizer: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = 0.05
    schedule: Literal["cosine", "step"] = "cosine"
    drops: tuple[float, ...] = DROPS
    warmup_steps: int = 500
    warmup_ratio: float = 1e-4
    final_ratio: float = 0.05
    ema_momentum: float | None = 0.9998
    guidance: bool = True
    precise_statistics: bool = False
    augmentation: DetectionAugmentation = NANODET_PLUS_AUGMENTATION

    def __post_init__(self) -> None:
        """Check the values."""
        check_integer("epochs", self.epochs)
        check_integer("batch_size", self.batch_size)
        check_integer("warmup_steps", self.warmup_steps, minimum=0)
        check_positive("peak_learning_rate", self.peak_learning_rate)
        check_choice("optimizer", self.optimizer, ("adamw", "sgd"))
        check_choice("schedule", self.schedule, ("cosine", "step"))
        check_bool("guidance", self.guidance)
        check_bool("precise_statistics", self.precise_statistics)
        averaging_momentum(self.ema_momentum, 1)

    def averaging(self, steps: int) -> float | None:
        """Return the momentum of the averages in a training of a number of steps."""
        return averaging_momentum(self.ema_momentum, steps)

    def make_optimizer(self, steps: int) -> keras.optimizers.Optimizer:
        """Return the optimizer with its schedule scaled to a number of steps."""
        warmup = min(self.warmup_steps, round(MAX_WARMUP * steps))
        rate = (self._cosine if self.schedule == "cosine" else self._step)(steps, warmup)
        averaging = self.averaging(steps)
        arguments = {
            "weight_decay": self.weight_decay,
            "global_clipnorm": CLIP_NORM,
            "use_ema": averaging is not None,
            "ema_momentum": averaging or 0.0,
        }
        if self.optimizer == "adamw":
            return AdamW(rate, epsilon=1e-8, **arguments)
        return keras.optimizers.SGD(rate, momentum=MOMENTUM, **arguments)

    def _step(self, steps: int, warmup: int) -> WarmupMultiStepDecay:
        boundaries = sorted({max(1, round(share * steps)) for share in self.drops})
        return WarmupMultiStepDecay(
            self.peak_learning_rate,
            boundaries,
            warmup_steps=warmup,
            warmup_ratio=self.warmup_ratio,
        )

    def _cosine(self, steps: int, warmup: int) -> keras.optimizers.schedules.CosineDecay:
        return keras.optimizers.schedules.CosineDecay(
            self.peak_learning_rate * self.warmup_ratio,
            decay_steps=max(1, steps - warmup),
            alpha=self.final_ratio,
            warmup_target=self.peak_learning_rate,
            warmup_steps=warmup,
        )


def nanodet(
    epochs: int = 280, batch_size: int = 192, peak_learning_rate: float = 0.14
) -> DetectionRecipe:
    """Return the publisher's recipe for NanoDet on COCO.

    ::

        keras-shufflenet train detect nanodet_m --recipe nanodet
            --annotations instances_train2017.json --image-dir train2017 --output-dir runs/nanodet

    Expected: AP .206 on val2017 at 320 × 320, the publisher's own number. The weight decay is its
    1e-4, which there goes through the momentum.

    Args:
        epochs: Number of epochs, by which the schedule is scaled.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return DetectionRecipe(
        epochs,
        batch_size,
        peak_learning_rate,
        optimizer="sgd",
        weight_decay=1e-4 / (1 - MOMENTUM),
        schedule="step",
        warmup_steps=300,
        warmup_ratio=0.1,
        ema_momentum=None,
        augmentation=NANODET_AUGMENTATION,
    )


def nanodet_plus(
    epochs: int = 300, batch_size: int = 96, peak_learning_rate: float = 1e-3
) -> DetectionRecipe:
    """Return the publisher's recipe for NanoDet-Plus on COCO.

    ::

        keras-shufflenet train detect nanodet_plus_m --recipe nanodet_plus
            --annotations instances_train2017.json --image-dir train2017 --output-dir runs/plus

    Expected: AP .270 on val2017 at 320 × 320, the publisher's own number.

    Args:
        epochs: Number of epochs, by which the schedule is scaled.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return DetectionRecipe(epochs, batch_size, peak_learning_rate)


def retinanet(
    epochs: int = 12, batch_size: int = 16, peak_learning_rate: float = 1e-2
) -> DetectionRecipe:
    """Return DetNAS' recipe for RetinaNet on COCO.

    ::

        keras-shufflenet train detect retinanet_detnas_coco_retinanet_300m --recipe retinanet
            --annotations instances_train2017.json --image-dir train2017 --output-dir runs/retinanet

    Expected: AP .333 on val2017, the publisher's own number, with images of 800 to 1333 pixels in
    the place of 512. The weight decay is its 1e-4, which there goes through the momentum.

    Args:
        epochs: Number of epochs, by which the schedule is scaled.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return DetectionRecipe(
        epochs,
        batch_size,
        peak_learning_rate,
        optimizer="sgd",
        weight_decay=1e-4 / (1 - MOMENTUM),
        schedule="step",
        drops=RETINANET_DROPS,
        warmup_steps=500,
        warmup_ratio=1 / 3,
        ema_momentum=None,
        augmentation=FLIPS,
    )


def finetune(
    epochs: int = 12, batch_size: int = 16, peak_learning_rate: float = 1e-4
) -> DetectionRecipe:
    """Return a recipe for minutes: a detector trained on COCO, a few images with one's own classes.

    ::

        keras-shufflenet train detect nanodet_plus_m --initial-checkpoint coco --recipe finetune
            --annotations train.json --image-dir images --output-dir runs/detector

    The learning rate is low, the augmentation light, and the predictions of a trained detector
    need no assign guidance module. From an ImageNet backbone it takes a rate of 1e-3.

    Expected: persons, AP .43 on 77 images after 4 epochs, as before, and .13 after 18 epochs
    from an ImageNet backbone with 316 images, see `results/detection_training.csv`.

    Args:
        epochs: Number of epochs.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return DetectionRecipe(
        epochs,
        batch_size,
        peak_learning_rate,
        warmup_steps=100,
        guidance=False,
        precise_statistics=True,
        augmentation=LIGHT_AUGMENTATION,
    )


DETECTION_RECIPES: Mapping[str, Callable[..., DetectionRecipe]] = MappingProxyType(
    {recipe.__name__: recipe for recipe in (nanodet, nanodet_plus, retinanet, finetune)}
)
