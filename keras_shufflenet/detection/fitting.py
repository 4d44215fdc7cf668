"""Fitting images to the input of a detector: with black bars ("letterbox"), or stretched.

Matrices are those of the publisher: a point (x, y) of the image, with integer coordinates at pixel
centers, becomes (x · scale + offset). Source: https://github.com/RangiLyu/nanodet,
`nanodet/data/transform/warp.py`.
"""

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet._types import Size
from keras_shufflenet.detection.decoding import Detections
from keras_shufflenet.keypoints.boxes import invert_affine, transform_points
from keras_shufflenet.keypoints.warping import warp


def letterbox_matrix(image_size: Size, input_size: Size) -> NDArray[np.float64]:
    """Return the matrix (2, 3) that keeps the aspect ratio and centers the image.

    Args:
        image_size: (height, width) of the image in pixels.
        input_size: (height, width) of the network's input in pixels.
    """
    scale = min(target / side for side, target in zip(image_size, input_size, strict=True))
    y, x = ((target - scale * n) / 2 for n, target in zip(image_size, input_size, strict=True))
    return np.array([[scale, 0, x], [0, scale, y]])


def stretch_matrix(image_size: Size, input_size: Size) -> NDArray[np.float64]:
    """Return the matrix (2, 3) that resizes both sides to those of the input.

    Args:
        image_size: (height, width) of the image in pixels.
        input_size: (height, width) of the network's input in pixels.
    """
    y, x = (target / side for side, target in zip(image_size, input_size, strict=True))
    return np.array([[x, 0, 0], [0, y, 0]])


def fit_matrix(image_size: Size, input_size: Size, keep_ratio: bool) -> NDArray[np.float64]:
    """Return the matrix (2, 3) from image to input.

    Args:
        image_size: (height, width) of the image in pixels.
        input_size: (height, width) of the network's input in pixels.
        keep_ratio: Whether to keep the aspect ratio, with black bars.
    """
    return (letterbox_matrix if keep_ratio else stretch_matrix)(image_size, input_size)


def fit_image(
    image: NDArray[np.uint8], input_size: Size, keep_ratio: bool
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Resize an image to the input of a detector with OpenCV's bilinear interpolation.

    Args:
        image: uint8 (H, W, 3), RGB.
        input_size: (height, width) of the input in pixels.
        keep_ratio: Whether to keep the aspect ratio, with black bars.

    Returns:
        The input, uint8 (height, width, 3), and the matrix (2, 3) from image to input.
    """
    matrix = fit_matrix((image.shape[0], image.shape[1]), input_size, keep_ratio)
    return warp(image, matrix, input_size, quantize=True), matrix


def to_image(detections: Detections, matrix: NDArray[np.float64], image_size: Size) -> Detections:
    """Return detections in pixels of the image, clipped to it; none outside of it.

    Args:
        detections: In pixels of the network's input.
        matrix: (2, 3), from image to input.
        image_size: (height, width) of the image in pixels.
    """
    corners = detections.boxes.reshape(-1, 2, 2)
    points = transform_points(corners, invert_affine(matrix)[None])
    boxes = np.clip(points, 0, (image_size[1], image_size[0])).reshape(-1, 4)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # not in the border of a kept aspect ratio
    return Detections(boxes[inside], detections.scores[inside], detections.classes[inside])
