"""Crops of people: which part of a file is needed, decoding just that, and the affine warp.

A crop is described by the matrix from its pixels to those of the image. Where it shrinks the
person to less than half, the JPEG decoder can leave out the frequencies that the crop cannot show
(DCT scaling by 2, 4 or 8): that is faster, and free of aliasing. The matrix is then taken to the
grid of the smaller image, so that the geometry stays exact.
"""

from typing import NamedTuple

import tensorflow as tf

from keras_shufflenet.data.geometry import transform_points
from keras_shufflenet.data.warping import warp
from keras_shufflenet.keypoints.boxes import Size

_DCT_SCALES = (1, 2, 4, 8)
_END_OF_JPEG = b"\xff\xd9"
_TAIL = 65536  # bytes that may follow the end


class Window(NamedTuple):
    """Which part of a file to decode, for a batch or, without the leading B, for one file.

    Attributes:
        box: (B, 4) int32 top, left, height and width in the scaled image.
        dct: (B,) int32 row of the scaling in 1, 2, 4, 8.
        image_size: (B, 2) int32 height and width of the whole image; the file must agree.
    """

    box: tf.Tensor
    dct: tf.Tensor
    image_size: tf.Tensor


class View(NamedTuple):
    """What a crop shows, for a batch or, without the leading B, for one crop.

    Attributes:
        window: the part of the image that is needed.
        matrix: (B, 2, 3) float32, from crop pixels to pixels of the window.
    """

    window: Window
    matrix: tf.Tensor


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
    box = tf.concat([low[:, ::-1], (high - low + 1)[:, ::-1]], axis=-1)
    window = Window(tf.cast(box, tf.int32), dct, tf.cast(image_size, tf.int32))
    return View(window, tf.cast(matrix, tf.float32))


def crop(path: tf.Tensor, view: View, size: Size) -> tf.Tensor:
    """Read one crop from its file.

    Args:
        path: a JPEG, PNG, GIF or BMP file.
        view: what to cut out.
        size: (height, width) of the crop.

    Returns:
        (height, width, 3) float32 RGB, 0..255, black outside the image.
    """
    return warp(decode(tf.io.read_file(path), view.window), view.matrix, size)


def decode(contents: tf.Tensor, window: Window) -> tf.Tensor:
    """Decode a part of an image file: (h, w, 3) uint8 RGB.

    Raises:
        tf.errors.InvalidArgumentError: the file is broken, or its size is not the window's.
    """
    return tf.cond(
        tf.io.is_jpeg(contents),
        lambda: _jpeg_window(contents, window),
        lambda: _other_window(contents, window),
    )


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


def _jpeg_window(contents: tf.Tensor, window: Window) -> tf.Tensor:
    _check_size(tf.io.extract_jpeg_shape(contents), window)
    # The decoder does not notice a file cut short below the window.
    tf.debugging.Assert(_has_end(contents), ["The file has no end."])

    def decode(scale: int) -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(
            contents,
            window.box,
            channels=3,
            ratio=scale,
            dct_method="INTEGER_ACCURATE",
        )

    return tf.switch_case(window.dct, [lambda s=scale: decode(s) for scale in _DCT_SCALES])


def _check_size(shape: tf.Tensor, window: Window) -> None:
    tf.debugging.Assert(tf.reduce_all(shape[:2] == window.image_size), [shape, window.image_size])


def _has_end(contents: tf.Tensor) -> tf.Tensor:
    """Return whether a JPEG has its end marker; some cameras write a little behind it."""

    def search() -> tf.Tensor:
        start = tf.maximum(tf.strings.length(contents) - _TAIL, 0)
        tail = tf.io.decode_raw(tf.strings.substr(contents, start, _TAIL), tf.uint8)
        return tf.reduce_any((tail[:-1] == _END_OF_JPEG[0]) & (tail[1:] == _END_OF_JPEG[1]))

    ends = tf.strings.substr(contents, -2, 2) == _END_OF_JPEG
    return tf.cond(ends, lambda: tf.constant(True), search)


def _other_window(contents: tf.Tensor, window: Window) -> tf.Tensor:
    image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    _check_size(tf.shape(image), window)
    image = tf.switch_case(window.dct, [lambda s=scale: _shrink(image, s) for scale in _DCT_SCALES])
    top, left, height, width = tf.unstack(window.box)
    return image[top : top + height, left : left + width]


def _shrink(image: tf.Tensor, scale: int) -> tf.Tensor:
    """Average squares of pixels, as DCT scaling does."""
    missing = tf.math.floormod(-tf.shape(image)[:2], scale)
    image = tf.pad(image, tf.pad(tf.stack([tf.zeros_like(missing), missing], 1), [[0, 1], [0, 0]]))
    mean = tf.nn.avg_pool2d(tf.cast(image, tf.float32)[None], scale, scale, "VALID")[0]
    return tf.cast(mean + 0.5, tf.uint8)
