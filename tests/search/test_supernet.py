"""Supernets: all architectures in one model, and each as a plain one."""

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.search import Architecture, Supernet, search_space
from keras_shufflenet.training.batch_norm import estimate_statistics
from keras_shufflenet.training.training_copy import faster_layer
from tests.search.conftest import UNITS

NOISE = 1e-4  # of float32 outputs, whose sums go over other numbers of channels


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow):
    with shallow():
        yield


def outputs(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


def test_an_extracted_network_is_a_plain_one_with_the_outputs_of_the_path(supernet, images):
    rng = np.random.default_rng(1)
    different = []
    for _ in range(2):
        architecture = supernet.space.random(rng)
        supernet.select(architecture)
        supernet.recalibrate([images, images[::-1] / 2])
        network = supernet.extract(architecture)
        plain = ks.create_model(
            f"one_shot:{architecture}", input_shape=(32, 32, 3), classes=["a", "b", "c"]
        )
        assert [(x.name, type(x)) for x in network.layers] == [
            (x.name, type(x)) for x in plain.layers
        ]
        expected = outputs(supernet.model, images)
        np.testing.assert_allclose(outputs(network, images), expected, atol=NOISE)
        plain.set_weights(network.get_weights())
        np.testing.assert_array_equal(outputs(plain, images), outputs(network, images))
        different.append(expected)
    assert np.ptp(different, axis=0).max() > 10 * NOISE


def estimated(network, images):
    """A copy with statistics of images, whose units compute unbiased variances, too."""

    def copied(layer):
        is_of_unit = layer.name.startswith("stage")
        return faster_layer(layer) if is_of_unit else type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(network, clone_function=copied)
    copy.set_weights(network.get_weights())
    estimate_statistics(copy, [images])
    return copy


def test_recalibrated_statistics_are_those_of_a_plain_network(supernet, images):
    architecture = Architecture.parse("30211203@" + ",".join(["0.6", "1.4"] * 4))
    supernet.select(architecture)
    network = supernet.extract(architecture)
    supernet.recalibrate([images])
    plain = estimated(network, images)
    np.testing.assert_allclose(outputs(supernet.model, images), outputs(plain, images), atol=NOISE)
    before = outputs(supernet.model, images)
    supernet.recalibrate([images])  # nothing of the statistics before is left
    np.testing.assert_array_equal(outputs(supernet.model, images), before)


def test_a_saved_supernet_is_the_same(supernet, images, tmp_path):
    path = tmp_path / "supernet.keras"
    supernet.model.save(path)
    loaded = Supernet.load(path)
    assert loaded.space == supernet.space
    architecture = Architecture.parse("11111111@" + ",".join(["0.6"] * 8))
    for each in (supernet, loaded):
        each.select(architecture)
    np.testing.assert_array_equal(outputs(loaded.model, images), outputs(supernet.model, images))


@pytest.mark.parametrize(
    ("build", "space"),
    [
        (lambda: ks.PoseEstimator(f"one_shot:{UNITS}", "coco", "fpn", (64, 64)), "one_shot"),
        (lambda: ks.NanoDetPlus(1.0, f"detnas_300m:{UNITS}", ["a"], (64, 64, 3)), "detnas_300m"),
        (
            lambda: ks.RetinaNet(
                f"detnas_300m:{UNITS}", ["a"], (64, 64, 3), fpn_channels=8, head_convs=1
            ),
            "detnas_300m",
        ),
    ],
)
def test_heads_of_other_tasks(build, space):
    supernet = Supernet.of(build(), search_space(space))
    architecture = Architecture.parse("13203021")
    supernet.select(architecture)
    network = supernet.extract(architecture)
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    expected = outputs(supernet.model, images)
    np.testing.assert_allclose(outputs(network, images), expected, atol=NOISE * np.ptp(expected))
    assert network.name.endswith("_13203021")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda _: Supernet(keras.Sequential([keras.Input((2,))])),
            r"must be a supernet.*Received",
        ),
        (lambda s: s.select(Architecture((0,) * 8, (0.8,) * 8)), r"channel scales among.*Received"),
        (lambda s: s.extract(Architecture((0,) * 20)), r"must have 8 choices.*Received"),
        (
            lambda s: Supernet.of(ks.ShuffleNetV2(), s.space),
            r"must be built on a network of the space one_shot.*Received",
        ),
        (lambda s: Supernet.load(__file__), r"must be a .keras file.*Received"),
        (lambda s: Supernet.load("none.keras"), r"must be an existing file.*Received"),
    ],
)
def test_wrong_arguments(supernet, call, text):
    with pytest.raises((ValueError, FileNotFoundError), match=text):
        call(supernet)
