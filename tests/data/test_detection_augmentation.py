"""Colors and views of the detection pipeline against other implementations."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from keras_shufflenet.data import DetectionAugmentation
from keras_shufflenet.data.detection_augmentation import (
    Draws,
    jitter_colors,
    transform_boxes,
    view_matrix,
)
from tests.rounding import EPSILON32, rounding_error

NEUTRAL = {name: 1.0 if name.endswith("gate") else 0.5 for name in Draws._fields}
AUGMENTATION = DetectionAugmentation()


def draws(**given):
    return Draws(*(tf.constant(value, tf.float64) for value in (NEUTRAL | given).values()))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).uniform(0, 255, (6, 7, 3)).astype(np.float32)


def jittered(image, **given):
    return jitter_colors(tf.constant(image), draws(**given), AUGMENTATION).numpy()


def test_nothing_changes_by_the_gates_of_half_of_the_images(image):
    loud = {"brightness": 0.9, "contrast": 0.1, "saturation": 0.9}
    kept = jittered(image, **loud, brightness_gate=0.5, contrast_gate=0.5, saturation_gate=0.5)
    np.testing.assert_allclose(kept, image, atol=rounding_error(image, 3, EPSILON32))
    assert np.abs(jittered(image, **loud, brightness_gate=0.49) - image).max() > 20


def test_brightness_then_contrast(image):
    found = jittered(image, brightness_gate=0, brightness=0.25, contrast_gate=0, contrast=0.75)
    expected = (image - 0.1 * 255) * 1.2
    np.testing.assert_allclose(found, expected, atol=rounding_error(expected, 6, EPSILON32))
    assert found.min() < 0
    assert found.max() > 255


@pytest.mark.parametrize(("drawn", "factor"), [(0.0, 0.5), (0.3, 0.71)])
def test_saturation_is_that_of_hsv(image, drawn, factor):
    found = jittered(image, saturation_gate=0, saturation=drawn)
    expected = np.empty_like(image)
    for place in np.ndindex(image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[place] / 255)
        expected[place] = 255 * np.array(colorsys.hsv_to_rgb(hue, saturation * factor, value))
    np.testing.assert_allclose(found, expected, atol=rounding_error(expected, 16, EPSILON32))


def test_views_are_composed_as_in_the_reference():
    """Center, scale, stretch, and shift, each a matrix of homogeneous coordinates."""
    uniform = {name: np.random.default_rng(1).uniform(size=4) for name in Draws._fields}
    sizes = np.array([[480, 640], [640, 427], [33, 90], [100, 100]])
    found = view_matrix(draws(**uniform), AUGMENTATION, tf.constant(sizes, tf.float64))
    for index, (height, width) in enumerate(sizes):
        one = {name: values[index] for name, values in uniform.items()}
        scale = 0.6 + 0.8 * one["scale"]
        x, y = 0.8 + 0.4 * one["stretch_x"], 0.8 + 0.4 * one["stretch_y"]
        shift = [0.3 + 0.4 * one["shift_x"], 0.3 + 0.4 * one["shift_y"]]
        center = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
        move = np.array([[1, 0, shift[0] * width], [0, 1, shift[1] * height], [0, 0, 1]])
        expected = (move @ np.diag([x, y, 1]) @ np.diag([scale, scale, 1]) @ center)[:2]
        tolerance = rounding_error(sizes, 8)
        np.testing.assert_allclose(found[index], expected, rtol=0, atol=tolerance)


def test_boxes_are_clipped_and_those_outside_are_left_out():
    """The remaining ones come first, in their order; the rest is padding."""
    boxes = [[0, 0, 3, 64], [20, 20, 40, 40], [61, 0, 64, 64], [45, 10, 50, 50], [0, 0, 0, 0]]
    labels = [0, 1, 0, 2, -1]
    matrix = [[2, 0, -32], [0, 2, -32]]  # shows the middle: 16..48
    arguments = (
        tf.constant([boxes] * 2, tf.float64),
        tf.constant([labels, [-1] * 5]),
        tf.constant([matrix] * 2, tf.float64),
        (64, 64),
    )
    found, kept = transform_boxes(*arguments, min_size=1)
    assert found.dtype == tf.float32
    assert kept.numpy().tolist() == [[1, 2, -1, -1, -1], [-1] * 5]
    nothing = [0] * 4
    assert found.numpy().tolist() == [
        [[8, 8, 48, 48], [58, 0, 64, 64], nothing, nothing, nothing],
        [nothing] * 5,
    ]
    _, kept = transform_boxes(*arguments, min_size=7)
    assert kept[0].numpy().tolist() == [1, -1, -1, -1, -1]


@pytest.mark.parametrize("name", ["scale", "stretch"])
def test_factors_must_be_positive(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be .*Received: {name}=\(0, 1\)"):
        DetectionAugmentation(**{name: (0, 1)})
