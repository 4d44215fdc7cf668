"""Augmentation of images for classifiers, as torchvision and Megvii have it.

Random numbers come from outside: all that is random is a function of the seed and the number of
the sample (of the step, for what mixes images), so that a training can be resumed. The layers of
Keras of these names draw from a state of their own, once for a whole batch.
"""

from dataclasses import dataclass
from itertools import permutations
from math import log
from typing import Literal

import tensorflow as tf

from keras_shufflenet._checks import check_choice, check_fraction, check_integer
from keras_shufflenet.data import image_operations as operations
from keras_shufflenet.data.pipeline import uniform

ERASED_AREA = (0.02, 0.33)  # of the image
ERASED_RATIO = (0.3, 3.3)
FILL = (123.675, 116.28, 103.53)  # the mean color of ImageNet
TRIALS = 10
BINS = 30  # magnitudes of the policies are multiples of a thirtieth
RAND_OPERATIONS, RAND_MAGNITUDE = 2, 9
JITTER, LIGHTING, POLICY, ERASING = 4, 3, 6, 1 + 4 * TRIALS  # random numbers of each
DRAWS = JITTER + LIGHTING + POLICY + ERASING
_STREAM = 1 << 40  # added to the seed: other numbers than those of the crops


@dataclass(frozen=True)
class ClassificationAugmentation:
    """Augmentation of classifiers. The defaults are crops and flips alone.

    Attributes:
        area: Smallest and largest area of the random crop, as fractions of the image.
        flip_prob: Probability of flipping the image horizontally.
        color_jitter: Maximum relative change of brightness, contrast and saturation.
        lighting: Standard deviation of the amounts of the principal components of ImageNet's
            colors that are added (AlexNet's).
        policy: "trivial" (TrivialAugmentWide: one random operation of random strength), "rand"
            (RandAugment: two operations of magnitude 9 of 30), or None.
        erase_prob: Probability of erasing a random box.
        mixup_alpha: Parameter of the beta distribution of MixUp's weight; 0 for no MixUp.
        cutmix_alpha: The same of CutMix. With both, every batch has one of them at random.
        repeats: How many times an image is repeated, augmented anew each time, within a batch; an
            epoch then has a fraction of the images (repeated augmentation).

    Raises:
        ValueError: If a number is out of range, or there is no such policy.
    """

    area: tuple[float, float] = (0.08, 1.0)
    flip_prob: float = 0.5
    color_jitter: float = 0.0
    lighting: float = 0.0
    policy: Literal["trivial", "rand"] | None = None
    erase_prob: float = 0.0
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    repeats: int = 1

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("flip_prob", "color_jitter", "lighting", "erase_prob"):
            check_fraction(name, getattr(self, name))
        for name in ("mixup_alpha", "cutmix_alpha"):
            check_fraction(name, getattr(self, name))
        check_choice("policy", self.policy, (None, "trivial", "rand"))
        check_integer("repeats", self.repeats)
        if len(self.area) != 2 or not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(
                "`area` must be two fractions above 0, the smaller one first. "
                f"Received: area={self.area!r}"
            )

    @property
    def mixes(self) -> bool:
        """Whether images of a batch are mixed, so that their classes are too."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0


def augmentation_draws(number: tf.Tensor, seed: int) -> tf.Tensor:
    """Return the random numbers (`DRAWS`,) float32 of sample `number` (int64 scalar)."""
    return tf.cast(uniform(number, DRAWS, seed + _STREAM), tf.float32)


def augment_image(
    image: tf.Tensor, draws: tf.Tensor, augmentation: ClassificationAugmentation
) -> tf.Tensor:
    """Apply what follows crop and flip: policy, colors, erasing.

    Args:
        image: (H, W, 3) float32 RGB 0..255.
        draws: (`DRAWS`,) random numbers.
        augmentation: What is applied.
    """
    jitter, lighting, policy, erasing = tf.split(draws, [JITTER, LIGHTING, POLICY, ERASING])
    if augmentation.policy is not None:
        image = _apply_policy(image, policy, augmentation.policy)
    if augmentation.color_jitter:
        image = _jitter(image, jitter, augmentation.color_jitter)
    if augmentation.lighting:
        amounts = augmentation.lighting * tf.math.ndtri(tf.clip_by_value(lighting, 1e-6, 1 - 1e-6))
        image = operations.add_lighting(image, amounts)
    if augmentation.erase_prob:
        box = _erased_box(tf.shape(image)[:2], tf.reshape(erasing[1:], [4, TRIALS]))
        is_erased = _inside(tf.shape(image)[:2], box) & (erasing[0] < augmentation.erase_prob)
        image = tf.where(is_erased[..., None], tf.constant(FILL), image)
    return image


def _jitter(image: tf.Tensor, draws: tf.Tensor, strength: float) -> tf.Tensor:
    """Change brightness, contrast and saturation in a random order, as torchvision does."""
    changes = (operations.brightness, operations.contrast, operations.saturation)
    orders = list(permutations(range(len(changes))))
    order = tf.constant(orders)[_index(draws[3], len(orders))]
    factors = 1 + strength * (2 * draws[:3] - 1)

    for position in range(len(changes)):
        kind = order[position]
        branches = [
            lambda change=change, n=n, x=image: change(x, factors[n])
            for n, change in enumerate(changes)
        ]
        image = tf.ensure_shape(tf.switch_case(kind, branches), image.shape)
    return image


def _apply_policy(image: tf.Tensor, draws: tf.Tensor, policy: str) -> tf.Tensor:
    if policy == "trivial":
        strength = tf.floor(draws[1] * (BINS + 1)) / BINS
        return _operate(image, draws[0], strength, draws[2], _WIDE)
    for n in range(RAND_OPERATIONS):
        kind, _, sign = tf.unstack(draws[3 * n : 3 * n + 3])
        image = _operate(image, kind, tf.constant(RAND_MAGNITUDE / BINS), sign, _RAND)
    return image


@dataclass(frozen=True)
class _Ranges:
    """The largest amounts of a policy."""

    shear: float
    shift: float  # pixels, or with `is_relative` a fraction of the image
    is_relative: bool
    degrees: float
    change: float  # of brightness, saturation, contrast and sharpness
    dropped_bits: float


_WIDE = _Ranges(0.99, 32.0, False, 135.0, 0.99, 6.0)  # torchvision's TrivialAugmentWide
_RAND = _Ranges(0.3, 150.0 / 331.0, True, 30.0, 0.9, 4.0)  # torchvision's RandAugment


def _operate(
    image: tf.Tensor, kind: tf.Tensor, strength: tf.Tensor, sign: tf.Tensor, ranges: _Ranges
) -> tf.Tensor:
    """Apply one of fourteen operations, of a strength from 0 to 1."""
    signed = tf.where(sign < 0.5, -strength, strength)
    height, width = tf.unstack(tf.cast(tf.shape(image)[:2], tf.float32))
    scale = (width, height) if ranges.is_relative else (1.0, 1.0)
    shift_x, shift_y = (tf.cast(tf.cast(signed * ranges.shift * s, tf.int32), tf.float32)
                        for s in scale)  # fmt: skip
    shear, change = signed * ranges.shear, 1.0 + signed * ranges.change
    one, zero = tf.ones([]), tf.zeros([])

    def moved(x: tuple[tf.Tensor, ...], y: tuple[tf.Tensor, ...]) -> tf.Tensor:
        return operations.affine(image, tf.stack([tf.stack(x), tf.stack(y)]))

    branches = [
        lambda: image,
        lambda: moved((one, shear, zero), (zero, one, zero)),
        lambda: moved((one, zero, zero), (shear, one, zero)),
        lambda: moved((one, zero, -shift_x), (zero, one, zero)),
        lambda: moved((one, zero, zero), (zero, one, -shift_y)),
        lambda: operations.rotate(image, signed * ranges.degrees),
        lambda: operations.brightness(image, change),
        lambda: operations.saturation(image, change),
        lambda: operations.contrast(image, change),
        lambda: operations.sharpness(image, change),
        lambda: operations.posterize(image, 8.0 - tf.round(strength * ranges.dropped_bits)),
        lambda: operations.solarize(image, 255.0 * (1.0 - strength)),
        lambda: operations.auto_contrast(image),
        lambda: operations.equalize(image),
    ]
    return tf.ensure_shape(tf.switch_case(_index(kind, len(branches)), branches), image.shape)


def _index(draw: tf.Tensor, count: int) -> tf.Tensor:
    return tf.minimum(tf.cast(draw * count, tf.int32), count - 1)


def _erased_box(size: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Return top, left, height and width of the first of ten boxes that fits; of none, zeros."""
    image = tf.cast(size, tf.float32)
    low, high = ERASED_AREA
    area = tf.reduce_prod(image) * (low + (high - low) * draws[0])
    low, high = (log(ratio) for ratio in ERASED_RATIO)
    ratio = tf.exp(low + (high - low) * draws[1])
    sides = tf.round(tf.sqrt(tf.stack([area * ratio, area / ratio], axis=-1)))
    corner = tf.floor(tf.transpose(draws[2:]) * (image - sides + 1))
    fits = tf.reduce_all(sides < image, axis=-1)
    boxes = tf.concat([corner, sides], axis=-1)
    return tf.where(tf.reduce_any(fits), boxes[tf.argmax(fits)], tf.zeros([4]))


def _inside(size: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """Return which pixels (H, W) are inside of a box (top, left, height, width)."""
    y, x = (tf.range(tf.cast(side, tf.float32)) for side in tf.unstack(size))
    rows = (y >= box[0]) & (y < box[0] + box[2])
    columns = (x >= box[1]) & (x < box[1] + box[3])
    return rows[:, None] & columns[None]
