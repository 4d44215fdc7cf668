"""Training recipes of classifiers: those of the publishers of weights, and one to fine-tune."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from keras_shufflenet.data import ClassificationAugmentation
from keras_shufflenet.training.classification_recipe import ClassificationRecipe

MEGVII_AUGMENTATION = ClassificationAugmentation(color_jitter=0.4)
MEGVII_LARGE_AUGMENTATION = ClassificationAugmentation(color_jitter=0.4, lighting=0.1)
TORCHVISION_AUGMENTATION = ClassificationAugmentation(
    policy="trivial", erase_prob=0.1, mixup_alpha=0.2, cutmix_alpha=1.0, repeats=4
)
FINETUNE_AUGMENTATION = ClassificationAugmentation(area=(0.35, 1.0), color_jitter=0.2)
IMAGENET_IMAGES = 1_280_000  # of Megvii's pass over batch normalizations
MMCLS_WARMUP = 5000 / (300 * 1252)


def megvii(
    epochs: int = 240, batch_size: int = 1024, peak_learning_rate: float = 0.5
) -> ClassificationRecipe:
    """Return Megvii's recipe of ShuffleNet V1, V2 and the one-shot networks on ImageNet.

    ::

        keras-shufflenet train classify shufflenet_v2_x1_0 --weights none --recipe megvii
            --data imagenet/train --val-data imagenet/val --output-dir runs/megvii

    Expected: top-1 .694 on the validation set for ShuffleNetV2 x1.0, the publisher's own number
    (300 000 iterations). At another batch size the rate is changed in proportion.

    Args:
        epochs: Number of epochs, by which the schedule is scaled.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return ClassificationRecipe(
        epochs,
        batch_size,
        peak_learning_rate,
        schedule="linear",
        label_smoothing=0.1,
        statistics_images=IMAGENET_IMAGES,
        augmentation=MEGVII_AUGMENTATION,
    )


def megvii_plus(
    epochs: int = 360, batch_size: int = 1024, peak_learning_rate: float = 0.5
) -> ClassificationRecipe:
    """Return Megvii's recipe of ShuffleNetV2+: as `megvii`, 450 000 iterations.

    ::

        keras-shufflenet train classify shufflenet_v2_plus_small --weights none
            --recipe megvii_plus --data imagenet/train --val-data imagenet/val
            --output-dir runs/plus

    Expected: top-1 .741 for the small, .757 for the medium and .771 for the large network, the
    publisher's own numbers.

    Args:
        epochs: Number of epochs, by which the schedule is scaled.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return megvii(epochs, batch_size, peak_learning_rate)


def megvii_large(
    epochs: int = 120, batch_size: int = 256, peak_learning_rate: float = 0.25
) -> ClassificationRecipe:
    """Return Megvii's recipe of ShuffleNetV2.Large, with its three auxiliary classifiers.

    ::

        keras-shufflenet train classify shufflenet_v2_large --weights none --recipe megvii_large
            --data imagenet/train --val-data imagenet/val --output-dir runs/large

    Expected: top-1 .814, the publisher's own number (600 000 iterations).

    Args:
        epochs: Number of epochs, by which the schedule is scaled.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return ClassificationRecipe(
        epochs,
        batch_size,
        peak_learning_rate,
        schedule="linear",
        label_smoothing=0.1,
        augmentation=MEGVII_LARGE_AUGMENTATION,
    )


def torchvision(
    epochs: int = 600, batch_size: int = 1024, peak_learning_rate: float = 0.5
) -> ClassificationRecipe:
    """Return torchvision's recipe of ShuffleNetV2 x1.5 and x2.0, and of MobileNetV2's V2 weights.

    ::

        keras-shufflenet train classify shufflenet_v2_x1_5 --weights none --recipe torchvision
            --train-size 176x176 --data imagenet/train --val-data imagenet/val
            --output-dir runs/torchvision

    Expected: top-1 .730 for x1.5, .762 for x2.0 and .722 for MobileNetV2, torchvision's own
    numbers, with images resized to 232 and not 256 pixels.

    Args:
        epochs: Number of epochs, by which the schedule is scaled.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return ClassificationRecipe(
        epochs,
        batch_size,
        peak_learning_rate,
        weight_decay=2e-5,
        decayed="all_but_norms",
        warmup=5 / 600,
        by_epoch=True,
        label_smoothing=0.1,
        augmentation=TORCHVISION_AUGMENTATION,
    )


def torchvision_mobilenet(
    epochs: int = 300, batch_size: int = 256, peak_learning_rate: float = 0.045
) -> ClassificationRecipe:
    """Return torchvision's recipe of MobileNetV2's V1 weights.

    ::

        keras-shufflenet train classify mobilenet_v2_x1_0 --weights none
            --recipe torchvision_mobilenet --data imagenet/train --val-data imagenet/val
            --output-dir runs/mobilenet

    Expected: top-1 .719, torchvision's own number.

    Args:
        epochs: Number of epochs.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return ClassificationRecipe(
        epochs,
        batch_size,
        peak_learning_rate,
        decayed="all",
        schedule="step",
        gamma=0.98,
        by_epoch=True,
    )


def mmcls(
    epochs: int = 300, batch_size: int = 1024, peak_learning_rate: float = 0.5
) -> ClassificationRecipe:
    """Return mmcls' recipe of ShuffleNet V1 and V2; that of MobileNetV2 is torchvision's.

    ::

        keras-shufflenet train classify shufflenet_v2_x1_0 --weights none --recipe mmcls
            --data imagenet/train --val-data imagenet/val --output-dir runs/mmcls

    Expected: top-1 .696 for ShuffleNetV2 x1.0 and .681 for ShuffleNetV1 x1.0, mmcls' own numbers.

    Args:
        epochs: Number of epochs, by which the schedule is scaled.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return ClassificationRecipe(
        epochs,
        batch_size,
        peak_learning_rate,
        decayed="all_but_norms",
        schedule="poly",
        warmup=MMCLS_WARMUP,
        warmup_ratio=0.1,
        constant_warmup=True,
    )


def tonylins(
    epochs: int = 150, batch_size: int = 256, peak_learning_rate: float = 0.05
) -> ClassificationRecipe:
    """Return the recipe of github.com/tonylins/pytorch-mobilenet-v2.

    ::

        keras-shufflenet train classify mobilenet_v2_x1_0 --weights none --recipe tonylins
            --data imagenet/train --val-data imagenet/val --output-dir runs/tonylins

    Expected: top-1 .72, the publisher's own number.

    Args:
        epochs: Number of epochs, by which the schedule is scaled.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return ClassificationRecipe(
        epochs,
        batch_size,
        peak_learning_rate,
        decayed="all",
        augmentation=ClassificationAugmentation(area=(0.2, 1.0)),
    )


def finetune(
    epochs: int = 15, batch_size: int = 16, peak_learning_rate: float = 3e-4
) -> ClassificationRecipe:
    """Return a recipe for minutes: few images of one's own classes, a pretrained network.

    ::

        keras-shufflenet train classify shufflenet_v2_x1_0 --data photos --val-split 0.2
            --output-dir runs/photos

    The classifier is trained alone first, with batch normalizations in inference, so that its
    first gradients do not spoil the pretrained weights.

    Expected: accuracy .92 to .96, by the split, on 80 photographs of five kinds of objects that
    ImageNet has too, after 4 frozen and 6 further epochs with 180 others at 128 × 128.

    Args:
        epochs: Number of epochs after the frozen ones.
        batch_size: Images per step.
        peak_learning_rate: Peak learning rate.
    """
    return ClassificationRecipe(
        epochs,
        batch_size,
        peak_learning_rate,
        optimizer="adamw",
        weight_decay=0.05,
        warmup=0.05,
        label_smoothing=0.1,
        frozen_epochs=5,
        frozen_learning_rate=1e-2,
        augmentation=FINETUNE_AUGMENTATION,
    )


CLASSIFICATION_RECIPES: Mapping[str, Callable[..., ClassificationRecipe]] = MappingProxyType(
    {
        recipe.__name__: recipe
        for recipe in (
            *(finetune, megvii, megvii_plus, megvii_large, torchvision, torchvision_mobilenet),
            *(mmcls, tonylins),
        )
    }
)
