import csv

import numpy as np
import pytest
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.metrics.imagenet import count_correct

GREYS = [10, 60, 110, 160, 210, 250]


def nearest_gray(images):
    """A classifier of six grays: the nearer, the higher the score."""
    return -np.abs(images.mean(axis=(1, 2, 3))[:, None] - GREYS)


@pytest.fixture
def grays(tmp_path):
    """Nine images of six classes: every label of the last three is two classes off."""
    (tmp_path / "images").mkdir()
    rows = []
    for number in range(9):
        label = number % 6
        name = f"{number}.png"
        Image.new("RGB", (60, 40), (GREYS[label],) * 3).save(tmp_path / "images" / name)
        rows.append((name, label if number < 6 else label + 2))
    path = tmp_path / "labels.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([("filename", "class_index"), *rows])
    return path


def test_shares_of_right_guesses(grays):
    found = ks.metrics.imagenet(nearest_gray, grays, crop_size=24, resize_size=32, verbose=False)
    assert found == {"top1": 6 / 9, "top5": 1.0, "count": 9}


def test_a_folder_may_hold_the_labels(grays):
    options = {"crop_size": 24, "resize_size": 32, "verbose": False}
    found = ks.metrics.imagenet(nearest_gray, grays.parent, **options)
    assert found == ks.metrics.imagenet(nearest_gray, grays, **options)


def test_batches_do_not_change_anything(grays):
    options = {"crop_size": 24, "resize_size": 32, "verbose": False}
    found = ks.metrics.imagenet(nearest_gray, grays, batch_size=2, **options)
    assert found == ks.metrics.imagenet(nearest_gray, grays, **options)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3,), r"one of the 3 of .*, from 0 to 2\. Received: class 5"),
        ((3, 2), r"scores of shape \(N, classes\)\. Received: shape \(N, 3, 2\)"),
    ],
)
def test_too_few_classes(grays, shape, message):
    with pytest.raises(ValueError, match=message):
        ks.metrics.imagenet(
            lambda images: np.zeros((len(images), *shape)),
            grays,
            crop_size=24,
            resize_size=32,
            verbose=False,
        )


def test_images_without_classes_have_no_accuracy(grays):
    with pytest.raises(ValueError, match=r"a folder for each class. Received: class -1"):
        ks.metrics.imagenet(nearest_gray, grays.parent / "images", verbose=False)


def test_folders_stand_for_all_classes(tmp_path):
    for number, gray in enumerate(GREYS):
        (tmp_path / f"class{number}").mkdir()
        Image.new("RGB", (60, 40), (gray,) * 3).save(tmp_path / f"class{number}" / "one.png")
    options = {"crop_size": 24, "resize_size": 32, "verbose": False}
    assert ks.metrics.imagenet(nearest_gray, tmp_path, **options)["top1"] == 1.0
    (tmp_path / "class0" / "one.png").unlink()
    (tmp_path / "class0").rmdir()
    with pytest.raises(
        ValueError,
        match=r"each of the 6 classes of nearest_gray, .* or a csv. Received: 5 folders",
    ):
        ks.metrics.imagenet(nearest_gray, tmp_path, **options)


def test_a_broken_image_is_named(grays):
    image = grays.parent / "images" / "4.png"
    image.write_bytes(image.read_bytes()[:60])
    with pytest.raises(ValueError, match=r"complete file of .*truncated\)\. Received: \S*4\.png$"):
        ks.metrics.imagenet(nearest_gray, grays, crop_size=24, resize_size=32, verbose=False)


def test_counting():
    scores = np.array([[3, 2, 1, 0], [0, 1, 2, 3], [1, 0, 3, 2]])
    assert count_correct(scores, np.array([0, 0, 3]), 1) == 1
    assert count_correct(scores, np.array([0, 0, 3]), 2) == 2
    assert count_correct(scores, np.array([0, 0, 3]), 5) == 3
