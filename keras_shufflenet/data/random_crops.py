"""The random crops that classifiers are trained on: torchvision's RandomResizedCrop and a flip."""

from math import log

import tensorflow as tf

from keras_shufflenet.data.decode import Window, decode
from keras_shufflenet.keypoints.boxes import Size

AREAS = (0.08, 1.0)
RATIOS = (3 / 4, 4 / 3)
_TRIALS = 10
DRAWS = 4 * _TRIALS + 1  # uniform numbers of one crop


def random_resized_crop(path: tf.Tensor, uniform: tf.Tensor, size: Size) -> tf.Tensor:
    """Cut a random part out of an image, resize it with antialiasing, mirror half of them.

    Args:
        path: a JPEG, PNG, GIF or BMP file.
        uniform: (`DRAWS`,) numbers from [0, 1).
        size: (height, width) of the crop.

    Returns:
        (height, width, 3) float32 RGB 0..255.
    """
    contents = tf.io.read_file(path)
    image_size = _image_size(contents)
    box = random_box(image_size, tf.reshape(uniform[1:], [4, _TRIALS]))
    image = decode(contents, Window(box, tf.constant(0), image_size))
    image = tf.image.resize(image, size, "bilinear", antialias=True)
    return tf.cond(uniform[0] < 0.5, lambda: image[:, ::-1], lambda: image)


def random_box(image_size: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Draw a box whose area and aspect ratio vary; the first of ten that fits counts.

    Args:
        image_size: (2,) int32 height and width.
        uniform: (4, 10) numbers from [0, 1): for area, ratio, top and left.

    Returns:
        (4,) int32 top, left, height and width; if none fits, the largest central box with a ratio
        within the limits.
    """
    image = tf.cast(image_size, uniform.dtype)
    area = tf.reduce_prod(image) * (AREAS[0] + (AREAS[1] - AREAS[0]) * uniform[0])
    ratio = tf.exp(log(RATIOS[0]) + (log(RATIOS[1]) - log(RATIOS[0])) * uniform[1])
    size = tf.round(tf.sqrt(tf.stack([area / ratio, area * ratio], axis=-1)))
    corner = tf.floor(tf.transpose(uniform[2:]) * (image - size + 1))
    fits = tf.reduce_all((size > 0) & (size <= image), axis=-1)
    boxes = tf.concat([corner, size], axis=-1)
    box = tf.where(tf.reduce_any(fits), boxes[tf.argmax(fits)], _central_box(image))
    return tf.cast(box, tf.int32)


def _central_box(image: tf.Tensor) -> tf.Tensor:
    height, width = image[0], image[1]
    size = tf.minimum(image, tf.round(tf.stack([width / RATIOS[0], height * RATIOS[1]])))
    return tf.concat([tf.floor((image - size) / 2), size], axis=0)


def _image_size(contents: tf.Tensor) -> tf.Tensor:
    return tf.cond(
        tf.io.is_jpeg(contents),
        lambda: tf.io.extract_jpeg_shape(contents)[:2],
        lambda: tf.shape(tf.io.decode_image(contents, expand_animations=False))[:2],
    )
