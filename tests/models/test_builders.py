"""The contract that every builder keeps."""

import inspect

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from tests.noise import assert_exact
from tests.rounding import EPSILON32

SMALL = {
    "shufflenet_v1": lambda **a: ks.ShuffleNetV1(0.5, **a),
    "shufflenet_v2_plus": lambda **a: ks.ShuffleNetV2Plus("small", **a),
    "shufflenet_v2": lambda **a: ks.ShuffleNetV2(0.25, **a),
    "mobilenet_v2": lambda **a: ks.MobileNetV2(0.35, **a),
}
every_builder = pytest.mark.parametrize("build", SMALL.values(), ids=SMALL)


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (*shape, 3)).astype("float32")


BUILDERS = [
    ks.ShuffleNetV1,
    ks.ShuffleNetV2,
    ks.ShuffleNetV2Plus,
    ks.ShuffleNetV2Large,
    ks.ShuffleNetV2ExLarge,
    ks.OneShotNet,
    ks.DetNAS,
    ks.MobileNetV2,
]


@pytest.mark.parametrize("builder", BUILDERS)
def test_signature_is_the_one_of_keras_applications(builder):
    reference = inspect.signature(keras.applications.MobileNetV2).parameters
    ours = inspect.signature(builder).parameters
    shared = [name for name in reference if name != "alpha"]
    assert set(shared) <= set(ours)
    for name in set(shared) - {"weights", "name"}:
        assert ours[name].default == reference[name].default
    assert ours["weights"].default is None


@every_builder
@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_any_size_and_probabilities(build, size):
    model = build(input_shape=(*size, 3), classes=7)
    found = keras.ops.convert_to_numpy(model(images(2, *size)))
    assert found.shape == (2, 7)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=16 * EPSILON32)


@every_builder
def test_without_top(build):
    assert build(include_top=False).output.shape[:3] == (None, None, None)
    maps = build(include_top=False, input_shape=(96, 64, 3)).output
    assert maps.shape[1:3] == (3, 2)
    for pooling in ("avg", "max"):
        assert build(include_top=False, pooling=pooling).output.shape == (None, maps.shape[-1])


@every_builder
def test_preprocessing_is_inside_unless_told_otherwise(build):
    assert "preprocessing" in [layer.name for layer in build().layers]
    assert "preprocessing" not in [
        layer.name for layer in build(include_preprocessing=False).layers
    ]


def test_mean_and_std_are_applied():
    raw, normalized = SMALL["mobilenet_v2"](), SMALL["mobilenet_v2"](include_preprocessing=False)
    normalized.set_weights([w.numpy() for w in raw.weights if "preprocessing" not in w.path])
    x = images(1, 224, 224)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    by_hand = normalized(((x / 255 - mean) / std).astype("float32"))
    assert_exact(np.asarray(by_hand), raw, x)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"width": 0.7}, "`width` must be one of 0.25, 0.33, 0.5, 1.0, 1.5, 2.0. Received: wi"),
        ({"width": 0.25, "variant": "megvii"}, "`width` must be one of 0.5, 1.0, 1.5, 2.0. R"),
        ({"variant": "mm"}, "`variant` must be one of 'torchvision', 'megvii'. Received: variant"),
        ({"input_shape": (31, 64, 3)}, r"at least 32 × 32. Received: input_shape=\(31, 64, 3\)"),
        ({"input_shape": (64, 64)}, r"\(height, width, channels\)"),
        ({"input_shape": (64, 64, None)}, "known number of channels"),
        ({"input_tensor": np.zeros((1, 64, 64, 3))}, "Received: input_tensor of type ndarray"),
        (
            {"input_tensor": keras.Input((64, 64, 3)), "input_shape": (96, 96, 3)},
            r"shape of `input_tensor`, \(64, 64, 3\), or None. Received: input_shape=\(96, 96, 3\)",
        ),
        ({"classes": 0}, "positive integer. Received: classes=0"),
        ({"pooling": "mean", "include_top": False}, "Received: pooling='mean'"),
        ({"weights": "imagenett"}, "Received: .*imagenett"),
    ],
)
def test_errors_say_what_is_allowed_and_what_was_received(arguments, text):
    with pytest.raises((ValueError, FileNotFoundError), match=text):
        ks.ShuffleNetV2(**arguments)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: ks.ShuffleNetV1(0.7), r"one of \(3, 0.5\), .* Received: .*=\(3, 0.7\)"),
        (
            lambda: ks.ShuffleNetV1(0.5, 8, "mmcls"),
            "must divide.*Received: width=0.5, groups=8",
        ),
        (lambda: ks.ShuffleNetV1(1.0, 5, "mmcls"), "1, 2, 3, 4, 8. Received: groups=5"),
        (lambda: ks.ShuffleNetV2Plus("huge"), "'small', 'medium', 'large'. Received: size='huge'"),
        (lambda: ks.OneShotNet([0, 1, 2]), r"20 choices among .*Received: .*\[0, 1, 2\]"),
        (
            lambda: ks.OneShotNet("spos"),
            "'one_shot', 'one_shot_spos', or 20 choices .*Received: architecture='spos'",
        ),
        (lambda: ks.OneShotNet(5), "20 choices .*Received: architecture=5"),
        (lambda: ks.OneShotNet(channel_scales=[0.001] * 20), "at least one channel. Received: "),
        (lambda: ks.OneShotNet(channel_scales=0.8), r"20 positive .*Received: channel_scales=0\.8"),
        (lambda: ks.OneShotNet(channel_scales=["a"] * 20), r"20 positive .*Received: "),
        (lambda: ks.DetNAS("coco_fpn_1_3g"), r"'coco_fpn_1\.3g', .*Received: .*'coco_fpn_1_3g'"),
        (lambda: ks.MobileNetV2("1.0"), "positive number. Received: width='1.0'"),
        (lambda: ks.MobileNetV2(float("inf")), "positive number. Received: width=inf"),
        (lambda: ks.MobileNetV2(1.0, "caffe"), "'keras'. Received: variant='caffe'"),
        (lambda: ks.ShuffleNetV1([1.0], 3), r"Received: .*=\(3, \[1\.0\]\)"),
        (lambda: ks.ShuffleNetV2Plus(["small"]), r"'large'. Received: size=\['small'\]"),
        (lambda: ks.ShuffleNetV2(0.25, input_shape=64), "three integers. Received: input_shape=64"),
        (lambda: ks.ShuffleNetV2(0.25, classes=True), "Received: classes=True"),
        (lambda: ks.create_model(None), "Received: name=None"),
        (
            lambda: ks.ShuffleNetV2Large(mean_image=np.zeros((224, 224))),
            r"\(height, width, 3\). Received: mean of shape \(224, 224\)",
        ),
        (lambda: ks.OneShotNet(channel_scales=[1.0]), r"20 positive .*Received: .*\[1.0\]"),
        (lambda: ks.DetNAS("0" * 20, size="2g"), "'300m', '1.3g', '3.8g'. Received: size='2g'"),
        (lambda: ks.DetNAS("0" * 20, size="1.3g"), "40 choices.*Received: architecture='000"),
        (lambda: ks.DetNAS(size="1.3g"), "None, '300m'. Received: size='1.3g'"),
        (lambda: ks.DetNAS(split="halves"), "'even_odd', 'standard'. Received: split='halves'"),
        (
            lambda: ks.ShuffleNetV2Large(auxiliary=True, include_top=False),
            "requires `include_top=True`. Received: include_top=False",
        ),
    ],
)
def test_errors_of_the_other_families(build, text):
    with pytest.raises(ValueError, match=text):
        build()


def test_integers_of_numpy_are_integers():
    model = ks.ShuffleNetV2(0.25, classes=np.int64(7), input_shape=(np.int32(64), 64, 3))
    assert model.output.shape == (None, 7)
    assert ks.feature_extractor(model, np.int64(8)).outputs[0].shape[1] == 8
    assert ks.OneShotNet(np.zeros(20, int)).output.shape == (None, 1000)


def test_architectures_as_text_and_numbers_are_the_same():
    text = ks.OneShotNet("0123 0123 01230123 0123")
    numbers = ks.OneShotNet([0, 1, 2, 3] * 5)
    assert [w.shape for w in text.weights] == [w.shape for w in numbers.weights]


def test_width_of_mobilenet_is_any_positive_number():
    assert ks.MobileNetV2(0.6).name == "mobilenet_v2_x0_6"
    with pytest.raises(ValueError, match="Received: width=0"):
        ks.MobileNetV2(0)
