"""Images with one, two, four or more channels, and weights for RGB in their networks."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from tests.noise import TOLERANCE, exact

SIZE = (32, 32)
FAMILIES = {
    "shufflenet_v1": lambda **a: ks.ShuffleNetV1(0.5, **a),
    "shufflenet_v1_mmcls": lambda **a: ks.ShuffleNetV1(1.0, 1, "mmcls", **a),
    "shufflenet_v2": lambda **a: ks.ShuffleNetV2(0.5, **a),
    "shufflenet_v2_megvii": lambda **a: ks.ShuffleNetV2(0.5, "megvii", **a),
    "shufflenet_v2_plus": lambda **a: ks.ShuffleNetV2Plus("small", **a),
    "one_shot": lambda **a: ks.OneShotNet(**a),
    "detnas": lambda **a: ks.DetNAS(**a),
    "mobilenet_v2": lambda **a: ks.MobileNetV2(0.35, **a),
}


def gray(count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (count, *SIZE, 1)).astype("float32")


def features(build, channels: int, **arguments) -> keras.Model:
    return build(include_top=False, input_shape=(*SIZE, channels), **arguments)


def randomize(model: keras.Model) -> keras.Model:
    """Weights as a trained network has them: other statistics, and gamma and beta."""
    draw = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(draw.uniform(0.8, 1.2, layer.gamma.shape))
            layer.beta.assign(draw.normal(0, 0.2, layer.gamma.shape))
            layer.moving_mean.assign(draw.normal(0, 0.1, layer.gamma.shape))
    return model


@pytest.fixture
def saved(shallow, tmp_path):
    """Build an RGB network, save its weights, and build it for other channels with them."""

    def make(build, channels: int, **arguments) -> tuple[keras.Model, keras.Model]:
        keras.utils.set_random_seed(0)
        with shallow():
            rgb = randomize(features(build, 3, **arguments))
            ks.weights.save(rgb, tmp_path / "rgb.weights.h5")
            arguments |= {"weights": str(tmp_path / "rgb.weights.h5")}
            return rgb, features(build, channels, adapt_input_channels=True, **arguments)

    return make


def assert_equal(model: keras.Model, x: np.ndarray, rgb: keras.Model, y: np.ndarray) -> None:
    expected, noise = exact(rgb, y)
    found, own_noise = exact(model, x)
    assert np.abs(expected).max() > 0
    assert np.abs(found - expected).max() <= TOLERANCE * max(noise, own_noise)


@pytest.mark.parametrize(
    ("build", "channels"), list(zip(FAMILIES.values(), [1, 4] * 4, strict=True)), ids=FAMILIES
)
def test_builders_take_any_number_of_channels(build, channels, shallow):
    with shallow():
        model = build(include_top=False, input_shape=(None, None, channels))
    assert model.input.shape == (None, None, None, channels)
    assert model.get_layer("stem_conv").kernel.shape[2] == channels
    assert model.get_layer("preprocessing").output.shape[-1] == channels


def test_statistics_of_other_channels_are_the_average_of_the_colors():
    average = (123.675 + 116.28 + 103.53) / 3
    for channels, expected in {
        1: [average],
        2: [average, average],
        4: [123.675, 116.28, 103.53, average],
    }.items():
        layer = features(FAMILIES["mobilenet_v2"], channels).get_layer("preprocessing")
        np.testing.assert_allclose(np.ravel(layer.mean), expected, rtol=1e-6)


def test_mean_images_of_other_channels():
    colors = np.random.default_rng(0).uniform(0, 255, (*SIZE, 3))
    preprocessing = ks.models._preprocessing
    for channels in (1, 4):
        image = keras.Input((*SIZE, channels))
        made = preprocessing.prepend_preprocessing(image, preprocessing.Preprocessing(colors))
        found = keras.Model(image, made)(np.zeros((1, *SIZE, channels)))
        np.testing.assert_allclose(found[0, ..., -1], -colors.mean(axis=-1), rtol=1e-5)


# Where nothing is subtracted before the padding, a gray network is exactly the RGB network.
@pytest.mark.parametrize(("family", "channels"), [("shufflenet_v2_megvii", 1), ("detnas", 2)])
def test_gray_images_give_the_output_of_the_rgb_network(family, channels, saved):
    rgb, model = saved(FAMILIES[family], channels)
    x = gray()
    assert_equal(model, np.repeat(x, channels, -1), rgb, np.repeat(x, 3, -1))


def test_normalized_gray_images_give_the_output_of_the_rgb_network(saved):
    rgb, model = saved(FAMILIES["mobilenet_v2"], 1, include_preprocessing=False)
    x = gray() / 255
    assert_equal(model, x, rgb, np.repeat(x, 3, -1))


def test_normalization_is_compensated_but_beside_the_padding(saved):
    rgb, model = saved(FAMILIES["mobilenet_v2"], 1)
    stems = [keras.Model(m.input, m.get_layer("stem_conv_bn").output) for m in (rgb, model)]
    x = gray()
    expected, noise = exact(stems[0], np.repeat(x, 3, -1))
    found, _ = exact(stems[1], x)
    difference = np.abs(found - expected)
    assert difference[:, 1:, 1:].max() <= TOLERANCE * noise
    # The padding has the mean color of RGB there, and its average here.
    means, stds = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    kernel, norm = rgb.get_layer("stem_conv").kernel.numpy(), rgb.get_layer("stem_conv_bn")
    taps = np.einsum("hwio,i->hwo", kernel, (means - means.mean()) / stds)
    bound = np.abs(taps).sum((0, 1)) * norm.gamma.numpy() / np.sqrt(1 + norm.epsilon)
    assert TOLERANCE * noise < difference.max() < bound.max()


@pytest.mark.parametrize("family", ["shufflenet_v2_megvii", "shufflenet_v2"])
def test_further_channels_begin_without_influence(family, saved):
    rgb, model = saved(FAMILIES[family], 4)
    x = np.random.default_rng(1).uniform(0, 255, (2, *SIZE, 4)).astype("float32")
    assert_equal(model, x, rgb, x[..., :3])


def test_a_file_of_the_same_network_is_loaded_as_it_is(tmp_path, shallow):
    with shallow():
        model = features(FAMILIES["shufflenet_v2_megvii"], 4)
        for suffix in (".weights.h5", ".safetensors"):
            ks.weights.save(model, path := tmp_path / f"own{suffix}")
            again = features(FAMILIES["shufflenet_v2_megvii"], 4, weights=str(path))
            for one, other in zip(model.weights, again.weights, strict=True):
                np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_bgr_publishers_swap_the_first_three_channels_only(shallow):
    with shallow():
        model = features(FAMILIES["shufflenet_v2_megvii"], 4)
    kernel = model.get_layer("stem_conv").kernel.numpy()
    published = ks.weights.state_dict(model)["first_conv.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(published, kernel[:, :, [2, 1, 0, 3]])


@pytest.mark.parametrize(
    "build",
    [
        lambda: ks.MobileNetV2(input_shape=(32, 32, 1), weights="imagenet"),
        lambda: ks.create_model(
            "shufflenet_v2_x0_5", input_shape=(32, 32, 4), weights="shufflenet_v2_x0_5.torchvision"
        ),
        lambda: ks.PoseEstimator(input_channels=1, input_size=(32, 32), weights="coco"),
        lambda: ks.PoseEstimator(
            input_channels=1, input_size=(32, 32), backbone_weights="imagenet"
        ),
    ],
)
def test_published_weights_are_never_adapted_silently(build, monkeypatch):
    monkeypatch.setenv("KERAS_SHUFFLENET_OFFLINE", "1")  # a download would be another error
    with pytest.raises(ValueError, match=r"adapt_input_channels=True.*Received: weights='.*chann"):
        build()


def test_a_file_for_rgb_is_refused_with_a_hint(shallow, tmp_path):
    with shallow():
        for suffix in (".weights.h5", ".safetensors"):
            path = tmp_path / f"rgb{suffix}"
            ks.weights.save(features(FAMILIES["shufflenet_v2"], 3), path)
            with pytest.raises(ValueError, match=r"(?s)stem_conv.*adapt_input_channels=True"):
                features(FAMILIES["shufflenet_v2"], 1, weights=str(path))


def test_registry_feature_extractor_and_pose_estimator_adapt(shallow, tmp_path):
    backbone, estimator = str(tmp_path / "a.weights.h5"), str(tmp_path / "b.weights.h5")
    one = {"input_shape": (*SIZE, 1), "adapt_input_channels": True, "weights": backbone}
    with shallow():
        rgb = ks.create_model("shufflenet_v2_x0_25", include_top=False)
        ks.weights.save(rgb, backbone)
        kernel = rgb.get_layer("stem_conv").kernel
        pose = ks.PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=SIZE)
        ks.weights.save(pose, estimator)
        options = {"head": "light", "input_size": SIZE, "input_channels": 1}
        options["adapt_input_channels"] = True
        made = [
            ks.create_model("shufflenet_v2_x0_25", include_top=False, **one),
            ks.feature_extractor("shufflenet_v2_x0_25", (4, 8), **one),
            ks.PoseEstimator("shufflenet_v2_x0_25", backbone_weights=backbone, **options),
            ks.PoseEstimator("shufflenet_v2_x0_25", weights=estimator, **options),
        ]
    stds = np.array([58.395, 57.12, 57.375])
    for model, source in zip(
        made, [kernel] * 3 + [pose.get_layer("stem_conv").kernel], strict=True
    ):
        assert model.input.shape[-1] == 1
        summed = (source.numpy() / stds[:, None]).sum(2, keepdims=True) * stds.mean()
        np.testing.assert_allclose(
            model.get_layer("stem_conv").kernel, summed, rtol=1e-5, atol=1e-7
        )
    last = [m.get_layer("head_final").kernel.numpy() for m in (pose, made[-1])]
    np.testing.assert_array_equal(*last)


# Keras' warning, which pyproject.toml ignores by its module, is repeated from here.
@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_other_classes_keep_their_head(shallow, tmp_path):
    path = tmp_path / "rgb.weights.h5"
    with shallow():
        ks.weights.save(ks.ShuffleNetV2(0.25), path)
        with pytest.warns(UserWarning, match="`predictions` is new"):
            model = ks.ShuffleNetV2(
                0.25,
                input_shape=(*SIZE, 1),
                classes=7,
                weights=str(path),
                adapt_input_channels=True,
            )
    assert model.output.shape == (None, 7)
    assert np.ptp(model.get_layer("predictions").kernel) > 0


CHANNELS_FIRST = """
import json, sys
import keras
keras.config.set_image_data_format("channels_first")
import keras_shufflenet as ks
from tests.shortcuts import shallow
found = {}
with shallow():
    for name in json.loads(sys.argv[1]):
        for channels in (1, 4):
            model = ks.create_model(name, include_top=False, input_shape=(channels, None, None))
            found[f"{name} {channels}"] = model.get_layer("preprocessing").output.shape[1]
    rgb = ks.create_model(name, include_top=False)
    ks.weights.save(rgb, sys.argv[2])
    gray = ks.create_model(name, include_top=False, input_shape=(1, 32, 32), weights=sys.argv[2],
        adapt_input_channels=True)
    found["gray 1"] = gray.get_layer("stem_conv").kernel.shape[2]
print(json.dumps(found))
"""


def test_channels_first(tmp_path):
    names = ["shufflenet_v2_plus_small", "mobilenet_v2_x0_35"]
    command = [sys.executable, "-c", CHANNELS_FIRST, json.dumps(names), tmp_path / "a.weights.h5"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 2 * len(names) + 1
    assert {int(name.split()[-1]): made for name, made in found.items()} == {1: 1, 4: 4}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"include_top": "no"}, "`include_top` must be True or False. Received: include_top='no'"),
        ({"include_preprocessing": 1}, "True or False. Received: include_preprocessing=1"),
        ({"adapt_input_channels": "yes"}, "Received: adapt_input_channels='yes'"),
        ({"classifier_activation": "soft"}, "Received: classifier_activation='soft'"),
        ({"input_shape": (3, 64, 64)}, r"\(height, width, channels\).*Received: .*\(3, 64, 64\)"),
        ({"input_shape": (64, 64, 0)}, r"Received: input_shape=\(64, 64, 0\)"),
        ({"input_shape": (64, "a", 3)}, r"Received: input_shape=\(64, 'a', 3\)"),
    ],
)
def test_arguments_are_checked(arguments, text):
    with pytest.raises(ValueError, match=text):
        ks.ShuffleNetV2(0.25, **arguments)


def test_a_mean_image_is_no_path():
    with pytest.raises(ValueError, match=r"`mean_image` must be an array.*Received: .*x\.xml"):
        ks.ShuffleNetV2Large(mean_image="x.xml")


def test_pooling_with_the_top_is_ignored_as_by_keras(shallow):
    with shallow():
        assert ks.ShuffleNetV2(0.25, pooling="max", classes=7).output.shape == (None, 7)
