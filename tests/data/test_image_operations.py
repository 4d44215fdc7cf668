"""Operations of augmentation against Pillow, which torchvision uses."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from keras_shufflenet.data import image_operations as operations

STEP = 1.0  # Pillow rounds its results to integers, and gray images before


@pytest.fixture(scope="module")
def picture():
    """Noise on a gradient: every value occurs, not equally often."""
    random = np.random.default_rng(0)
    base = np.linspace(20, 200, 40)[:, None, None] + np.zeros((40, 56, 3))
    noise = random.normal(0, 25, base.shape)
    return Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8))


def run(operation, picture, *amounts):
    amounts = [np.asarray(amount, np.float32) for amount in amounts]
    return operation(tf.constant(np.asarray(picture, np.float32)), *amounts).numpy()


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.7])
@pytest.mark.parametrize(
    ("operation", "enhance"),
    [
        (operations.brightness, ImageEnhance.Brightness),
        (operations.contrast, ImageEnhance.Contrast),
        (operations.saturation, ImageEnhance.Color),
    ],
)
def test_factors(picture, operation, enhance, factor):
    expected = np.asarray(enhance(picture).enhance(factor), np.float32)
    assert np.abs(run(operation, picture, factor) - expected).max() <= 1.5 * STEP


@pytest.mark.parametrize("factor", [0.1, 1.9])
def test_sharpness(picture, factor):
    smooth = picture.filter(ImageFilter.SMOOTH)
    expected = np.asarray(Image.blend(smooth, picture, factor), np.float32)
    assert np.abs(run(operations.sharpness, picture, factor) - expected).max() <= 2 * STEP


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (lambda x: operations.posterize(x, 3), lambda x: ImageOps.posterize(x, 3)),
        (lambda x: operations.posterize(x, 8), lambda x: x),
        (lambda x: operations.solarize(x, 90.0), lambda x: ImageOps.solarize(x, 90)),
        (operations.equalize, ImageOps.equalize),
    ],
)
def test_values_are_replaced(picture, operation, expected):
    np.testing.assert_array_equal(run(operation, picture), np.asarray(expected(picture)))


def test_auto_contrast(picture):
    quiet = Image.fromarray(np.asarray(picture) // 4 + 50)
    expected = np.asarray(ImageOps.autocontrast(quiet), np.float32)
    assert np.abs(run(operations.auto_contrast, quiet) - expected).max() <= STEP


@pytest.mark.parametrize("operation", [operations.auto_contrast, operations.equalize])
def test_an_image_of_one_color_stays(operation):
    plain = np.full((4, 5, 3), 77, np.uint8)
    np.testing.assert_array_equal(run(operation, plain), plain)


@pytest.mark.parametrize(
    "matrix", [(1, 0.4, 0, 0, 1, 0), (1, 0, 0, -0.7, 1, 0), (1, 0, -9, 0, 1, 0), (1, 0, 0, 0, 1, 5)]
)
def test_affine(picture, matrix):
    expected = picture.transform(picture.size, Image.Transform.AFFINE, matrix)
    moved = run(operations.affine, picture, np.reshape(matrix, (2, 3)))
    assert (moved != np.asarray(expected)).mean() < 0.01  # ties


@pytest.mark.parametrize("degrees", [17.0, -120.0])
def test_rotate(picture, degrees):
    moved = run(operations.rotate, picture, degrees)
    assert (moved != np.asarray(picture.rotate(degrees))).mean() < 0.01


def test_lighting_adds_a_color():
    """Numbers of Krizhevsky et al."""
    added = run(operations.add_lighting, np.zeros((1, 1, 3)), (0.1, -0.2, 0.3))[0, 0]
    weights = np.array([0.1, -0.2, 0.3]) * (0.2175, 0.0188, 0.0045)
    red = 255 * weights @ (-0.5675, 0.7192, 0.4009)
    assert added[0] == pytest.approx(red, rel=1e-5)
    assert added.shape == (3,)
