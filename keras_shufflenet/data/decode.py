"""Crop-aware decoding of image files, and the affine warp of crops.

A crop is given by the matrix that maps its pixels to image pixels; only the window of the image
that it covers is decoded. Where a crop downsamples by 2 or more, the JPEG decoder can omit the
frequencies that the crop cannot represent (DCT scaling by 2, 4 or 8), which is faster and avoids
aliasing. The matrix is then expressed in the pixels of the smaller image, so the geometry stays
exact.

Ordinary JPEG files are decoded by TensorFlow, window by window; all others by `image_files`.
Both give the same pixels: a window is decoded with a margin, because the decoder interpolates
chroma at the edge of a window without the neighbors outside.
"""

from collections.abc import Callable
from functools import cache
from math import log
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_shufflenet._types import Size
from keras_shufflenet.data.geometry import transform_points
from keras_shufflenet.data.image_files import decode_image, is_plain_jpeg
from keras_shufflenet.data.pipeline import read_contents

_DCT_SCALES = (1, 2, 4, 8)
_MARGIN = 2
_END_OF_JPEG = b"\xff\xd9"
_HEAD = 4096  # bytes searched for the first scan
# A scan header of three or one components and all that follows, and markers that precede it and
# take a closer look. Bytes above 0x7f cannot be written in these expressions.
_SCAN = r"(\x00\x0c\x03\C{6}|\x00\x08\x01\C{2})\x00[\x00\x3f]\C*"
_UNUSUAL = "Exif|JFXX|Photoshop"
_MIN_PIXELS = 1 << 16


class Window(NamedTuple):
    """The part of an image to decode, for a batch or, without the leading B, for one file.

    Attributes:
        box: (B, 4) int32 top, left, height and width in the downscaled image.
        dct_index: (B,) int32 index of the DCT scaling factor in (1, 2, 4, 8).
        image_size: (B, 2) int32 height and width of the image; those of the file must agree.
    """

    box: tf.Tensor
    dct_index: tf.Tensor
    image_size: tf.Tensor


class View(NamedTuple):
    """How to read a crop, for a batch or, without the leading B, for one crop.

    Attributes:
        window: The part of the image that the crop covers.
        matrix: (B, 2, 3) float64, from crop pixels to window pixels.
    """

    window: Window
    matrix: tf.Tensor


def plan_views(inverse: tf.Tensor, image_size: tf.Tensor, size: Size, *, dct_scaling: bool) -> View:
    """Find the windows that crops cover.

    Args:
        inverse: (B, 2, 3) float64, from crop pixels to image pixels.
        image_size: (B, 2) float64 heights and widths.
        size: Crop size (height, width).
        dct_scaling: Whether to decode JPEG files at a smaller scale where the crop downsamples.

    Returns:
        The views. The window of a crop outside of the image has one pixel.
    """
    dct_index = _dct_index(inverse) if dct_scaling else tf.zeros(tf.shape(inverse)[:1], tf.int32)
    factor = tf.gather(tf.constant(_DCT_SCALES, tf.float64), dct_index)[:, None]
    offset = ((inverse[:, :, 2] + 0.5) / factor - 0.5)[..., None]
    inverse = tf.concat([inverse[:, :, :2] / factor[..., None], offset], axis=-1)
    low, high = _bounds(inverse, size)
    last = tf.math.ceil(image_size[:, ::-1] / factor) - 1
    low = tf.clip_by_value(tf.floor(low), 0, last)
    high = tf.clip_by_value(tf.floor(high) + 1, 0, last)
    matrix = inverse - tf.pad(low[..., None], [[0, 0], [0, 0], [2, 0]])
    box = tf.concat([low[:, ::-1], (high - low + 1)[:, ::-1]], axis=-1)
    window = Window(tf.cast(box, tf.int32), dct_index, tf.cast(image_size, tf.int32))
    return View(window, matrix)


def read_crop(path: tf.Tensor, view: View, size: Size, *, quantize: bool = False) -> tf.Tensor:
    """Read a crop from an image file.

    Args:
        path: Path of an image file, see `image_files`, or of a record.
        view: Window and matrix of the crop.
        size: Crop size (height, width).
        quantize: As for `warp`.

    Returns:
        (height, width, 3) float32 RGB 0..255, zero outside of the image.

    Raises:
        tf.errors.OpError: If the file cannot be decoded or has another size than
            `view.window.image_size`, as it is displayed and as it is stored.
    """
    contents, window = read_contents(path), view.window
    image = tf.cond(
        is_plain(contents),
        lambda: decode_jpeg(contents, window),
        lambda: _decode_other(path, contents, window),
    )
    return warp(image, view.matrix, size, quantize=quantize)


def warp(image: tf.Tensor, inverse: tf.Tensor, size: Size, *, quantize: bool = False) -> tf.Tensor:
    """Warp an image with bilinear interpolation, with zeros outside of the image.

    The compiled twin of `keypoints.warp`. TensorFlow's own operator recomputes the positions for
    each channel of each pixel; the same arithmetic as one XLA kernel takes a quarter of the time.

    Args:
        image: (h, w, 3) uint8, of any size.
        inverse: (2, 3) float64, from output points to image points.
        size: Output size (height, width).
        quantize: Whether to round positions to 1/32 of a pixel and pixels to integers, like
            `warpAffine` of OpenCV 4. The pixels are then exactly those of `keypoints.warp`.

    Returns:
        (height, width, 3) float32.
    """
    return _warp_kernel(size, quantize)(_padded_pixels(image), tf.shape(image)[:2], inverse)


def is_plain(contents: tf.Tensor) -> tf.Tensor:
    """Return whether a file is a JPEG that TensorFlow decodes to the image of the policy.

    Most headers are seen through by TensorFlow alone; Python looks at the others.
    """
    head = tf.strings.substr(contents, 0, _HEAD)
    header = tf.strings.regex_replace(head, _SCAN, "", replace_global=False)
    usual = tf.strings.regex_replace(header, _UNUSUAL, "", replace_global=False)
    length = tf.strings.length(header)
    clear = (
        tf.io.is_jpeg(contents)
        & (tf.strings.substr(contents, -2, 2) == _END_OF_JPEG)
        & (length < tf.strings.length(head))
        & (length == tf.strings.length(usual))
    )

    def look_closer() -> tf.Tensor:
        plain = tf.numpy_function(lambda data: np.bool_(is_plain_jpeg(data)), [contents], tf.bool)
        return tf.cond(plain, lambda: _is_safe(contents), lambda: tf.constant(False))

    return tf.cond(clear, lambda: _is_safe(contents), look_closer)


def _is_safe(contents: tf.Tensor) -> tf.Tensor:
    """Return whether an image has one or three components and no excessive size."""
    shape = tf.cast(tf.io.extract_jpeg_shape(contents), tf.int64)
    most = Image.MAX_IMAGE_PIXELS or np.iinfo(np.int64).max
    return (shape[2] != 4) & (shape[0] * shape[1] <= most)


def decode_other(path: tf.Tensor, contents: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Decode a file of any format to (h, w, 3) uint8 RGB.

    Args:
        path: Path of the file.
        contents: Its bytes.
        size: (2,) int32 height and width for which it is wanted, or zeros.
    """

    def pixels(name: bytes, data: bytes, wanted: np.ndarray) -> np.ndarray:
        wanted_size = (int(wanted[0]), int(wanted[1]))
        return np.asarray(decode_image(data, name.decode(), wanted_size))

    return tf.ensure_shape(
        tf.numpy_function(pixels, [path, contents, size], tf.uint8), (None, None, 3)
    )


def _dct_index(inverse: tf.Tensor) -> tf.Tensor:
    """Return the indices of the largest scales that keep a pixel for each crop pixel."""
    step = tf.sqrt(tf.abs(tf.linalg.det(inverse[:, :, :2])))
    return sum(tf.cast(step >= scale, tf.int32) for scale in _DCT_SCALES[1:])


def _bounds(inverse: tf.Tensor, size: Size) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the minimum and maximum image points (B, 2) of crops."""
    bottom, right = size[0] - 1, size[1] - 1
    corners = tf.constant([[0, 0], [right, 0], [0, bottom], [right, bottom]], tf.float64)
    points = transform_points(corners[None], inverse)
    return tf.reduce_min(points, axis=1), tf.reduce_max(points, axis=1)


def decode_jpeg(contents: tf.Tensor, window: Window) -> tf.Tensor:
    """Decode a window of a plain JPEG file to (h, w, 3) uint8 RGB.

    Raises:
        tf.errors.InvalidArgumentError: If the file cannot be decoded or has another size than
            `window.image_size`.
    """
    _check_size(tf.io.extract_jpeg_shape(contents), window)
    scale = tf.gather(tf.constant(_DCT_SCALES), window.dct_index)
    corner, size = window.box[:2], window.box[2:]
    first = tf.maximum(corner - _MARGIN, 0)
    last = tf.minimum(corner + size + _MARGIN, -(-window.image_size // scale))
    box = tf.concat([first, last - first], axis=0)

    def decode_at(scale: int) -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(
            contents,
            box,
            channels=3,
            ratio=scale,
            dct_method="INTEGER_ACCURATE",
        )

    image = tf.switch_case(
        window.dct_index, [lambda s=scale: decode_at(s) for scale in _DCT_SCALES]
    )
    return tf.slice(image, [*tf.unstack(corner - first), 0], [*tf.unstack(size), 3])


def _check_size(shape: tf.Tensor, window: Window) -> None:
    tf.debugging.Assert(tf.reduce_all(shape[:2] == window.image_size), [shape, window.image_size])


def _decode_other(path: tf.Tensor, contents: tf.Tensor, window: Window) -> tf.Tensor:
    """Decode a window of a file of any format, in one operation.

    Operations of a branch that is not taken cost time, too, and few files take this one.
    """

    def pixels(
        name: bytes, data: bytes, box: np.ndarray, dct_index: np.ndarray, wanted: np.ndarray
    ) -> np.ndarray:
        size = (int(wanted[0]), int(wanted[1]))
        image = np.asarray(decode_image(data, name.decode(), size))
        if image.shape[:2] != size:
            raise ValueError(f"The image must have the size {size}. Received: {image.shape[:2]}")
        top, left, height, width = box
        image = _downscale(image, _DCT_SCALES[dct_index])[top : top + height, left : left + width]
        return np.ascontiguousarray(image)

    image = tf.numpy_function(pixels, [path, contents, *window], tf.uint8)
    return tf.ensure_shape(image, (None, None, 3))


def _downscale(image: np.ndarray, scale: int) -> np.ndarray:
    """Average blocks of pixels, the equivalent of DCT scaling; image and result are uint8."""
    if scale == 1:
        return image
    height, width = (-(-side // scale) for side in image.shape[:2])
    missing = height * scale - image.shape[0], width * scale - image.shape[1]
    padded = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)))
    blocks = padded.reshape(height, scale, width, scale, 3)
    return (blocks.mean(axis=(1, 3), dtype=np.float32) + 0.5).astype(np.uint8)


def _padded_pixels(image: tf.Tensor) -> tf.Tensor:
    """Return pixels (n, 3), padded to a power of two: a kernel is compiled for each n."""
    count = tf.size(image) // 3
    power = tf.math.ceil(tf.math.log(tf.cast(count, tf.float64)) / log(2))
    length = tf.maximum(tf.cast(2**power, tf.int32), _MIN_PIXELS)
    padding = tf.zeros([3 * (length - count)], tf.uint8)
    return tf.reshape(tf.concat([tf.reshape(image, [-1]), padding], axis=0), [-1, 3])


@cache
def _warp_kernel(size: Size, quantize: bool) -> Callable[..., tf.Tensor]:
    position = _quantized_position if quantize else _exact_position

    @tf.function(jit_compile=True, autograph=False)
    def resample(pixels: tf.Tensor, image_size: tf.Tensor, inverse: tf.Tensor) -> tf.Tensor:
        height, width = image_size[0], image_size[1]
        columns, rows = position(inverse[0], size), position(inverse[1], size)
        value = tf.zeros([])
        for row, row_weight in _neighbors(rows, height):
            for column, column_weight in _neighbors(columns, width):
                neighbor = tf.cast(tf.gather(pixels, row * width + column), tf.float32)
                value += neighbor * (row_weight * column_weight)[..., None]
        return tf.floor(value + 0.5) if quantize else value

    return resample


def _exact_position(row: tf.Tensor, size: Size) -> tf.Tensor:
    """Return where the pixels of the output are along an axis, by a row (3,) of the matrix."""
    row = tf.cast(row, tf.float32)
    y, x = tf.range(size[0], dtype=tf.float32)[:, None], tf.range(size[1], dtype=tf.float32)
    return row[0] * x + (row[1] * y + row[2])


def _quantized_position(row: tf.Tensor, size: Size) -> tf.Tensor:
    """Return the same in OpenCV 4's fixed-point arithmetic, rounded to 1/32 of a pixel."""
    y, x = tf.range(size[0], dtype=tf.float64)[:, None], tf.range(size[1], dtype=tf.float64)
    position = tf.round(1024 * row[0] * x) + tf.round(1024 * (row[1] * y + row[2]))
    return tf.cast(tf.floor((position + 16) / 32), tf.float32) / 32


def _neighbors(position: tf.Tensor, length: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Return the two pixels next to each position along an axis and their weights, 0 outside."""
    first = tf.floor(position)
    fraction = position - first
    pairs = []
    for pixel, weight in ((first, 1 - fraction), (first + 1, fraction)):
        index = tf.cast(pixel, tf.int32)
        inside = (index >= 0) & (index < length)
        pairs.append((tf.clip_by_value(index, 0, length - 1), tf.where(inside, weight, 0.0)))
    return pairs
