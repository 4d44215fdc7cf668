import keras
import numpy as np
import pytest

from keras_shufflenet.models import PoseEstimator
from keras_shufflenet.training.batch_norm import FusedBatchNormalization, training_copy


@pytest.fixture(scope="module")
def model(shallow):
    keras.utils.set_random_seed(0)
    with shallow():
        return PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=(64, 64))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 3)).astype("float32")


def layers_of(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


def test_every_batch_normalisation_is_fused_and_nothing_else_changes(model):
    copy = training_copy(model)
    norms = layers_of(copy, keras.layers.BatchNormalization)
    assert norms
    assert all(type(layer) is FusedBatchNormalization for layer in norms)
    assert not layers_of(model, FusedBatchNormalization)
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert [v.path for v in copy.variables] == [v.path for v in model.variables]


def test_inference_is_the_same(model, images):
    np.testing.assert_array_equal(training_copy(model)(images), model(images))


def test_training_mode_is_the_same_and_so_are_the_moving_statistics(model, images):
    plain, copy = keras.models.clone_model(model), training_copy(model)
    plain.set_weights(model.get_weights())
    expected, got = plain(images, training=True), copy(images, training=True)
    np.testing.assert_allclose(got, expected, atol=1e-4 * float(np.abs(expected).max()))
    count = 4 * 32 * 32  # elements per channel after the stem
    variance = plain.get_layer("stem_conv_bn").moving_variance - 0.9
    fused = copy.get_layer("stem_conv_bn")
    np.testing.assert_allclose(
        (fused.moving_variance - 0.9) * (count - 1) / count, variance, rtol=1e-4
    )
    np.testing.assert_allclose(
        fused.moving_mean, plain.get_layer("stem_conv_bn").moving_mean, rtol=1e-4, atol=1e-5
    )


def test_a_step_of_training_changes_the_weights_alike(model, images):
    steps = []
    target = np.random.default_rng(1).random((4, 16, 16, 17)).astype("float32")
    plain = keras.models.clone_model(model)
    plain.set_weights(model.get_weights())
    for network in (plain, training_copy(model)):
        network.compile(keras.optimizers.SGD(10.0), loss="mse", jit_compile=False)
        network.fit(images, target, batch_size=4, epochs=1, verbose=0)
        steps.append(
            network.get_layer("head_reduce").kernel - model.get_layer("head_reduce").kernel
        )
    assert float(np.abs(steps[0]).max()) > 0
    np.testing.assert_allclose(steps[1], steps[0], atol=1e-2 * float(np.abs(steps[0]).max()))


def test_a_frozen_layer_does_not_follow(model, images):
    copy = training_copy(model)
    copy.get_layer("stem_conv_bn").trainable = False
    copy(images, training=True)
    np.testing.assert_array_equal(copy.get_layer("stem_conv_bn").moving_mean, np.zeros(24))
