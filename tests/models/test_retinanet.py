"""RetinaNet: outputs, shared layers, classes, backbones."""

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.detection.priors import RETINANET, make_priors
from tests.rounding import EPSILON32

SIZE = (64, 96)
ANCHORS = 9 * (96 + 24 + 6 + 2 + 1)
SMALL = {
    "backbone": "shufflenet_v2_x0_25",
    "input_shape": (*SIZE, 3),
    "fpn_channels": 8,
    "head_convs": 1,
}


@pytest.fixture(scope="module")
def small(shallow):
    """A maker of small detectors."""

    def make(**arguments):
        with shallow():
            return ks.RetinaNet(**{**SMALL, **arguments})

    return make


@pytest.fixture(scope="module")
def model(small):
    keras.utils.set_random_seed(0)
    return small(classes=["cat", "dog"])


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (1, *SIZE, 3)).astype(np.float32)


def test_a_row_for_each_anchor(model, image):
    assert model.name == "retinanet_shufflenet_v2_x0_25"
    assert model.output_shape == (None, ANCHORS, 2 + 4)
    assert len(make_priors(RETINANET, SIZE)) == ANCHORS
    nodes = [node for operation in model.operations for node in operation._inbound_nodes]
    assert max(len(node.outputs[0].shape) for node in nodes) == 4
    assert {layer["module"].partition(".")[0] for layer in model.get_config()["layers"]} == {
        "keras"
    }
    scores = 1 / (1 + np.exp(-model.predict_on_batch(image)[..., :2]))
    np.testing.assert_allclose(scores, 0.01, rtol=0.1)


def test_rows_are_in_the_order_of_the_anchors(small, image):
    """Each anchor has its own bias, the same at all points of all levels."""
    model = small(classes=3)
    biases = {
        "head_classes": np.arange(27).reshape(9, 3),
        "tower_boxes_final": -np.arange(36).reshape(9, 4),
    }
    for name, bias in biases.items():
        layer = model.get_layer(name)
        layer.set_weights([np.zeros(layer.kernel.shape), bias.flatten()])
    rows = np.concatenate(list(biases.values()), axis=1)
    np.testing.assert_array_equal(
        model.predict_on_batch(image)[0], np.tile(rows, (ANCHORS // 9, 1))
    )


def test_levels_share_the_head(model):
    counts = {"tower_classes_conv0": 9 * 8 * 8, "tower_boxes_conv0": 9 * 8 * 8}
    counts |= {"head_classes": 9 * 8 * 18, "tower_boxes_final": 9 * 8 * 36}
    assert {name: model.get_layer(name).kernel.shape for name in counts} == {
        name: (3, 3, 8, count // 72) for name, count in counts.items()
    }
    backbone = ks.feature_extractor(model, (8, 16, 32))
    rest = ks.count_params_and_macs(model).macs - ks.count_params_and_macs(backbone).macs
    lateral = sum(
        points * 8 * output.shape[-1]
        for points, output in zip((96, 24, 6), backbone.outputs, strict=True)
    )
    pyramid = (96 + 24 + 6 + 2 + 1) * 9 * 8 * 8
    assert rest == lateral + pyramid + (96 + 24 + 6 + 2 + 1) * sum(counts.values())


def test_a_model_of_any_size_is_the_one_of_that_size(small, model, image):
    variable = small(classes=2, input_shape=(None, None, 3))
    for layer in variable.layers:  # the order of the layers differs
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    expected, found = model(image).numpy(), variable(image).numpy()
    np.testing.assert_allclose(found, expected, rtol=8 * EPSILON32, atol=8 * EPSILON32)


def test_files_keep_the_names_of_the_classes(model, tmp_path, image):
    model.save(tmp_path / "detector.keras")
    opened = keras.models.load_model(tmp_path / "detector.keras")
    assert ks.models.class_names(opened) == ("cat", "dog")
    np.testing.assert_array_equal(opened(image), model(image))


def test_a_detector_finds_what_an_anchor_tells(small):
    model = small(classes=["cat", "dog"])
    for name, cold in (("head_classes", -9.0), ("tower_boxes_final", 0.0)):
        layer = model.get_layer(name)
        bias = np.full(layer.bias.shape, cold)
        if name == "head_classes":
            bias[2 * 4 + 1] = 2.0  # the second square anchor is a dog
        layer.set_weights([np.zeros(layer.kernel.shape), bias])
    detector = ks.inference.Detector.load(model, iou_threshold=0.99, max_detections=1000)
    assert detector.class_names == ("cat", "dog")
    (found,) = detector.detect([np.zeros((*SIZE, 3), np.uint8)])
    assert set(found.classes) == {1}
    anchors = make_priors(RETINANET, SIZE)[4::9]
    corners = np.concatenate(
        [anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], axis=1
    )
    expected = np.unique(np.clip(corners, 0, (96, 64, 96, 64)).round(6), axis=0)
    np.testing.assert_allclose(np.unique(found.boxes.round(6), axis=0), expected)


def test_classes_of_the_same_name_keep_their_weights(small, model, tmp_path):
    model.save(tmp_path / "trained.keras")
    with pytest.warns(UserWarning, match="'bird' of the classes are new"):
        other = small(classes=["bird", "dog"], weights=str(tmp_path / "trained.keras"))
    for layer in model.layers:
        for ours, theirs in zip(
            other.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True
        ):
            is_dog = slice(1, None, 2) if layer.name == "head_classes" else slice(None)
            np.testing.assert_array_equal(ours[..., is_dog], theirs[..., is_dog])


@pytest.mark.parametrize("name", ["detnas_coco_fpn_300m", "mobilenet_v2_x0_35"])
def test_backbones_by_name(shallow, name):
    arguments = {key: value for key, value in SMALL.items() if key != "backbone"}
    with shallow():
        model = ks.create_model(f"retinanet_{name}", classes=1, **arguments)
    assert (model.name, model.output_shape) == (f"retinanet_{name}", (None, ANCHORS, 5))


def test_published_configurations():
    names = ks.list_models("retinanet_*", task="detection")
    backbones = ks.list_models("detnas_*")
    assert names == [f"retinanet_{backbone}" for backbone in backbones]
    model = ks.create_model("retinanet_detnas_coco_retinanet_300m")
    assert model.input_shape == (None, 512, 512, 3)
    assert ks.count_params_and_macs(model) == ks.models.MODEL_STATS[model.name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fpn_channels": 0}, r"positive integer\. Received: fpn_channels=0"),
        ({"head_convs": -1}, r"non-negative integer\. Received: head_convs=-1"),
        ({"classes": []}, r"`classes` must be .*Received: classes=\[\]"),
        ({"input_shape": (64, 80, 3)}, r"multiples of 32.*Received: input_shape=\(64, 80, 3\)"),
        ({"backbone": "vgg"}, r"`name` must be one of .*Received: name='vgg'"),
        ({"weights": "coco"}, r"Received: .*coco"),
    ],
)
def test_invalid_arguments(small, arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
