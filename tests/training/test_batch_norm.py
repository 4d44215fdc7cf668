"""Batch normalization that was folded into convolutions gets its statistics back."""

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.training.batch_norm import (
    estimate_statistics,
    folded_layers,
    restore_statistics,
)
from tests.noise import assert_exact


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 255, (16, 64, 64, 3)).astype("float32")


@pytest.fixture
def folded(shallow):
    """A network whose batch normalizations hold nothing but a bias."""
    keras.utils.set_random_seed(0)
    with shallow():
        model = ks.ShuffleNetV2(0.25, input_shape=(64, 64, 3), classes=5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.beta.assign(np.random.default_rng(1).normal(0, 0.5, layer.beta.shape))
    return model


def trained_on(model, images):
    """Outputs in training mode, which changes the statistics, of a copy."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return np.asarray(copy(images, training=True))


def test_outputs_stay_and_training_mode_agrees_with_inference(folded, images):
    before = np.asarray(folded(images))
    assert np.abs(trained_on(folded, images) - before).max() > 0.05
    layers = [x for x in folded.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert restore_statistics(folded, np.split(images, 4)) == len(layers)
    assert_exact(before, folded, images)
    assert_exact(trained_on(folded, images), folded, images, training=True)
    assert_exact(before, folded, images, training=True)


def test_nothing_is_folded_in_new_or_real_statistics(folded, images):
    assert folded_layers(ks.ShuffleNetV2(0.25)) == []
    restore_statistics(folded, [images])
    assert folded_layers(folded) == []
    assert restore_statistics(folded, []) == 0


def test_no_image_is_an_error(folded):
    with pytest.raises(ValueError, match="Received: none"):
        restore_statistics(folded, [])


def test_precise_statistics_are_the_means_over_the_batches():
    image = keras.Input((2, 2, 3))
    model = keras.Model(image, keras.layers.BatchNormalization(momentum=0.7)(image))
    batches = np.random.default_rng(0).normal(2, 3, (4, 8, 2, 2, 3)).astype(np.float32)
    estimate_statistics(model, batches)
    norm = model.layers[-1]
    assert norm.momentum == 0.7
    means = batches.mean(axis=(0, 1, 2, 3))
    variances = batches.var(axis=(1, 2, 3)).mean(axis=0)
    np.testing.assert_allclose(norm.moving_mean, means, rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, variances, rtol=1e-5)
    estimate_statistics(model, [])
    np.testing.assert_allclose(norm.moving_mean, means, rtol=1e-5)
