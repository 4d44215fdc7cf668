"""Training of detectors: loss, averages, the assign guidance module, resuming, mistakes."""

import json
import zipfile

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.models.assign_guidance import GradientGate, add_assign_guidance
from keras_shufflenet.training import DetectionTask, detection_recipes, train_detection
from tests.shortcuts import eager_training
from tests.training.conftest import tiny_detector, tiny_guidance

RECIPE = detection_recipes.nanodet_plus(epochs=2, batch_size=6)
PARTS = {"qfl", "giou", "dfl"}


@pytest.fixture(scope="module")
def trained(people, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    keras.utils.set_random_seed(0)
    model = tiny_detector()
    with eager_training(), tiny_guidance():
        log = train_detection(
            model, [people], directory, RECIPE, val_data=people, val_interval=2, verbose=0
        )
    return directory, model, log


def test_the_log_has_the_parts_of_the_loss_and_the_box_ap(trained):
    _, _, log = trained
    assert [row["epoch"] for row in log] == [1, 2]
    assert PARTS | {f"auxiliary_{part}" for part in PARTS} <= set(log[0])
    assert log[0]["loss"] == pytest.approx(
        sum(value for name, value in log[0].items() if name.endswith(tuple(PARTS))), rel=1e-4
    )
    assert ["AP" in row for row in log] == [False, True]
    assert {"AP .75", "AP (L)", "AR 100"} <= set(log[-1])


def test_the_saved_models_are_plain_detectors(trained):
    directory, model, _ = trained
    for name in ("model.keras", "best.keras"):
        with zipfile.ZipFile(directory / name) as archive:
            config = archive.read("config.json").decode()
        assert "auxiliary" not in config
        assert "keras_shufflenet" not in config
    saved = keras.saving.load_model(directory / "model.keras")
    assert ks.models.class_names(saved) == ("person",)
    assert saved.compute_output_shape((2, 64, 64, 3)) == (2, 85, 33)  # no list of one
    for got, expected in zip(saved.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_finished_training_is_not_repeated(trained, people):
    directory, model, log = trained
    again = tiny_detector()
    with eager_training(), tiny_guidance():
        assert train_detection(again, [people], directory, RECIPE, verbose=0) == log
    for got, expected in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_gradient_of_the_guidance_module_ends_and_its_inputs_stay():
    gate = GradientGate(steps=2)
    x = keras.Variable(np.float32([1.5, -2.0]))
    import tensorflow as tf

    slopes = []
    for training in (True, False, True, True, False):
        with tf.GradientTape() as tape:
            (same,) = gate([tf.convert_to_tensor(x.value)], training=training)
            np.testing.assert_array_equal(same, x.numpy())
        with tf.GradientTape() as tape:
            value = tf.Variable(x.numpy())
            (same,) = gate([value.read_value()], training=False)
            total = tf.reduce_sum(same)
        slopes.append(float(tape.gradient(total, value)[0]))
    assert slopes == [1, 1, 0, 0, 0]


def test_the_guidance_module_shares_the_detector(shallow):
    with shallow():
        model = ks.NanoDetPlus(
            backbone="shufflenet_v2_x0_25", classes=["cat"], input_shape=(64, 64, 3)
        )
    with tiny_guidance():
        guided = add_assign_guidance(model, 3)
    assert guided.output_shape == [(None, 85, 33), (None, 85, 33)]
    image = np.full((1, 64, 64, 3), 99.0)
    np.testing.assert_array_equal(guided(image)[0], model(image))
    shared = {id(v) for v in model.variables}
    own = [v for v in guided.variables if id(v) not in shared]
    assert len(guided.variables) - len(own) == len(model.variables)
    assert all(v.path.startswith("auxiliary_") for v in own)


def test_without_guidance_there_is_one_output(people):
    task = DetectionTask(tiny_detector(), [people], detection_recipes.finetune(epochs=1))
    model = task.training_model()
    assert model.output_shape == (None, 85, 33)
    assert {metric.name for metric in model.metrics} >= PARTS


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("dog",), r"a category must be one of the 1 classes of the detector, such as 'dog'"),
        ((), "must have the names of its classes.*Received: tiny with 2 classes without names"),
    ],
)
def test_classes_that_the_annotations_do_not_have(people, classes, message):
    model = tiny_detector(classes or ("a", "b"))
    if not classes:
        model.get_layer("class_names").seed = None
    with pytest.raises(ValueError, match=message):
        DetectionTask(model, [people], RECIPE)


def test_annotations_are_checked_before_training(people, tmp_path):
    content = json.loads(people[0].read_text())
    content["annotations"] = []
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps(content))
    run = tmp_path / "run"
    with pytest.raises(
        ValueError, match=r"empty\.json must have an annotated box that is no crowd"
    ):
        train_detection(tiny_detector(), [people], run, RECIPE, val_data=(empty, people[1]))
    with pytest.raises(FileNotFoundError, match=r"are missing, first"):
        train_detection(tiny_detector(), [people], run, RECIPE, val_data=(people[0], tmp_path))
    with pytest.raises(
        ValueError, match=r"`train_data` must hold a pair.*Received: train_data=\[\]"
    ):
        train_detection(tiny_detector(), [], run, RECIPE)
    assert not run.exists()
