"""Operations on single images for augmentation, as Pillow and torchvision define them.

Images are (H, W, 3) float32 RGB 0..255; so are the results. Nothing is random here.
"""

import tensorflow as tf

from keras_shufflenet.data.pipeline import to_gray

_HISTOGRAM = 256
_SMOOTH = ((1, 1, 1), (1, 5, 1), (1, 1, 1))  # Pillow's SMOOTH filter, times 13
# Principal components of the colors of ImageNet: Krizhevsky et al., 2012, section 4.1; RGB.
_EIGENVALUES = (0.2175, 0.0188, 0.0045)
_EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


def blend(other: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Return `other` for a factor of 0, the image for 1, and what lies between or beyond."""
    return tf.clip_by_value(other + factor * (image - other), 0.0, 255.0)


def brightness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiply by a factor."""
    return blend(tf.zeros_like(image), image, factor)


def contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiply the distance to the mean luma, which is rounded to an integer, by a factor."""
    mean = tf.floor(tf.reduce_mean(tf.round(to_gray(image))) + 0.5)
    return blend(tf.fill(tf.shape(image), mean), image, factor)


def saturation(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiply the distance to the gray image by a factor."""
    return blend(tf.repeat(to_gray(image), 3, axis=-1), image, factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiply the distance to the smoothed image by a factor; its outermost pixels stay."""
    smooth = tf.constant(_SMOOTH, tf.float32) / 13
    kernel = tf.tile(smooth[:, :, None, None], [1, 1, 3, 1])
    inner = tf.nn.depthwise_conv2d(image[None], kernel, [1, 1, 1, 1], "VALID")[0]
    is_inner = tf.pad(tf.ones_like(inner), [[1, 1], [1, 1], [0, 0]]) > 0
    return blend(tf.where(is_inner, tf.pad(inner, [[1, 1], [1, 1], [0, 0]]), image), image, factor)


def posterize(image: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keep the highest bits, 1 to 8, of every value."""
    step = tf.pow(2.0, 8.0 - tf.cast(bits, tf.float32))
    return tf.floor(tf.round(image) / step) * step


def solarize(image: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Invert the values from a threshold on."""
    return tf.where(tf.round(image) < threshold, image, 255.0 - image)


def auto_contrast(image: tf.Tensor) -> tf.Tensor:
    """Stretch each channel to 0..255; a channel of one value stays."""
    low = tf.reduce_min(image, axis=(0, 1))
    high = tf.reduce_max(image, axis=(0, 1))
    stretched = tf.minimum((image - low) * tf.math.divide_no_nan(255.0, high - low), 255.0)
    return tf.where(high > low, stretched, image)


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Give each channel a flat histogram."""
    values = tf.cast(tf.round(image), tf.int32) + _HISTOGRAM * tf.range(3)
    counts = tf.math.bincount(
        tf.reshape(values, [-1]), minlength=3 * _HISTOGRAM, maxlength=3 * _HISTOGRAM
    )
    counts = tf.reshape(counts, [3, _HISTOGRAM])
    highest = tf.reduce_max(tf.where(counts > 0, tf.range(_HISTOGRAM), 0), axis=1, keepdims=True)
    last = tf.gather(counts, highest, batch_dims=1)
    step = (tf.reduce_sum(counts, axis=1, keepdims=True) - last) // 255
    table = (step // 2 + tf.cumsum(counts, axis=1, exclusive=True)) // tf.maximum(step, 1)
    table = tf.where(step == 0, tf.range(_HISTOGRAM), tf.minimum(table, 255))
    return tf.cast(tf.gather(tf.reshape(table, [-1]), values), tf.float32)


def affine(image: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Move pixels, without interpolation; what comes from outside is black.

    Args:
        image: The image.
        matrix: (2, 3) float32, from (x, y) of the result to that of the image, as for
            `PIL.Image.transform`: the centers of pixels are at halves.
    """
    half = tf.reduce_sum(matrix[:, :2], axis=1) / 2 + matrix[:, 2] - 0.5
    rows = tf.concat([matrix[:, :2], half[:, None]], axis=1)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.concat([tf.reshape(rows, [1, 6]), tf.zeros([1, 2])], axis=1),
        output_shape=tf.shape(image)[:2],
        fill_value=0.0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(moved[0], image.shape)


def rotate(image: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Rotate counterclockwise around the center."""
    angle = degrees * 0.017453292519943295
    cos, sin = tf.cos(angle), tf.sin(angle)
    center = tf.cast(tf.shape(image)[1::-1], tf.float32) / 2
    turn = tf.stack([tf.stack([cos, -sin]), tf.stack([sin, cos])])
    shift = center - tf.linalg.matvec(turn, center)
    return affine(image, tf.concat([turn, shift[:, None]], axis=1))


def add_lighting(image: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Add multiples (3,) of the principal components of ImageNet's colors."""
    color = tf.linalg.matvec(tf.constant(_EIGENVECTORS), amounts * tf.constant(_EIGENVALUES))
    return image + 255.0 * color
