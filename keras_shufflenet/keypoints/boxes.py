"""Boxes of people: from (x, y, width, height) to center and scale, and on to affine matrices.

Points are (x, y) in pixels; whole numbers are the centers of pixels. Sizes are (height, width).
A person is framed by a center and a scale, the width and height of its padded box in units of 200
pixels. Source: mmpose v0.29.
"""

import numpy as np
from numpy.typing import ArrayLike

PIXEL_STD = 200.0  # pixels per unit of scale, a convention inherited from MPII
BBOX_PADDING = 1.25

Size = tuple[int, int]


def clip_box(box: ArrayLike, image_size: Size) -> np.ndarray | None:
    """Clip a box to its image.

    Args:
        box: (x, y, width, height).
        image_size: (height, width) of the image.

    Returns:
        The clipped box (4,) float64, or None if nothing of it is left.
    """
    x, y, width, height = np.asarray(box, np.float64)
    left, top = max(0.0, x), max(0.0, y)
    right = min(image_size[1] - 1.0, left + max(0.0, width))
    bottom = min(image_size[0] - 1.0, top + max(0.0, height))
    if right <= left or bottom <= top:
        return None
    return np.array([left, top, right - left, bottom - top])


def box_to_center_scale(
    box: ArrayLike, input_size: Size, padding: float = BBOX_PADDING
) -> tuple[np.ndarray, np.ndarray]:
    """Frame boxes for a network: the smallest frame of the input's shape around the box, padded.

    Args:
        box: (..., 4) boxes (x, y, width, height).
        input_size: (height, width) of the network's input; its aspect ratio is used.
        padding: factor on the frame's size.

    Returns:
        center (..., 2) and scale (..., 2), float64.
    """
    box = np.asarray(box, np.float64)
    size = expand_to_aspect(box[..., 2:], input_size)
    return box[..., :2] + box[..., 2:] / 2, size / PIXEL_STD * padding


def expand_to_aspect(size: np.ndarray, input_size: Size) -> np.ndarray:
    """Grow sizes (..., 2) given as (width, height) to the aspect ratio of (height, width)."""
    aspect = input_size[1] / input_size[0]
    width, height = size[..., 0], size[..., 1]
    wide = width > aspect * height
    return np.stack(
        [np.where(wide, width, aspect * height), np.where(wide, width / aspect, height)], axis=-1
    )


def get_warp_matrix(
    center: ArrayLike, scale: ArrayLike, rotation_degrees: ArrayLike, output_size: Size
) -> np.ndarray:
    """Return the matrices that take image points to points of the crop.

    The enlargement is one number, taken from the width: the scale must have the aspect ratio of
    the output. A positive rotation turns the frame clockwise on screen, the content the other way.

    Args:
        center: (..., 2).
        scale: (..., 2).
        rotation_degrees: (...).
        output_size: (height, width) of the crop.

    Returns:
        (..., 2, 3) float64.
    """
    center, scale = np.asarray(center, np.float64), np.asarray(scale, np.float64)
    angle = np.deg2rad(rotation_degrees)
    factor = output_size[1] / (PIXEL_STD * scale[..., 0])
    cosine, sine = factor * np.cos(angle), factor * np.sin(angle)
    linear = _matrix_2x2(cosine, sine, -sine, cosine)
    return _around(linear, center, np.array([output_size[1] / 2, output_size[0] / 2]))


def get_udp_warp_matrix(
    center: ArrayLike, scale: ArrayLike, rotation_degrees: ArrayLike, output_size: Size
) -> np.ndarray:
    """Return the matrices of unbiased data processing (UDP): lengths count pixel intervals.

    Width and height are enlarged separately, and rotation has the opposite sense of
    `get_warp_matrix`. Source: Huang et al., The Devil is in the Details, CVPR 2020.

    Args:
        center: (..., 2).
        scale: (..., 2).
        rotation_degrees: (...).
        output_size: (height, width) of the crop.

    Returns:
        (..., 2, 3) float64.
    """
    center, scale = np.asarray(center, np.float64), np.asarray(scale, np.float64)
    angle = np.deg2rad(rotation_degrees)
    last = np.array([output_size[1] - 1.0, output_size[0] - 1.0])
    x_factor, y_factor = np.moveaxis(last / (PIXEL_STD * scale), -1, 0)
    cosine, sine = np.cos(angle), np.sin(angle)
    linear = _matrix_2x2(x_factor * cosine, -x_factor * sine, y_factor * sine, y_factor * cosine)
    return _around(linear, center, last / 2)


def invert_affine(matrix: ArrayLike) -> np.ndarray:
    """Return the inverses (..., 2, 3) of affine matrices (..., 2, 3)."""
    matrix = np.asarray(matrix, np.float64)
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:]], axis=-1)


def transform_points(points: ArrayLike, matrix: ArrayLike) -> np.ndarray:
    """Apply affine matrices (..., 2, 3) to points (..., K, 2); the leading axes must agree."""
    matrix = np.asarray(matrix, np.float64)
    return np.asarray(points) @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]


def _matrix_2x2(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.stack([np.stack([a, b], -1), np.stack([c, d], -1)], -2)


def _around(linear: np.ndarray, center: np.ndarray, output_center: np.ndarray) -> np.ndarray:
    """Return the affine matrices with a linear part that take one center to the other."""
    offset = output_center - (linear @ center[..., None])[..., 0]
    return np.concatenate([linear, offset[..., None]], axis=-1)
