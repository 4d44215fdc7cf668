"""Random crops for training classifiers."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.data.pipeline import uniform
from keras_shufflenet.data.random_crop import DRAWS, random_box

SIZE = (40, 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five images of two classes: red increases downwards, green to the right, blue by number."""
    root = tmp_path_factory.mktemp("classes")
    height, width = 90, 120
    rows, columns = np.indices((height, width))
    for number in range(5):
        pixels = np.stack([rows * 2, columns * 2, np.full_like(rows, 40 * number)], axis=-1)
        file = root / "nm"[number % 2] / f"{number}.{'jpg' if number < 3 else 'png'}"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(file, quality=98)
    return root


def batches(folder, count, **arguments):
    data = ks.data.classification(folder, crop_size=SIZE, training=True, batch_size=2, **arguments)
    return list(data.take(count).as_numpy_iterator())


def boxes(image_size, count):
    size = tf.constant(image_size)
    numbers = tf.data.Dataset.range(count).map(
        lambda n: random_box(size, tf.reshape(uniform(n, DRAWS, 1)[1:], [4, -1]))
    )
    return numbers.batch(count).get_single_element().numpy()


def test_batches_and_epochs(folder):
    made = batches(folder, 5)
    images = np.concatenate([images for images, _ in made])
    classes = np.concatenate([classes for _, classes in made])
    assert images.dtype == np.float32
    assert images.shape == (10, *SIZE, 3)
    assert 0 <= images.min() < 30
    assert 170 < images.max() <= 255
    shown = np.rint(images[..., 2].mean((1, 2)) / 40).astype(int)
    assert sorted(shown[:5]) == sorted(shown[5:]) == list(range(5))
    np.testing.assert_array_equal(classes, shown % 2 == 0)  # "m" comes before "n"


def test_crops_grow_downwards_and_to_either_side(folder):
    images = np.concatenate([images for images, _ in batches(folder, 20)])
    down = images[:, -1, :, 0].mean(1) - images[:, 0, :, 0].mean(1)
    right = images[:, :, -1, 1].mean(1) - images[:, :, 0, 1].mean(1)
    assert (down > 20).all()
    assert 10 < (right < -20).sum() < 30
    assert (np.abs(right) > 20).all()


def test_seed_and_start_step(folder):
    whole = batches(folder, 5, seed=4)
    for (images, classes), (again, classes_again) in zip(
        whole[2:], batches(folder, 3, seed=4, start_step=2), strict=True
    ):
        np.testing.assert_array_equal(images, again)
        np.testing.assert_array_equal(classes, classes_again)
    assert not np.array_equal(whole[0][0], batches(folder, 1, seed=5)[0][0])


def test_boxes_are_inside_and_have_the_right_distribution():
    top, left, height, width = boxes((300, 400), 1500).T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 300).all()
    assert (left + width <= 400).all()
    area, ratio = height * width / (300 * 400), width / height
    assert area.min() < 0.1
    assert 0.95 < area.max() <= 1
    assert 0.73 < ratio.min() < 0.78
    assert 1.28 < ratio.max() < 1.36
    # rounding to whole pixels and five standard errors; extreme ratios fit less often
    assert abs(np.log(ratio)).mean() == pytest.approx(np.log(4 / 3) / 2, abs=0.02)
    random = np.random.default_rng(0)  # large areas fit less often, the more so wide or tall
    areas, ratios = (
        random.uniform(0.08, 1, 9000),
        np.exp(random.uniform(-1, 1, 9000) * np.log(4 / 3)),
    )
    sides = np.sqrt(areas * 300 * 400 * np.stack([1 / ratios, ratios]))
    fitting = areas[(sides < [[300], [400]]).all(axis=0)]
    assert fitting.mean() < 0.48
    assert area.mean() == pytest.approx(fitting.mean(), abs=0.02)


@pytest.mark.parametrize(("size", "box"), [((4, 400), (0, 197, 4, 5)), ((400, 3), (198, 0, 4, 3))])
def test_narrow_images_give_the_center_box(size, box):
    found = boxes(size, 20)
    assert (found == box).all(axis=1).any()


def test_broken_image_is_named(folder, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "broken.jpg").write_bytes((folder / "n" / "0.jpg").read_bytes()[:900])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Received:[^\n]*broken\.jpg"):
        batches(tmp_path, 1)
