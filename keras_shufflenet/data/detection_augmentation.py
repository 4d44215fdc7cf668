"""Augmentation of detection: random views of whole images, and random colors.

Views are transformed as numbers here; `decode` reads their pixels in a single warp. B is the batch
size, M the number of boxes. Source: https://github.com/RangiLyu/nanodet, commit be9b4a9,
`nanodet/data/transform`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from keras_shufflenet._types import Size
from keras_shufflenet.data.geometry import transform_points
from keras_shufflenet.data.pipeline import uniform

Interval = tuple[float, float]


@dataclass(frozen=True)
class DetectionAugmentation:
    """Augmentation of images with boxes. The defaults are those of NanoDet-Plus.

    Attributes:
        scale: Smallest and largest factor on the size of the image.
        stretch: Smallest and largest factor on the width, and on the height.
        translate: Maximum shift, as a fraction of the image's width and height.
        flip_prob: Probability of flipping the image horizontally.
        brightness: Maximum number that is added to the channels, as a fraction of 255.
        contrast: Smallest and largest factor on the channels.
        saturation: Smallest and largest factor on the saturation of HSV colors.
        color_prob: Probability of each of brightness, contrast and saturation.
        min_box_size: Boxes of which less than this width or height in pixels is inside of the
            input are left out.
    """

    scale: Interval = (0.6, 1.4)
    stretch: Interval = (0.8, 1.2)
    translate: float = 0.2
    flip_prob: float = 0.5
    brightness: float = 0.2
    contrast: Interval = (0.6, 1.4)
    saturation: Interval = (0.5, 1.2)
    color_prob: float = 0.5
    min_box_size: float = 1.0

    def __post_init__(self) -> None:
        """Check the factors on sizes.

        Raises:
            ValueError: If a factor is not positive, or the smallest is above the largest.
        """
        for name in ("scale", "stretch"):
            low, high = interval = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(
                    f"`{name}` must be (smallest, largest), both positive. "
                    f"Received: {name}={interval!r}"
                )


NANODET_AUGMENTATION = DetectionAugmentation(stretch=(1.0, 1.0))
NANODET_PLUS_AUGMENTATION = DetectionAugmentation()


class Draws(NamedTuple):
    """Random numbers (B,), or () for one image, uniform in [0, 1)."""

    scale: tf.Tensor
    stretch_x: tf.Tensor
    stretch_y: tf.Tensor
    shift_x: tf.Tensor
    shift_y: tf.Tensor
    flip_gate: tf.Tensor
    brightness_gate: tf.Tensor
    brightness: tf.Tensor
    contrast_gate: tf.Tensor
    contrast: tf.Tensor
    saturation_gate: tf.Tensor
    saturation: tf.Tensor


def uniform_draws(seed: int, number: tf.Tensor) -> tf.Tensor:
    """Return the uniform random numbers (12,) float64 of a sample."""
    return uniform(number, len(Draws._fields), seed)


def as_draws(uniform: tf.Tensor) -> Draws:
    """Convert uniform random numbers (..., 12) to draws."""
    return Draws(*tf.unstack(uniform, axis=-1))


def view_matrix(
    draws: Draws, augmentation: DetectionAugmentation, image_size: tf.Tensor
) -> tf.Tensor:
    """Return matrices (B, 2, 3) that scale, stretch and shift images around their centers.

    Args:
        draws: (B,) random numbers.
        augmentation: The ranges.
        image_size: (B, 2) float64 heights and widths in pixels.
    """
    size = image_size[:, ::-1]
    stretch = tf.stack([draws.stretch_x, draws.stretch_y], axis=-1)
    factor = _between(draws.scale, augmentation.scale)[:, None] * _between(
        stretch, augmentation.stretch
    )
    shift = tf.stack([draws.shift_x, draws.shift_y], axis=-1)
    center = _between(shift, (0.5 - augmentation.translate, 0.5 + augmentation.translate)) * size
    return tf.concat([tf.linalg.diag(factor), (center - factor * size / 2)[..., None]], axis=-1)


def transform_boxes(
    boxes: tf.Tensor, labels: tf.Tensor, matrix: tf.Tensor, size: Size, min_size: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Transform boxes, clip them to the input, and leave out those of which too little remains.

    Args:
        boxes: (B, M, 4) float64 left, top, right and bottom.
        labels: (B, M) int32; -1 for padding.
        matrix: (B, 2, 3) float64, from points of the image to points of the input.
        size: (height, width) of the input in pixels.
        min_size: Minimum width and height of the clipped boxes in pixels.

    Returns:
        Boxes (B, M, 4) float32 and labels (B, M): the remaining ones in their order, then padding
        with boxes of 0 and labels of -1.
    """
    points = tf.reshape(boxes, [tf.shape(boxes)[0], -1, 2])
    corners = tf.reshape(transform_points(points, matrix), tf.concat([tf.shape(labels), [2, 2]], 0))
    limit = tf.constant([size[1], size[0]], tf.float64)
    corners = tf.clip_by_value(corners, 0, limit)
    low, high = tf.reduce_min(corners, axis=2), tf.reduce_max(corners, axis=2)
    is_kept = (labels >= 0) & tf.reduce_all(high - low >= min_size, axis=-1)
    order = tf.argsort(tf.cast(~is_kept, tf.int32), stable=True)
    moved = tf.where(is_kept[..., None], tf.concat([low, high], axis=-1), 0.0)
    return (
        tf.cast(tf.gather(moved, order, batch_dims=1), tf.float32),
        tf.gather(tf.where(is_kept, labels, -1), order, batch_dims=1),
    )


def jitter_colors(image: tf.Tensor, draws: Draws, augmentation: DetectionAugmentation) -> tf.Tensor:
    """Change brightness, contrast and saturation of an image (H, W, 3) float32 RGB 0..255.

    As in the reference, the channels may then lie below 0 or above 255.
    """
    limit = augmentation.brightness
    added = 255 * _between(draws.brightness, (-limit, limit))
    image += _gated(draws.brightness_gate, added, 0, augmentation)
    factor = _between(draws.contrast, augmentation.contrast)
    image *= _gated(draws.contrast_gate, factor, 1, augmentation)
    # In HSV the largest channel stays, and the others keep their distances to it in proportion.
    value = tf.reduce_max(image, axis=-1, keepdims=True)
    factor = _between(draws.saturation, augmentation.saturation)
    return value - (value - image) * _gated(draws.saturation_gate, factor, 1, augmentation)


def _gated(
    gate: tf.Tensor, number: tf.Tensor, neutral: float, augmentation: DetectionAugmentation
) -> tf.Tensor:
    chosen = tf.where(gate < augmentation.color_prob, number, tf.cast(neutral, number.dtype))
    return tf.cast(chosen, tf.float32)


def _between(uniform: tf.Tensor, interval: Interval) -> tf.Tensor:
    low, high = interval
    return low + (high - low) * uniform
