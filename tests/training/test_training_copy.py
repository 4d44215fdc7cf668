import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_shufflenet.models import PoseEstimator
from keras_shufflenet.models.layers import (
    channel_shuffle,
    channel_slice,
    concatenate,
    split_halves,
)
from keras_shufflenet.training.precision import set_precision
from keras_shufflenet.training.training_copy import (
    ChannelSlice,
    Conv2D,
    FusedBatchNormalization,
    ShufflePermute,
    training_copy,
)
from tests.noise import TOLERANCE, assert_exact
from tests.rounding import EPSILON32, rounding_error


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


def test_layers_are_replaced_by_faster_ones_and_nothing_else_changes(model):
    copy = training_copy(model)
    norms = layers_of(copy, keras.layers.BatchNormalization)
    assert norms
    assert all(type(layer) is FusedBatchNormalization for layer in norms)
    convolutions = [x for x in copy.layers if type(x) in (keras.layers.Conv2D, Conv2D)]
    assert {(type(x), x.kernel_size == (1, 1)) for x in convolutions} == {
        (Conv2D, True),
        (keras.layers.Conv2D, False),
    }
    slices = layers_of(copy, keras.layers.Cropping2D)
    assert slices
    assert all(type(layer) is ChannelSlice for layer in slices)
    assert not layers_of(model, (FusedBatchNormalization, ChannelSlice, Conv2D))
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert [v.path for v in copy.variables] == [v.path for v in model.variables]


def test_inference_is_the_same(model, images):
    np.testing.assert_array_equal(training_copy(model)(images), model(images))


def test_training_mode_is_the_same_and_so_are_the_moving_statistics(model, images):
    plain, copy = keras.models.clone_model(model), training_copy(model)
    plain.set_weights(model.get_weights())
    got = np.asarray(copy(images, training=True))
    plain(images, training=True)
    count = 4 * 32 * 32  # elements per channel after the stem
    own, fused = (
        [variable.numpy() for variable in (layer.moving_mean, layer.moving_variance)]
        for layer in (network.get_layer("stem_conv_bn") for network in (plain, copy))
    )
    fused[1] = 0.9 + (fused[1] - 0.9) * (count - 1) / count  # of the unbiased variance
    for values, expected in zip(fused, own, strict=True):  # errors of a sum are a random walk
        tolerance = rounding_error(expected, count**0.5, EPSILON32)
        np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance)
    assert_exact(got, plain, images, training=True)


def test_a_step_of_training_changes_the_weights_alike(model, images):
    target = np.random.default_rng(1).random((4, 16, 16, 17)).astype("float32")
    plain = keras.models.clone_model(model)
    precise = keras.models.model_from_json(model.to_json().replace('"float32"', '"float64"'))
    for network in (plain, precise):
        network.set_weights(model.get_weights())
    steps = []
    for network in (precise, plain, training_copy(model)):
        network.compile(keras.optimizers.SGD(10.0), loss="mse", run_eagerly=True)
        network.train_on_batch(images, target)
        kernels = (n.get_layer("head_reduce").kernel.numpy() for n in (network, model))
        steps.append(np.subtract(*kernels))
    noise = np.abs(steps[1] - steps[0]).max()
    assert np.abs(steps[0]).max() > 100 * noise
    assert np.abs(steps[2] - steps[0]).max() <= TOLERANCE * noise


def test_a_frozen_layer_does_not_follow(model, images):
    copy = training_copy(model)
    copy.get_layer("stem_conv_bn").trainable = False
    copy(images, training=True)
    np.testing.assert_array_equal(copy.get_layer("stem_conv_bn").moving_mean, np.zeros(24))


@pytest.mark.parametrize("size", [16, None], ids=["fixed size", "any size"])
@pytest.mark.parametrize("mean", [0.0, 100.0])
def test_sums_by_products_of_matrices_have_the_gradients_of_the_formula(size, mean):
    keras.utils.set_random_seed(0)
    x = keras.Input((size, size, 12))
    y = keras.layers.Conv2D(12, 1, activation="relu", name="pointwise")(x)
    model = keras.Model(x, keras.layers.BatchNormalization(name="bn")(y))
    copy = training_copy(model)
    assert type(copy.get_layer("pointwise")) is Conv2D
    assert type(copy.get_layer("bn")) is FusedBatchNormalization
    precise = keras.models.model_from_json(model.to_json().replace('"float32"', '"float64"'))
    precise.set_weights(model.get_weights())
    rng = np.random.default_rng(0)
    images = (mean + rng.normal(size=(4, 16, 16, 12))).astype("float32")
    upstream = rng.normal(size=(4, 16, 16, 12)).astype("float32")
    found = [_outputs_and_gradients(n, images, upstream) for n in (precise, model, copy)]
    for exact, plain, own in zip(*found, strict=True):
        noise = np.abs(plain - exact).max()
        assert np.abs(own - exact).max() <= TOLERANCE * max(noise, EPSILON32 * np.abs(exact).max())


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_channels_of_any_number_are_normalized_in_any_precision(precision):
    x = keras.Input((8, 8, 6))
    y = keras.layers.Conv2D(12, 1, activation="relu", name="pointwise")(x)
    y = keras.layers.BatchNormalization(name="bn")(y)
    model = keras.Model(x, keras.layers.Conv2D(2, 1, name="last")(y))
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 6)).astype("float32")
    outputs = []
    for network in (model, training_copy(model)):
        set_precision(network, precision)
        assert network.get_layer("bn").compute_dtype == precision
        outputs.append(np.asarray(network(images, training=True), "float32"))
    coarse = 2.0**-7 if precision == "bfloat16" else 2.0**-10
    np.testing.assert_allclose(*outputs, rtol=0, atol=16 * coarse * np.abs(outputs[0]).max())


@pytest.mark.parametrize("is_graph", [True, False])
@pytest.mark.parametrize("size", [8, None], ids=["fixed size", "any height"])
@pytest.mark.parametrize("groups", [2, 3, 6], ids=["two groups", "three", "two channels each"])
def test_shuffled_and_split_channels_and_their_gradients_are_the_same(groups, size, is_graph):
    left, right = keras.Input((size, 8, 6)), keras.Input((size, 8, 6))
    x = channel_shuffle(concatenate([left, right], "concat"), groups, "shuffle")
    first, last = split_halves(x, "split")
    middle = channel_slice(x, 3, 7, "middle")
    model = keras.Model([left, right], [x, last, first, middle])
    copy = training_copy(model)
    assert type(copy.get_layer("shuffle_permute")) is ShufflePermute
    random = np.random.default_rng(0)
    values = [random.normal(size=(2, 8, 8, 6)).astype("float32") for _ in range(2)]
    found = []
    for network in (model, copy):

        def run(images, network=network):
            with tf.GradientTape() as tape:
                tape.watch(images)
                outputs = network(images, training=True)
                squares = [tf.reduce_sum(y * y) * (i + 1) for i, y in enumerate(outputs)]
                loss = tf.add_n(squares)
            return [*outputs, *tape.gradient(loss, images)]

        step = tf.function(run, autograph=False) if is_graph else run
        found.append(step([tf.constant(v) for v in values]))
    for own, expected in zip(found[1][:4], found[0][:4], strict=True):
        np.testing.assert_array_equal(own, expected)
    for own, expected in zip(found[1][4:], found[0][4:], strict=True):  # sums of up to four
        np.testing.assert_allclose(own, expected, rtol=4 * EPSILON32)


def _outputs_and_gradients(model, images, upstream):
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = tf.reduce_sum(outputs * tf.cast(upstream, outputs.dtype))
    variables = [v.value for v in model.trainable_variables]
    arrays = [outputs, *tape.gradient(loss, variables), model.get_layer("bn").moving_mean]
    return [np.asarray(array, np.float64) for array in arrays]
