"""Random crops of images for the training of classifiers: torchvision's RandomResizedCrop."""

from math import log

import tensorflow as tf

from keras_shufflenet._types import Size
from keras_shufflenet.data.classification_augmentation import ClassificationAugmentation
from keras_shufflenet.data.decode import Window, decode_jpeg, decode_other, is_plain

CROPS_AND_FLIPS = ClassificationAugmentation()
RATIO_RANGE = (3 / 4, 4 / 3)  # of RandomResizedCrop of torchvision
_TRIALS = 10
DRAWS = 4 * _TRIALS + 1  # random numbers of a crop


def random_resized_crop(
    name: tf.Tensor,
    contents: tf.Tensor,
    draws: tf.Tensor,
    size: Size,
    augmentation: ClassificationAugmentation = CROPS_AND_FLIPS,
) -> tf.Tensor:
    """Crop a random box of an image, resize it with antialiasing, and flip half of the images.

    torchvision's RandomResizedCrop and RandomHorizontalFlip.

    Args:
        name: Name of the image file, for messages.
        contents: The bytes of the file, see `image_files`.
        draws: (`DRAWS`,) random numbers in [0, 1).
        size: Crop size (height, width).
        augmentation: Range of the area and probability of the flip.

    Returns:
        (height, width, 3) float32 RGB 0..255.
    """
    numbers, area = tf.reshape(draws[1:], [4, _TRIALS]), augmentation.area

    def crop_jpeg() -> tf.Tensor:
        size = tf.io.extract_jpeg_shape(contents)[:2]
        return decode_jpeg(contents, Window(random_box(size, numbers, area), tf.constant(0), size))

    def crop_other() -> tf.Tensor:
        image = decode_other(name, contents, tf.zeros(2, tf.int32))
        box = random_box(tf.shape(image)[:2], numbers, area)
        top, left, height, width = tf.unstack(box)
        return image[top : top + height, left : left + width]

    return _flipped_and_resized(
        tf.cond(is_plain(contents), crop_jpeg, crop_other), draws, size, augmentation
    )


def random_crop_of_image(
    image: tf.Tensor,
    draws: tf.Tensor,
    size: Size,
    augmentation: ClassificationAugmentation = CROPS_AND_FLIPS,
) -> tf.Tensor:
    """Crop a random box of decoded pixels, as `random_resized_crop` does of a file.

    Args:
        image: (height, width, 3) uint8 RGB.
        draws: As for `random_resized_crop`.
        size: As there.
        augmentation: As there.

    Returns:
        (height, width, 3) float32 RGB 0..255.
    """
    box = random_box(tf.shape(image)[:2], tf.reshape(draws[1:], [4, _TRIALS]), augmentation.area)
    top, left, height, width = tf.unstack(box)
    crop = image[top : top + height, left : left + width]
    return _flipped_and_resized(crop, draws, size, augmentation)


def _flipped_and_resized(
    crop: tf.Tensor, draws: tf.Tensor, size: Size, augmentation: ClassificationAugmentation
) -> tf.Tensor:
    # Of bytes with three channels and by this operator, a flip takes a tenth of its time.
    is_flipped = draws[0] < augmentation.flip_prob
    crop = tf.cond(is_flipped, lambda: tf.reverse(crop, [1]), lambda: crop)
    return tf.cond(  # where the crop is enlarged, antialiasing changes nothing but the time
        tf.reduce_all(tf.shape(crop)[:2] <= size),
        lambda: tf.image.resize(crop, size, "bilinear"),
        lambda: tf.image.resize(crop, size, "bilinear", antialias=True),
    )


def random_box(
    image_size: tf.Tensor,
    draws: tf.Tensor,
    area_range: tuple[float, float] = CROPS_AND_FLIPS.area,
) -> tf.Tensor:
    """Return a box of random area and aspect ratio: the first of ten that fits the image.

    Args:
        image_size: (2,) int32 height and width.
        draws: (4, 10) random numbers in [0, 1) for area, aspect ratio, top and left.
        area_range: Smallest and largest area as fractions of the image.

    Returns:
        (4,) int32 top, left, height and width; if none fits, the largest center box whose aspect
        ratio is in `RATIO_RANGE`.
    """
    image = tf.cast(image_size, draws.dtype)
    area = tf.reduce_prod(image) * (area_range[0] + (area_range[1] - area_range[0]) * draws[0])
    ratio = tf.exp(log(RATIO_RANGE[0]) + (log(RATIO_RANGE[1]) - log(RATIO_RANGE[0])) * draws[1])
    size = tf.round(tf.sqrt(tf.stack([area / ratio, area * ratio], axis=-1)))
    corner = tf.floor(tf.transpose(draws[2:]) * (image - size + 1))
    fits = tf.reduce_all((size > 0) & (size <= image), axis=-1)
    boxes = tf.concat([corner, size], axis=-1)
    box = tf.where(tf.reduce_any(fits), boxes[tf.argmax(fits)], _center_box(image))
    return tf.cast(box, tf.int32)


def _center_box(image: tf.Tensor) -> tf.Tensor:
    height, width = image[0], image[1]
    size = tf.minimum(image, tf.round(tf.stack([width / RATIO_RANGE[0], height * RATIO_RANGE[1]])))
    return tf.concat([tf.floor((image - size) / 2), size], axis=0)
