"""Augmentation of classifiers: reproducible, resumable, and as strong as it says."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.data import ClassificationAugmentation
from keras_shufflenet.data.classification_augmentation import (
    FILL,
    augment_image,
    augmentation_draws,
)

SIZE = (32, 24)
EVERYTHING = ClassificationAugmentation(
    color_jitter=0.4,
    lighting=0.1,
    policy="trivial",
    erase_prob=0.5,
    mixup_alpha=0.2,
    cutmix_alpha=1.0,
    repeats=2,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six images of three classes; each has a color of its own."""
    root = tmp_path_factory.mktemp("classes")
    for number in range(6):
        (root / "abc"[number % 3]).mkdir(exist_ok=True)
        color = (40 * number, 250 - 40 * number, 60)
        Image.new("RGB", (40, 30), color).save(root / "abc"[number % 3] / f"{number}.png")
    return root


def batches(folder, count, augmentation, **arguments):
    data = ks.data.classification(
        folder, crop_size=SIZE, training=True, augmentation=augmentation, **arguments
    )
    return list(data.take(count).as_numpy_iterator())


def augmented(augmentation, count=200, image=None, seed=3):
    """One image, `count` times."""
    if image is None:
        image = np.full((*SIZE, 3), 100, np.float32)
    numbers = tf.data.Dataset.range(count)
    made = numbers.map(
        lambda n: augment_image(tf.constant(image), augmentation_draws(n, seed), augmentation)
    )
    return np.stack(list(made.as_numpy_iterator()))


def test_it_can_be_resumed_and_shared(folder):
    whole = batches(folder, 3, EVERYTHING, batch_size=8)
    later = batches(folder, 2, EVERYTHING, batch_size=8, start_step=1)
    for made, again in zip(whole[1:], later, strict=True):
        for expected, found in zip(made, again, strict=True):
            np.testing.assert_array_equal(expected, found)
    parts = [batches(folder, 1, EVERYTHING, batch_size=8, shard=(i, 2)) for i in range(2)]
    joined = [np.concatenate(arrays) for arrays in zip(*(part[0] for part in parts), strict=True)]
    for expected, found in zip(whole[0], joined, strict=True):
        np.testing.assert_array_equal(expected, found)
    other = batches(folder, 1, EVERYTHING, batch_size=8, seed=1)
    assert not np.array_equal(other[0][0], whole[0][0])


def test_without_mixing_there_are_classes(folder):
    images, classes = batches(folder, 1, ClassificationAugmentation(), batch_size=6)[0]
    assert classes.dtype == np.int64
    assert sorted(classes) == [0, 0, 1, 1, 2, 2]
    assert images.shape == (6, *SIZE, 3)


def test_mixup_mixes_classes_as_it_mixes_images(folder):
    only = ClassificationAugmentation(mixup_alpha=1.0)
    plain = batches(folder, 4, ClassificationAugmentation(), batch_size=6)
    mixed = batches(folder, 4, only, batch_size=6)
    weights = []
    for (images, classes), (found, shares) in zip(plain, mixed, strict=True):
        other, targets = [1, 0, 3, 2, 5, 4], np.eye(3)[classes]
        partner = images[other]
        weight = ((found - partner) * (images - partner)).sum() / ((images - partner) ** 2).sum()
        np.testing.assert_allclose(
            found, weight * images + (1 - weight) * partner, atol=255 * 2**-20
        )
        np.testing.assert_allclose(
            shares, weight * targets + (1 - weight) * targets[other], atol=1e-5
        )
        weights.append(weight)
    assert len({round(float(weight), 4) for weight in weights}) == 4


def test_cutmix_pastes_a_box_of_the_share_of_the_classes(folder):
    only = ClassificationAugmentation(cutmix_alpha=1.0)
    plain = batches(folder, 6, ClassificationAugmentation(), batch_size=6)
    mixed = batches(folder, 6, only, batch_size=6)
    shares_seen = []
    for (images, classes), (found, shares) in zip(plain, mixed, strict=True):
        is_own = (found == images).all(-1)
        pasted = (found == images[[1, 0, 3, 2, 5, 4]]).all(-1)
        assert (is_own | pasted).all()
        own = is_own[0].mean()
        shares_seen.append(own)
        targets = np.eye(3)[classes]
        np.testing.assert_allclose(
            shares, own * targets + (1 - own) * targets[[1, 0, 3, 2, 5, 4]], atol=1e-6
        )
    assert min(shares_seen) < 0.75
    assert len(set(shares_seen)) > 3


def test_repeated_images_are_together_and_differ(folder):
    repeated = ClassificationAugmentation(repeats=3, color_jitter=0.4)
    images, classes = batches(folder, 1, repeated, batch_size=6)[0]
    assert (classes.reshape(2, 3) == classes[::3, None]).all()
    assert not np.array_equal(images[0], images[1])


def test_color_jitter_and_lighting():
    image = np.tile(np.float32((60, 120, 180)), (*SIZE, 1))
    image[: SIZE[0] // 2] += 20
    made = augmented(ClassificationAugmentation(color_jitter=0.4), image=image)
    brightness = made.mean((1, 2, 3)) / image.mean()
    assert 0.58 < brightness.min() < 0.68
    assert 1.32 < brightness.max() < 1.42
    contrast = (made[:, 0, 0] - made[:, -1, 0]).mean(-1) / brightness / 20
    assert contrast.min() < 0.75
    assert contrast.max() > 1.25
    made = augmented(ClassificationAugmentation(lighting=0.1), 2000)[:, 0, 0]
    expected = (
        255 * 0.1 * np.linalg.norm(np.array([-0.5675, 0.7192, 0.4009]) * (0.2175, 0.0188, 0.0045))
    )
    assert made[:, 0].std() == pytest.approx(expected, rel=0.05)  # three standard errors
    assert np.abs(made.mean(0) - 100).max() < 0.4


def test_random_erasing():
    made = augmented(ClassificationAugmentation(erase_prob=0.25), 1000)
    erased = np.isclose(made, np.float32(FILL)).all(-1)
    share = erased.mean((1, 2))
    assert (share > 0).mean() == pytest.approx(0.25, abs=0.05)
    found = share[share > 0]
    assert 0.01 < found.min() < 0.04
    assert 0.27 < found.max() < 0.36
    assert ((made == 100).all(-1) | erased).all()


@pytest.mark.parametrize("policy", ["trivial", "rand"])
def test_policies_use_all_operations(policy):
    random = np.random.default_rng(0)
    image = random.uniform(30, 220, (*SIZE, 3)).round().astype(np.float32)
    made = augmented(ClassificationAugmentation(policy=policy), 300, image)
    assert made.min() >= 0
    assert made.max() <= 255
    same = (made == image).all((1, 2, 3)).mean()
    assert same < (0.15 if policy == "trivial" else 0.05)  # the identity, and a strength of 0
    black = (made == 0).all(-1).mean((1, 2))
    assert (black > 0.1).mean() > 0.1  # moved or turned
    assert len({each.tobytes() for each in made}) > 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"erase_prob": 2},
        {"mixup_alpha": -0.1},
        {"policy": "auto"},
        {"repeats": 0},
        {"area": (0.5, 0.1)},
    ],
)
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=rf"must be .*Received: {next(iter(wrong))}="):
        ClassificationAugmentation(**wrong)
