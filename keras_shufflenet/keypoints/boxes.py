"""Bounding boxes: from (x, y, width, height) to center and scale, and on to affine matrices.

Points are (x, y) in pixels, with integer coordinates at pixel centers. Sizes are (height, width).
A crop is given by the center of the padded bounding box and its scale: width and height in units
of 200 pixels. Source: mmpose v0.29.
"""

import numpy as np
from numpy.typing import ArrayLike

from keras_shufflenet._types import Size

PIXEL_STD = 200.0  # pixels per unit of scale, a convention inherited from MPII
BBOX_PADDING = 1.25
MIN_KEYPOINTS = 3  # that tell how a person moves


def clip_box(box: ArrayLike, image_size: Size) -> np.ndarray | None:
    """Clip a bounding box to its image.

    Args:
        box: Bounding box (x, y, width, height).
        image_size: Image size (height, width).

    Returns:
        The clipped box (4,) float64, or None if it does not overlap the image.
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
    """Convert bounding boxes to center and scale, padded and expanded to the aspect ratio.

    Args:
        box: (..., 4) bounding boxes (x, y, width, height).
        input_size: Input size (height, width) of the network; only its aspect ratio is used.
        padding: Bounding-box padding, a factor on width and height.

    Returns:
        center (..., 2) and scale (..., 2), float64.
    """
    box = np.asarray(box, np.float64)
    size = expand_to_aspect(box[..., 2:], input_size)
    return box[..., :2] + box[..., 2:] / 2, size / PIXEL_STD * padding


def expand_to_aspect(size: np.ndarray, input_size: Size) -> np.ndarray:
    """Expand (width, height) pairs (..., 2) to the aspect ratio of an input (height, width)."""
    aspect = input_size[1] / input_size[0]
    width, height = size[..., 0], size[..., 1]
    wide = width > aspect * height
    return np.stack(
        [np.where(wide, width, aspect * height), np.where(wide, width / aspect, height)], axis=-1
    )


def get_warp_matrix(
    center: ArrayLike, scale: ArrayLike, rotation_degrees: ArrayLike, output_size: Size
) -> np.ndarray:
    """Return the matrices that map image points to crop points.

    Both axes are resized by the same factor, that of the width, so the scale must have the aspect
    ratio of the output. A positive rotation turns the crop window clockwise on screen, and thus
    the content of the crop counterclockwise.

    Args:
        center: (..., 2).
        scale: (..., 2).
        rotation_degrees: (...), in degrees.
        output_size: Crop size (height, width).

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
    """Return the matrices of unbiased data processing (UDP), which measures pixel intervals.

    Width and height are resized by separate factors, and the rotation has the opposite direction
    of `get_warp_matrix`. Source: Huang et al., The Devil is in the Details, CVPR 2020.

    Args:
        center: (..., 2).
        scale: (..., 2).
        rotation_degrees: (...), in degrees.
        output_size: Crop size (height, width).

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
    """Apply affine matrices (..., 2, 3) to points (..., K, 2) with the same leading axes."""
    matrix = np.asarray(matrix, np.float64)
    return np.asarray(points) @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]


def _matrix_2x2(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.stack([np.stack([a, b], -1), np.stack([c, d], -1)], -2)


def _around(linear: np.ndarray, center: np.ndarray, output_center: np.ndarray) -> np.ndarray:
    """Return the affine matrices of a linear part that map one center to the other."""
    offset = output_center - (linear @ center[..., None])[..., 0]
    return np.concatenate([linear, offset[..., None]], axis=-1)


def follow_keypoints(
    box: ArrayLike, keypoints: ArrayLike, moved: ArrayLike, score_threshold: float
) -> np.ndarray | None:
    """Move the bounding box of a person along with its keypoints.

    The box is shifted as the keypoints are and resized as the distances between them, both in the
    median, and extended to the keypoints outside of it.

    Args:
        box: (4,): x, y, width, height in pixels.
        keypoints: (K, 3): x, y in pixels and score, of the image that the box is of.
        moved: (K, 3): the same keypoints in another image.
        score_threshold: Minimum score of the keypoints that count; in both images, for the shift.

    Returns:
        float64 (4,): x, y, width, height in the other image; None with fewer than three keypoints
        that count in both.
    """
    before, after = np.asarray(keypoints, np.float64), np.asarray(moved, np.float64)
    seen = after[:, 2] >= score_threshold
    both = seen & (before[:, 2] >= score_threshold)
    if both.sum() < MIN_KEYPOINTS:
        return None
    old, new = before[both, :2], after[both, :2]
    distance, distance_now = (
        np.linalg.norm(points[:, None] - points, axis=-1) for points in (old, new)
    )
    apart = distance > 0
    scale = float(np.median(distance_now[apart] / distance[apart])) if apart.any() else 1.0
    x, y, width, height = np.asarray(box, np.float64)
    corner = scale * np.array([x, y]) + np.median(new - scale * old, axis=0)
    low = np.minimum(corner, after[seen, :2].min(axis=0))
    high = np.maximum(corner + scale * np.array([width, height]), after[seen, :2].max(axis=0))
    return np.concatenate([low, high - low])
