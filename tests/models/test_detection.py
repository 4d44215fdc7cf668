"""Builders of detectors: registry, classes, backbones, input."""

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.models.layers import signed_max_pool
from tests.rounding import EPSILON32

SMALL = {"input_shape": (64, 96, 3), "backbone": "shufflenet_v2_x0_25"}
PRIORS = {ks.NanoDet: 96 + 24 + 6, ks.NanoDetPlus: 96 + 24 + 6 + 2}
BUILDERS = list(PRIORS)


@pytest.fixture(scope="module")
def small(shallow):
    """A maker of small detectors."""

    def make(builder, **arguments):
        with shallow():
            return builder(**{**SMALL, **arguments})

    return make


def kernels(model: keras.Model, start: str) -> list[np.ndarray]:
    return [
        weight
        for layer in model.layers
        if layer.name.startswith(start)
        for weight in layer.get_weights()
    ]


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_row_for_each_point(small, builder):
    model = small(builder, classes=3)
    assert model.output_shape == (None, PRIORS[builder], 3 + 32)
    assert all(len(layer.output.shape) <= 4 for layer in model.layers)
    logits = model(np.zeros((1, 64, 96, 3)))[..., :3].numpy()
    assert np.median(logits) == pytest.approx(-4.595, abs=0.5)  # 1 %


def test_a_model_of_any_size_is_the_one_of_that_size(small):
    fixed, variable = small(ks.NanoDetPlus), small(ks.NanoDetPlus, input_shape=(None, None, 3))
    for layer in variable.layers:  # the order of the layers differs
        if layer.weights:
            layer.set_weights(fixed.get_layer(layer.name).get_weights())
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    expected, found = fixed(image).numpy(), variable(image).numpy()
    np.testing.assert_allclose(found, expected, rtol=8 * EPSILON32)


def test_files_keep_the_names_of_the_classes(small, tmp_path):
    model = small(ks.NanoDet, classes=["cat", "dog"])
    model.save(tmp_path / "detector.keras")
    opened = keras.models.load_model(tmp_path / "detector.keras")
    assert ks.models.class_names(opened) == ("cat", "dog")
    assert ks.models.class_names(small(ks.NanoDet, classes=2)) == ()
    image = np.full((1, 64, 96, 3), 99)
    np.testing.assert_array_equal(opened(image), model(image))


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".safetensors"])
def test_weights_of_other_classes_keep_the_boxes_and_the_classes_of_the_same_names(
    small, tmp_path, suffix
):
    trained, path = small(ks.NanoDet), tmp_path / f"trained{suffix}"
    ks.weights.save(trained, path)
    names = ["gnome", "Traffic_light", "person"]
    with pytest.warns(UserWarning, match="'gnome' of the classes are new.*'person' among them"):
        model = small(ks.NanoDet, classes=names, weights=str(path))
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    ours, theirs = model(image).numpy(), trained(image).numpy()
    np.testing.assert_array_equal(ours[..., 1:], theirs[..., [9, 0, *range(80, 112)]])
    assert np.median(ours[..., 0]) == pytest.approx(-4.595, abs=0.5)


def test_a_file_tells_the_names_of_its_classes(small, tmp_path):
    path = tmp_path / "pets.keras"
    pets = small(ks.NanoDetPlus, classes=["cat", "dog"])
    pets.save(path)
    model = small(ks.NanoDetPlus, classes=["dog", "cat"], weights=str(path))  # no warning
    image = np.full((1, 64, 96, 3), 99)
    np.testing.assert_array_equal(
        model(image).numpy()[..., [1, 0, *range(2, 34)]], pets(image).numpy()
    )


def test_weights_of_another_number_of_classes_without_names(small, tmp_path):
    trained, path = small(ks.NanoDet), tmp_path / "trained.weights.h5"
    ks.weights.save(trained, path)
    with pytest.warns(UserWarning, match="the classes are new, .* with the boxes of the head"):
        model = small(ks.NanoDet, classes=2, weights=str(path))
    image = np.full((1, 64, 96, 3), 99)
    np.testing.assert_array_equal(model(image)[..., 2:], trained(image)[..., 80:])


def test_a_file_of_a_wider_head_is_refused(small, tmp_path):
    path = tmp_path / "wide.weights.h5"
    ks.weights.save(small(ks.NanoDet, size="m_1.5x", backbone="shufflenet_v2_x0_25"), path)
    with pytest.raises(ks.weights.WeightsMismatchError, match="mismatched shapes"):
        small(ks.NanoDet, classes=["cat"], weights=str(path))


@pytest.mark.parametrize(
    ("backbone", "activation"),
    [
        ("mobilenet_v2_x0_35", "relu"),
        ("shufflenet_v1_x0_5_g3", "relu"),
        ("shufflenet_v2_x0_5_megvii", "leaky_relu"),
    ],
)
def test_any_backbone(small, backbone, activation):
    model = small(ks.NanoDetPlus, backbone=backbone)
    assert model.output_shape == (None, PRIORS[ks.NanoDetPlus], 112)
    assert model.name == f"nanodet_plus_m_{backbone}"
    assert any(layer.name.endswith(f"_{activation}") for layer in model.layers)


def test_gray_images(small, tmp_path):
    path = tmp_path / "rgb.weights.h5"
    ks.weights.save(small(ks.NanoDet), path)
    gray = small(ks.NanoDet, input_shape=(64, 96, 1), weights=str(path), adapt_input_channels=True)
    assert gray.output_shape == (None, PRIORS[ks.NanoDet], 112)


def test_a_tensor_of_another_model_is_the_image():
    camera = keras.Input((64, 96, 3))
    image = keras.layers.Rescaling(255.0, name="to_bytes")(camera)
    model = ks.NanoDet(backbone="shufflenet_v2_x0_25", input_tensor=image)
    assert model.input_shape == (None, 64, 96, 3)
    assert model.get_layer("to_bytes") in model.layers
    with pytest.raises(ValueError, match=r"shape of `input_tensor`, \(64, 96, 3\), or None"):
        ks.NanoDetPlus(input_tensor=image, input_shape=(64, 64, 3))
    with pytest.raises(ValueError, match="must be a Keras tensor"):
        ks.RetinaNet("shufflenet_v2_x0_25", input_tensor=np.zeros((1, 64, 64, 3)))


def test_names_and_sizes():
    names = ks.list_models("nanodet*", task="detection")
    assert len(names) == 9
    published = {
        entry.model: entry for entry in ks.weights.list_weights() if "nanodet" in entry.name
    }
    assert sorted(published) == names
    model = ks.create_model("nanodet_m_416")
    assert (model.name, model.input_shape) == ("nanodet_m_416", (None, 416, 416, 3))
    assert ks.count_params_and_macs(model) == ks.models.MODEL_STATS["nanodet_m_416"]
    assert published["nanodet_m_416"].ap == 0.235


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "s"}, r"`size` must be one of .*Received: size='s'"),
        ({"classes": 0}, r"`classes` must be a positive integer\. Received: classes=0"),
        ({"input_shape": (320, 300, 3)}, r"multiples of 32.*Received: input_shape=\(320, 300, 3\)"),
        ({"backbone": "vgg"}, r"`name` must be one of .*Received: name='vgg'"),
    ],
)
def test_invalid_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ks.NanoDet(**arguments)


def test_an_unknown_detector():
    with pytest.raises(ValueError, match=r"must be one of .*Received: name='nanodet_xl'"):
        ks.create_model("nanodet_xl")


@pytest.mark.parametrize("size", [(6, 8), (5, 6), (None, None)])
def test_maxima_of_negative_feature_maps(size):
    values = -np.random.default_rng(0).uniform(1, 9, (1, *(side or 7 for side in size), 2))
    image = keras.Input((*size, 2))
    found = keras.Model(image, signed_max_pool(image, "pool")).predict_on_batch(values)
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2]
    np.testing.assert_array_equal(found, windows.max((-2, -1)).astype(np.float32))
