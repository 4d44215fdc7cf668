"""Class names travel in the model: into .keras files, .tflite files and predictions."""

import json
import sys
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

import keras_shufflenet as ks

NAMES = ("daisy", "dog rose", "Löwenzahn / dandelion")
SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def model(shallow):
    with shallow():
        return ks.ShuffleNetV2(0.25, classes=NAMES, input_shape=SHAPE)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "flowers.keras"
    model.save(path)
    return path


def test_the_model_knows_its_classes(model):
    assert model.output_shape == (None, 3)
    assert ks.models.class_names(model) == NAMES


def test_they_have_no_effect(model, shallow):
    with shallow():
        plain = ks.ShuffleNetV2(0.25, classes=3, input_shape=SHAPE)
    plain.set_weights(model.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype("float32")
    for training in (False, True):
        outputs = [m(images, training=training) for m in (model, plain)]
        np.testing.assert_array_equal(*outputs)
    assert ks.models.class_names(plain) == ()


def test_a_file_opens_without_the_package_and_has_them_in_plain_text(saved, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("keras_shufflenet")]:
        monkeypatch.setitem(sys.modules, name, None)  # cannot be imported
    assert keras.saving.load_model(saved).get_layer("class_names").seed == list(NAMES)
    with zipfile.ZipFile(saved) as archive:
        config = json.loads(archive.read("config.json"))
    [layer] = [each for each in config["config"]["layers"] if each["name"] == "class_names"]
    assert layer["config"]["seed"] == list(NAMES)


def test_copies_and_models_around_it_keep_them(model, saved):
    inputs = keras.Input(SHAPE)
    for copy in (
        keras.models.clone_model(model),
        keras.Model.from_config(model.get_config()),
        keras.Model(inputs, model(inputs)),
        keras.Sequential([keras.layers.RandomFlip(), model]),
        keras.saving.load_model(saved),
    ):
        copy.build((None, *SHAPE))
        assert ks.models.class_names(copy) == NAMES


def test_an_exported_file_has_them_and_differs_in_nothing_else(model, shallow, tmp_path):
    with shallow():
        plain = ks.ShuffleNetV2(0.25, classes=3, input_shape=SHAPE)
    plain.set_weights(model.get_weights())
    images = np.random.default_rng(0).uniform(0, 255, (4, *SHAPE)).astype("float32")
    ks.export.litert(model, tmp_path / "a.tflite", "int8", [images])
    ks.export.litert(plain, tmp_path / "b.tflite", "int8", [images], labels=NAMES)
    assert (tmp_path / "a.tflite").read_bytes() == (tmp_path / "b.tflite").read_bytes()
    classifier = ks.inference.ImageClassifier.load(tmp_path / "a.tflite")
    assert classifier.labels == NAMES
    assert {name for name, _ in classifier.predict(images[0])} == set(NAMES)


def test_weights_of_another_number_of_classes(saved, shallow):
    with shallow(), pytest.warns(UserWarning, match="`predictions` is new"):
        model = ks.ShuffleNetV2(0.25, classes=["cat", "dog"], input_shape=SHAPE, weights=str(saved))
    stem = keras.saving.load_model(saved).get_layer("stem_conv").kernel
    np.testing.assert_array_equal(model.get_layer("stem_conv").kernel, stem)
    assert ks.models.class_names(model) == ("cat", "dog")


@pytest.fixture
def folders(tmp_path):
    """Images of two of the classes; the first folder is not the first class."""
    for name, color in (("daisy", 10), ("dog rose", 250)):
        (tmp_path / name).mkdir()
        Image.new("RGB", SHAPE[:2], (color,) * 3).save(tmp_path / name / "1.png")
    return tmp_path


@pytest.mark.parametrize("names", [("dog rose", "daisy"), ("rose", "dog rose", "daisy")])
def test_folders_go_by_name(folders, names, shallow, tmp_path):
    with shallow():
        model = ks.ShuffleNetV2(0.25, classes=names, input_shape=SHAPE)
    images, _ = next(iter(ks.data.classification(folders, crop_size=32)))
    expected = [names.index("daisy"), names.index("dog rose")]
    predicted = model.predict(images, verbose=0).argmax(axis=1)
    metrics = ks.metrics.imagenet(model, folders, verbose=False)
    assert metrics["top1"] == np.mean(predicted == expected)


@pytest.mark.parametrize(
    ("classes", "received"), [(["daisy", "tulip"], "dog rose"), (["a", "b"], "daisy, dog rose")]
)
def test_a_folder_of_another_class_is_an_error(folders, shallow, classes, received):
    with shallow():
        model = ks.ShuffleNetV2(0.25, classes=classes, input_shape=SHAPE)
    with pytest.raises(ValueError, match=rf"a class of the model: .*\. Received: {received}$"):
        ks.metrics.imagenet(model, folders, verbose=False)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("daisy", "a positive integer, or a list of the names"),
        ([], "a positive integer, or a list of the names"),
        (0, "a positive integer"),
        (2.5, "a positive integer, or a list of the names"),
        (None, "a positive integer, or a list of the names"),
        (["a", ""], "lines of text, not empty"),
        (["a", 3], "lines of text"),
        (["a", "b\nc"], "lines of text"),
        (["a", "b\udc80"], "lines of text"),
        (["a", "b", "a"], "differ from each other"),
    ],
)
def test_names_that_are_none(classes, message):
    with pytest.raises(ValueError, match=rf"`classes` must (be )?{message}.* Received: "):
        ks.ShuffleNetV2(0.25, classes=classes, input_shape=SHAPE)


def test_a_layer_of_that_name_without_names_is_left_alone():
    inputs = keras.Input((4,))
    for layer in (
        keras.layers.Dropout(0.5, seed=3, name="class_names"),
        keras.layers.Dropout(0.0, seed=3, name="class_names"),
        keras.layers.Dropout(0.0, seed=["a"], name="class_names"),
        keras.layers.Activation("relu", name="class_names"),
    ):
        model = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
        assert ks.models.class_names(model) == ()
