"""Images in the input of a detector, and boxes back in the image."""

import numpy as np
import pytest

from keras_shufflenet.detection import Detections, fit_image, to_image

INPUT = (64, 96)


@pytest.fixture
def tall():
    """An image of 128 × 64 with a white lower half."""
    image = np.zeros((128, 64, 3), np.uint8)
    image[64:] = 255
    return image


def test_bars_beside_an_image_that_keeps_its_ratio(tall):
    pixels, matrix = fit_image(tall, INPUT, keep_ratio=True)
    np.testing.assert_array_equal(matrix, [[0.5, 0, 32], [0, 0.5, 0]])
    assert pixels[40, 48].tolist() == [255] * 3
    assert pixels[:, :31].max() == pixels[:, 65:].max() == pixels[:31].max() == 0


def test_a_stretched_image_fills_the_input(tall):
    pixels, matrix = fit_image(tall, INPUT, keep_ratio=False)
    np.testing.assert_array_equal(matrix, [[1.5, 0, 0], [0, 0.5, 0]])
    assert pixels[33:, :90].min() == 255


@pytest.mark.parametrize("keep_ratio", [True, False])
def test_boxes_go_back_and_end_at_the_image(tall, keep_ratio):
    _, matrix = fit_image(tall, INPUT, keep_ratio)
    corners = np.array([[10, 20], [30, 100]]) @ matrix[:, :2].T + matrix[:, 2]
    everything = np.array([0, 0, INPUT[1], INPUT[0]])
    boxes = np.stack([corners.ravel(), everything])
    found = to_image(Detections(boxes, np.ones(2), np.zeros(2, np.int64)), matrix, tall.shape[:2])
    np.testing.assert_allclose(found.boxes, [[10, 20, 30, 100], [0, 0, 64, 128]])


def test_boxes_in_the_bars_are_left_out(tall):
    _, matrix = fit_image(tall, INPUT, keep_ratio=True)
    boxes = np.array([[0.0, 0, 10, 10], [40, 0, 56, 64]])  # the image is 32 wide, from 32 on
    found = to_image(Detections(boxes, np.ones(2), np.arange(2)), matrix, tall.shape[:2])
    np.testing.assert_array_equal(found.classes, [1])
