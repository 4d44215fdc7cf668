"""Color jitter and CutMix of person crops: what changes, by how much, and what stays."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

import keras_shufflenet as ks
from keras_shufflenet.data import Augmentation
from keras_shufflenet.data.pixel_augmentation import CUT_AREA, cut_mix, jitter_colors
from tests.rounding import EPSILON32

SIZE = (128, 96)
STILL = Augmentation(0.0, flip_prob=0.0, half_body_prob=0.0, scale_factor=0.0, rotate_prob=0.0)
BOTH = replace(STILL, color_jitter=0.4, cutmix_prob=0.5)


def batches(people, count, augmentation, **arguments):
    arguments = {"input_size": SIZE, "batch_size": 4, "training": True} | arguments
    stream = ks.data.keypoints(*people, augmentation=augmentation, **arguments).take(count)
    return [[part.numpy() for part in batch] for batch in stream]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (64, 32, 24, 3)).astype("float32")


def draws(count, columns):
    return np.random.default_rng(1).uniform(size=(count, columns)).astype("float32")


def test_nothing_changes_where_nothing_is_drawn(images):
    unchanged = jitter_colors(images, np.full((64, 6), 0.5, "float32"), 0.4)
    np.testing.assert_allclose(unchanged, images, rtol=0, atol=255 * 8 * EPSILON32)
    same, is_cut = cut_mix(images, draws(64, 5), 0.0)
    np.testing.assert_array_equal(same, images)
    assert not np.any(is_cut)


def test_colors_change_by_the_strength_at_most(images):
    dim = 60 + images / 8
    strongest = np.ones((64, 6), "float32")
    brightness, contrast, saturation = (
        np.where(np.arange(6) == number, strongest, np.float32(0.5)) for number in range(3)
    )
    np.testing.assert_allclose(jitter_colors(dim, brightness, 0.4), 1.4 * dim, rtol=1e-5)
    mean = dim.mean(axis=(1, 2, 3), keepdims=True)
    expected = mean + 1.4 * (dim - mean)
    np.testing.assert_allclose(jitter_colors(dim, contrast, 0.4), expected, rtol=1e-5)
    gray = (dim * [0.299, 0.587, 0.114]).sum(-1, keepdims=True)
    expected = gray + 1.4 * (dim - gray)
    np.testing.assert_allclose(jitter_colors(dim, saturation, 0.4), expected, rtol=1e-5)
    red = np.where(np.arange(6) == 3, strongest, np.float32(0.5))
    np.testing.assert_allclose(jitter_colors(dim, red, 0.4), dim * [1.1, 1, 1], rtol=1e-5)
    jittered = np.asarray(jitter_colors(images, draws(64, 6), 1.0))
    assert jittered.min() == 0
    assert jittered.max() == 255


def test_a_box_of_the_neighbor_is_pasted_in_its_place(images):
    mixed, is_cut = (np.asarray(found) for found in cut_mix(images, draws(64, 5), 0.6))
    np.testing.assert_array_equal(is_cut, draws(64, 5)[:, 0] < 0.6)
    neighbors = images[np.arange(64) ^ 1]
    pasted = (mixed != images).any(axis=-1)
    np.testing.assert_array_equal(mixed, np.where(pasted[..., None], neighbors, images))
    np.testing.assert_array_equal(pasted.any(axis=(1, 2)), is_cut)
    areas = pasted[is_cut].mean(axis=(1, 2))
    pixel = 2 / 24  # of the sides of a box
    assert areas.min() >= CUT_AREA[0] * (1 - pixel) ** 2 - pixel / 2
    assert areas.max() <= CUT_AREA[1] * (1 + pixel) ** 2
    rows, columns = pasted[is_cut].any(axis=2), pasted[is_cut].any(axis=1)
    np.testing.assert_array_equal(
        pasted[is_cut], rows[:, :, None] & columns[:, None]
    )  # a box, without holes
    assert len({tuple(row) for row in rows}) > len(rows) / 2


def test_labels_of_mixed_crops_are_not_used(people):
    plain, mixed = batches(people, 6, STILL), batches(people, 6, replace(STILL, cutmix_prob=0.5))
    seen = set()
    for (images, heatmaps, weights), (found, maps, others) in zip(plain, mixed, strict=True):
        is_mixed = (images != found).any(axis=(1, 2, 3))
        seen.update(is_mixed.tolist())
        assert not others[is_mixed].any()
        assert not maps[is_mixed].any()
        np.testing.assert_array_equal(others[~is_mixed], weights[~is_mixed])
        np.testing.assert_array_equal(maps[~is_mixed], heatmaps[~is_mixed])
    assert seen == {True, False}


def test_colors_change_no_label(people):
    pairs = zip(
        batches(people, 3, STILL), batches(people, 3, replace(STILL, color_jitter=0.4)), strict=True
    )
    for (images, *labels), (found, *others) in pairs:
        assert np.abs(images - found).max() > 5
        for expected, other in zip(labels, others, strict=True):
            np.testing.assert_array_equal(other, expected)


def test_the_step_decides_everything(people):
    whole = batches(people, 5, BOTH)
    resumed = batches(people, 2, BOTH, start_step=3)
    workers = [batches(people, 5, BOTH, shard=(index, 2)) for index in range(2)]
    shared = [
        [np.concatenate(parts) for parts in zip(*pair, strict=True)]
        for pair in zip(*workers, strict=True)
    ]
    for expected, found in ((whole[3:], resumed), (whole, shared)):
        for batch, other in zip(expected, found, strict=True):
            for a, b in zip(batch, other, strict=True):
                np.testing.assert_array_equal(a, b)
    other_seed = batches(people, 1, BOTH, seed=1)
    assert np.abs(other_seed[0][0] - whole[0][0]).mean() > 0.5


def test_without_training_nothing_changes(people):
    (expected, *_), (found, *_) = (
        batches(people, 1, augmentation, training=False)[0] for augmentation in (STILL, BOTH)
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["color_jitter", "cutmix_prob"])
@pytest.mark.parametrize("value", [-0.1, 1.5, True, "0.3"])
def test_amounts_are_fractions(name, value):
    message = rf"^`{name}` must be a number between 0 and 1. Received: {name}={value!r}$"
    with pytest.raises(ValueError, match=message):
        Augmentation(**{name: value})


def test_a_batch_of_one_is_not_mixed():
    image = tf.ones([1, 8, 8, 3])
    mixed, _ = cut_mix(image, np.zeros((1, 5), "float32"), 1.0)
    np.testing.assert_array_equal(mixed, image)
