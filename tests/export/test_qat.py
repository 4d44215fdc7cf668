"""Quantization-aware training in its process, and what is refused before that starts."""

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet import _requirements
from keras_shufflenet.export.qat import process
from keras_shufflenet.export.qat.plan import Plan
from keras_shufflenet.export.qat.process import Targets, training_batches
from tests.rounding import EPSILON32

SIZE = (64, 64)


def test_without_steps_it_is_quantization_after_training(pose_light, images, exported, tmp_path):
    types = {"input_dtype": "uint8", "output_dtype": "int8"}
    report = ks.export.quantization_aware_training(
        pose_light, tmp_path / "pose.tflite", [images], steps=0, **types
    )
    after_training = exported("pose_light", "int8", **types).report
    assert report.delegate_partitions == after_training.delegate_partitions == 1
    assert report.undelegated_ops == after_training.undelegated_ops
    assert report.operators == after_training.operators
    assert (report.input.dtype, report.input.scale) == ("uint8", 1)
    assert report.output.dtype == "int8"
    assert report.error.mean < 1.1 * after_training.error.mean


@pytest.fixture
def small(randomize):
    """A classifier of a few layers, so that tracing the training takes no time."""
    inputs = keras.Input((*SIZE, 3))
    mean, variance = [128.0] * 3, [4000.0] * 3
    x = keras.layers.Normalization(mean=mean, variance=variance, name="norm")(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="stem")(x)
    x = keras.layers.DepthwiseConv2D(3, strides=2, name="dw")(x)
    x = keras.layers.Conv2D(8, 1, activation="relu", name="pw")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = keras.layers.Dense(10, activation="softmax", name="predictions")(x)
    return randomize(keras.Model(inputs, outputs))


def test_targets_are_learned(small, images, tmp_path):
    before = ks.inference.Predictor.load(small).predict(images)
    wanted = int(before.mean(axis=0).argmin())
    path = tmp_path / "classifier.tflite"
    report = ks.export.quantization_aware_training(
        small,
        path,
        [(images, np.full(len(images), wanted))],
        steps=4,
        learning_rate=1e-2,
        loss="labels",
    )
    assert report.delegate_partitions == 1
    assert report.undelegated_ops == ()
    after = ks.inference.Predictor.load(path).predict(images)
    assert np.all(after[:, wanted] > 2 * before[:, wanted])
    np.testing.assert_allclose(after.sum(axis=-1), 1, rtol=16 * EPSILON32)
    np.testing.assert_array_equal(before, ks.inference.Predictor.load(small).predict(images))


@pytest.fixture
def small_detector(randomize):
    """The head of a NanoDet on a few leaky convolutions."""
    inputs = keras.Input((32, 32, 3))
    mean, variance = [128.0] * 3, [4000.0] * 3
    x = keras.layers.Normalization(mean=mean, variance=variance, name="norm")(inputs)
    rows = []
    for level, stride in enumerate((8, 2, 2)):
        x = keras.layers.Conv2D(8, 3, strides=stride, padding="same", name=f"conv{level}")(x)
        x = keras.layers.LeakyReLU(0.1, name=f"leaky{level}")(x)
        y = keras.layers.Conv2D(2 + 32, 1, name=f"head{level}")(x)
        rows.append(keras.layers.Reshape((-1, 34), name=f"rows{level}")(y))
    outputs = keras.layers.Concatenate(axis=1, name="detections")(rows)
    return randomize(keras.Model(inputs, outputs))


def test_a_detector_learns_from_itself(small_detector, images, tmp_path):
    small = images[:, ::2, ::2]
    path = tmp_path / "detector.tflite"
    report = ks.export.quantization_aware_training(
        small_detector, path, [small], steps=4, learning_rate=1e-3
    )
    assert (report.delegate_partitions, report.requantizes) == (1, 0)
    assert report.error.correlation > 0.99
    assert ks.inference.Detector.load(path).design.offset == 0.5
    with pytest.raises(ValueError, match="must be 'distillation' for a detector"):
        ks.export.quantization_aware_training(small_detector, path, [small], loss="labels")


NETWORKS = {
    "v1": lambda: ks.ShuffleNetV1(input_shape=(*SIZE, 3)),
    "v2_plus": lambda: ks.ShuffleNetV2Plus(input_shape=(*SIZE, 3)),
    "mobilenet_v2": lambda: ks.MobileNetV2(width=0.35, input_shape=(*SIZE, 3)),
    "fpn": lambda: ks.PoseEstimator("shufflenet_v2_x0_25", head="fpn", input_size=SIZE),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_concatenated_shares_a_scale(name, shallow):
    with shallow():
        network = NETWORKS[name]()
    plan = Plan(ks.export.optimize_for_inference(network))
    steps = {step.name: step for step in plan.steps}
    joined = [step for step in plan.steps if step.kind in ("Concatenate", "ZeroPadding2D")]
    assert joined
    for step in joined:
        assert not step.rounds
        assert {steps[name].scale for name in step.reads} == {step.scale}
    convolutions = [step for step in plan.steps if step.kind == "Conv2D"]
    assert len({step.scale for step in convolutions}) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": -1}, "`steps` must be a non-negative integer"),
        ({"steps": "a"}, "`steps` must be a non-negative integer"),
        ({"learning_rate": 0.0}, "`learning_rate` must be a positive number"),
        ({"loss": "mse"}, "`loss` must be one of 'distillation', 'labels'"),
        (
            {"input_dtype": "int4"},
            "`input_dtype` must be one of 'float32', 'uint8', 'int8' for int8",
        ),
        ({"dataset": 5}, r"`dataset` must be a tf\.data\.Dataset or another iterable"),
        ({"dataset": []}, "`dataset` must have at least one image"),
        ({"dataset": None}, "int8 requires a `dataset`"),
    ],
)
def test_bad_arguments(classifier, images, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=f"{message}.*Received: "):
        ks.export.quantization_aware_training(
            classifier, tmp_path / "a.tflite", **{"dataset": [images], **arguments}
        )
    assert list(tmp_path.iterdir()) == []


def test_a_layer_that_cannot_be_rebuilt(images, tmp_path):
    inputs = keras.Input((*SIZE, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3, activation="gelu", name="odd")(inputs))
    with pytest.raises(ks.export.ExportError, match=r"activations .*Received: 'gelu' of 'odd'"):
        ks.export.quantization_aware_training(model, tmp_path / "a.tflite", [images])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def deaf_process(tmp_path, monkeypatch):
    """A training process that is ready and fails at the first batch."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nprint('{}', flush=True)\nsys.stdin.buffer.read(8)\nsys.exit('no memory')"
    )
    monkeypatch.setattr(process, "SCRIPT", script)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "must yield images and labels"),
        ([np.full(16, 10)], "integers from 0 to 9. Received: 10 to 10"),
        ([np.zeros((16, 10, 1))], "of the model's output. Received: "),
        ([np.zeros((16, 9))], r"shape \(N, 10\) of the model's output. Received: "),
    ],
)
def test_bad_targets(classifier, images, labels, message):
    targets = Targets(classifier, "labels")
    with pytest.raises(ValueError, match=message):
        targets(images, labels)


def test_labels_in_a_column_are_labels(classifier, images):
    """As `keras.datasets.cifar10` has them."""
    targets, labels = Targets(classifier, "labels"), np.arange(16) % 10
    column, row = (targets(images, [each])["targets"] for each in (labels[:, None], labels))
    np.testing.assert_array_equal(column, row)


def test_a_dataset_is_repeated_until_it_is_used_up(classifier, images):
    targets = Targets(classifier, "labels")
    dataset = [(images, np.arange(16) % 10, np.arange(16.0))]
    batches = training_batches(dataset, (*SIZE, 3), targets)
    for batch in (next(batches), next(batches)):
        assert batch["targets"].argmax(axis=-1).tolist() == [*range(10), *range(6)]
        assert batch["weights"].tolist() == list(range(16))
    batches = training_batches(iter(dataset), (*SIZE, 3), targets)
    next(batches)
    with pytest.raises(ValueError, match="must be re-iterable"):
        next(batches)
    with pytest.raises(
        ValueError, match=r"shape \(N, 32, 32, 3\). Received: shape \(16, 64, 64, 3\)"
    ):
        next(training_batches(dataset, (32, 32, 3), targets))


@pytest.mark.usefixtures("deaf_process")
def test_a_process_that_breaks_off(classifier, images, tmp_path):
    path = tmp_path / "a.tflite"
    with pytest.raises(RuntimeError, match=r"exit code 1. Received: no memory"):
        ks.export.quantization_aware_training(classifier, path, [images])
    assert not path.exists()


def test_the_missing_extra_is_named(classifier, images, tmp_path, monkeypatch):
    monkeypatch.setattr(_requirements, "find_spec", {"tensorflow_model_optimization": True}.get)
    with pytest.raises(ImportError, match=r"keras-shufflenet\[qat\].*Received: no tf_keras"):
        ks.export.quantization_aware_training(classifier, tmp_path / "a.tflite", [images])
