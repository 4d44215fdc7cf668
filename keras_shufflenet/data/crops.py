"""Crops of people: which part of a file is needed, decoding just that, and the affine warp.

A crop is described by the matrix from its pixels to those of the image. Where it shrinks the
person to less than half, the JPEG decoder can leave out the frequencies that the crop cannot show
(DCT scaling by 2, 4 or 8): that is faster, and free of aliasing. The matrix is then taken to the
grid of the smaller image, so that the geometry stays exact.
"""

from typing import NamedTuple

import tensorflow as tf

from keras_shufflenet.data.geometry import transform_points
from keras_shufflenet.keypoints.boxes import Size

_DCT_SCALES = (1, 2, 4, 8)
_TAIL = 65536  # bytes searched for the end of a JPEG
_OTHER_FORMATS = (r"\CPNG", "GIF8", r"BM\C*")  # \C: any byte, also one that is no UTF-8


class View(NamedTuple):
    """What to cut out of an image, for a batch or, without the leading B, for one crop.

    Attributes:
        matrix: (B, 2, 3) float32, from crop pixels to pixels of the window.
        window: (B, 4) int32 top, left, height and width in the scaled image.
        dct: (B,) int32 row of the scaling in 1, 2, 4, 8.
    """

    matrix: tf.Tensor
    window: tf.Tensor
    dct: tf.Tensor


def plan(inverse: tf.Tensor, image_size: tf.Tensor, size: Size, *, dct_scaling: bool) -> View:
    """Find the windows that crops need.

    Args:
        inverse: (B, 2, 3) float64 matrices from crop pixels to image pixels.
        image_size: (B, 2) heights and widths, float64.
        size: (height, width) of the crops.
        dct_scaling: whether large people are decoded at a smaller scale.

    Returns:
        The views; a crop that misses the image gets a window of one pixel.
    """
    dct = _dct_scale(inverse) if dct_scaling else tf.zeros(tf.shape(inverse)[:1], tf.int32)
    factor = tf.gather(tf.constant(_DCT_SCALES, tf.float64), dct)[:, None]
    offset = ((inverse[:, :, 2] + 0.5) / factor - 0.5)[..., None]
    inverse = tf.concat([inverse[:, :, :2] / factor[..., None], offset], axis=-1)
    low, high = _bounds(inverse, size)
    last = tf.math.ceil(image_size[:, ::-1] / factor) - 1
    low = tf.clip_by_value(tf.floor(low), 0, last)
    high = tf.clip_by_value(tf.floor(high) + 1, 0, last)
    matrix = inverse - tf.pad(low[..., None], [[0, 0], [0, 0], [2, 0]])
    window = tf.concat([low[:, ::-1], (high - low + 1)[:, ::-1]], axis=-1)
    return View(tf.cast(matrix, tf.float32), tf.cast(window, tf.int32), dct)


def crop(path: tf.Tensor, view: View, size: Size, *, fast: bool) -> tf.Tensor:
    """Read one crop from its file.

    Args:
        path: a JPEG, PNG, GIF or BMP file.
        view: what to cut out.
        size: (height, width) of the crop.
        fast: decode JPEG with the faster, slightly less exact transforms.

    Returns:
        (height, width, 3) float32 RGB, 0..255, black outside the image.

    Raises:
        tf.errors.InvalidArgumentError: the file is broken; the message names it.
    """
    contents = tf.io.read_file(path)
    tf.debugging.Assert(
        _is_whole(contents),
        ["The file is not a whole JPEG, PNG, GIF or BMP image. Received:", path],
    )
    window = tf.cond(
        tf.io.is_jpeg(contents),
        lambda: _jpeg_window(contents, view, fast),
        lambda: _other_window(contents, view),
    )
    return warp(window, view.matrix, size)


def _is_whole(contents: tf.Tensor) -> tf.Tensor:
    """Whether a JPEG has its end marker, which a file cut short has lost, or it is of another kind.

    The marker cannot occur within the compressed pixels; some cameras write a little behind it.
    """
    length = tf.strings.length(contents)
    start = tf.maximum(length - _TAIL, 0)
    tail = tf.io.decode_raw(tf.strings.substr(contents, start, length - start), tf.uint8)
    ends = tf.reduce_any((tail[:-1] == 0xFF) & (tail[1:] == 0xD9))
    head = tf.strings.substr(contents, 0, tf.minimum(length, 4))
    others = [tf.strings.regex_full_match(head, pattern) for pattern in _OTHER_FORMATS]
    return tf.cond(tf.io.is_jpeg(contents), lambda: ends, lambda: tf.reduce_any(others))


def warp(image: tf.Tensor, inverse: tf.Tensor, size: Size) -> tf.Tensor:
    """Resample an image (h, w, 3) uint8 bilinearly, black outside.

    Args:
        image: the pixels.
        inverse: (2, 3) float32, from output points to image points.
        size: (height, width) of the output.

    Returns:
        (height, width, 3) float32.
    """
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32)[None],
        transforms=tf.pad(tf.reshape(inverse, [1, 6]), [[0, 0], [0, 2]]),
        output_shape=size,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]


def _dct_scale(inverse: tf.Tensor) -> tf.Tensor:
    """Return the rows of the largest scales that leave at least a pixel for each crop pixel."""
    step = tf.sqrt(tf.abs(tf.linalg.det(inverse[:, :, :2])))
    return sum(tf.cast(step >= scale, tf.int32) for scale in _DCT_SCALES[1:])


def _bounds(inverse: tf.Tensor, size: Size) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the least and greatest image points (B, 2) of crops."""
    bottom, right = size[0] - 1, size[1] - 1
    corners = tf.constant([[0, 0], [right, 0], [0, bottom], [right, bottom]], tf.float64)
    points = transform_points(corners[None], inverse)
    return tf.reduce_min(points, axis=1), tf.reduce_max(points, axis=1)


def _jpeg_window(contents: tf.Tensor, view: View, fast: bool) -> tf.Tensor:
    def decode(scale: int) -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(
            contents,
            view.window,
            channels=3,
            ratio=scale,
            fancy_upscaling=not fast,
            dct_method="INTEGER_FAST" if fast else "INTEGER_ACCURATE",
        )

    return tf.switch_case(view.dct, [lambda s=scale: decode(s) for scale in _DCT_SCALES])


def _other_window(contents: tf.Tensor, view: View) -> tf.Tensor:
    image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    image = tf.switch_case(view.dct, [lambda s=scale: _shrink(image, s) for scale in _DCT_SCALES])
    top, left, height, width = tf.unstack(view.window)
    return image[top : top + height, left : left + width]


def _shrink(image: tf.Tensor, scale: int) -> tf.Tensor:
    """Average squares of pixels, as DCT scaling does."""
    missing = tf.math.floormod(-tf.shape(image)[:2], scale)
    image = tf.pad(image, tf.pad(tf.stack([tf.zeros_like(missing), missing], 1), [[0, 1], [0, 0]]))
    mean = tf.nn.avg_pool2d(tf.cast(image, tf.float32)[None], scale, scale, "VALID")[0]
    return tf.cast(mean + 0.5, tf.uint8)
