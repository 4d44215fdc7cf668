"""Training of classifiers: phases, frozen layers, weights of classes, report, resuming."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.data.corrupt_images import CorruptImages, skip_corrupt_images
from keras_shufflenet.data.fingerprint import fingerprint
from keras_shufflenet.inference.image_grid import drawable
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.models._model_data import attach_data
from keras_shufflenet.training import (
    ClassificationRecipe,
    ClassificationTask,
    train_classification,
)
from keras_shufflenet.training.classification_report import predict, write_report
from keras_shufflenet.training.cross_entropy import ClassifierInTraining
from tests.shortcuts import eager_training

COLORS = {"blue": (20, 40, 220), "green": (30, 200, 40), "red": (210, 30, 30)}
RECIPE = ClassificationRecipe(
    2,
    4,
    0.05,
    frozen_epochs=1,
    ema_momentum=0.5,
    label_smoothing=0.1,
    augmentation=ks.data.ClassificationAugmentation(mixup_alpha=0.2),
)
SIZE = (32, 32)


def classifier(classes=tuple(COLORS), size=SIZE, auxiliary=False, activation="softmax"):
    """As small as a classifier with the layers of a network can be."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*size, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(4, 4, strides=4, use_bias=False, name="stem_conv")(x)
    x = layers.BatchNormalization(name="stem_conv_bn")(x)
    x = features = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    x = attach_data(x, "class_names", list(classes))
    outputs = [layers.Dense(len(classes), activation=activation, name="predictions")(x)]
    if auxiliary:
        name = "auxiliary_predictions"
        outputs.append(layers.Dense(len(classes), activation=activation, name=name)(features))
    return keras.Model(image, outputs if auxiliary else outputs[0], name="colors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Noise of three colors; there is more of red."""
    root = tmp_path_factory.mktemp("colors")
    random = np.random.default_rng(0)
    for name, color in COLORS.items():
        (root / name).mkdir()
        for number in range(8 if name == "red" else 4):
            pixels = np.clip(random.normal(color, 15, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def parts(folder):
    return ks.data.load_classification_dataset(folder).split(0.25, seed=1)


@pytest.fixture(scope="module")
def trained(parts, tmp_path_factory):
    directory, model = tmp_path_factory.mktemp("run"), classifier()
    log = train_classification(
        model, parts[0], directory, RECIPE, val_data=parts[1], class_weights="balanced", verbose=0
    )
    return directory, model, log


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_files_of_a_training(trained, parts):
    directory, model, log = trained
    assert [row["epoch"] for row in log] == [1, 2]
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"} <= set(log[0])
    written = {path.name for path in directory.iterdir()}
    report = {"classes.csv", "confusion.csv", "confusion.png", "curves.png", "val.csv", "frozen"}
    assert report | {"model.keras", "best.keras", "log.csv"} <= written
    assert (directory / "frozen" / "model.keras").exists()
    assert not (directory / "frozen" / "classes.csv").exists()
    saved = keras.saving.load_model(directory / "model.keras")
    assert ks.models.class_names(saved) == tuple(COLORS)
    for found, expected in zip(saved.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    described = json.loads((directory / "run.json").read_text())
    assert described["classes"] == list(COLORS)
    assert described["images"] == len(parts[0]) == 12


def test_the_report_is_of_the_model_at_the_end(trained, parts):
    directory, _, log = trained
    found = ks.metrics.imagenet(directory / "model.keras", directory / "val.csv", verbose=False)
    assert found["top1"] == log[-1]["val_accuracy"]
    assert found["count"] == len(parts[1]) == 4
    header, *matrix = rows(directory / "confusion.csv")
    assert header[1:] == list(COLORS) == [row[0] for row in matrix]
    counts = np.array([row[1:] for row in matrix], int)
    assert counts.sum(axis=1).tolist() == [1, 1, 2]
    assert np.trace(counts) / 4 == found["top1"]
    classes = {row[0]: row[1:] for row in rows(directory / "classes.csv")[1:]}
    assert [int(values[-1]) for values in classes.values()] == [1, 1, 2]
    assert float(classes["red"][1]) == counts[2, 2] / 2


def test_a_finished_training_is_not_repeated_and_another_is_an_error(trained, parts):
    directory, model, log = trained
    again = classifier()
    arguments = {"val_data": parts[1], "verbose": 0}
    found = train_classification(
        again, parts[0], directory, RECIPE, class_weights="balanced", **arguments
    )
    assert found == log
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])
    with pytest.raises(ValueError, match=r"class_weights was \[.* and is the default"):
        train_classification(classifier(), parts[0], directory, RECIPE, **arguments)
    with pytest.raises(ValueError, match=r"data was .* and is"):
        train_classification(
            classifier(), parts[0].select(slice(1, None)), directory, RECIPE, verbose=0
        )


def trained_copy(parts, model=None, **arguments):
    recipe = arguments.pop("recipe", RECIPE)
    task = ClassificationTask(model or classifier(), parts[0], recipe, **arguments)
    twin = task.training_model()
    task.compile(twin)
    return task, twin


def test_frozen_layers_stay_with_their_statistics(parts):
    task, twin = trained_copy(parts, only_head=True)
    before = {v.path: v.numpy() for v in twin.variables}
    with eager_training():
        task.compile(twin)
        twin.fit(task.data(0), steps_per_epoch=1, shuffle=False, verbose=0)
    changed = {path for path, v in before.items() if not np.array_equal(v, _now(twin, path))}
    assert {path for path in changed if "predictions" not in path and "colors" not in path} == set()
    assert any("predictions" in path for path in changed)


def _now(model, path):
    return next(v for v in model.variables if v.path == path).numpy()


def test_batch_normalizations_can_stay(parts):
    recipe = ClassificationRecipe(1, 4, 0.1, freeze_batch_norm=True)
    _, twin = trained_copy(parts, recipe=recipe)
    names = {variable.path.split("/")[0] for variable in twin.trainable_variables}
    assert names == {"stem_conv", "predictions"}


def test_only_what_the_recipe_says_has_weight_decay(parts):
    expected = {
        "kernels": {"stem_conv/kernel", "predictions/kernel"},
        "all_but_norms": {"stem_conv/kernel", "predictions/kernel", "predictions/bias"},
        "all": {"stem_conv/kernel", "predictions/kernel", "predictions/bias",
                "stem_conv_bn/gamma", "stem_conv_bn/beta"},
    }  # fmt: skip
    for decayed, wanted in expected.items():
        for optimizer in ("sgd", "adamw"):
            recipe = ClassificationRecipe(
                1, 4, 0.1, optimizer, weight_decay=0.5, decayed=decayed, schedule="constant"
            )
            _, twin = trained_copy(parts, recipe=recipe)
            for variable in twin.trainable_variables:
                variable.assign(np.ones(variable.shape))
            zeros = [keras.ops.zeros(v.shape) for v in twin.trainable_variables]
            twin.optimizer.apply(zeros, twin.trainable_variables)
            values = {v.path: v.numpy().ravel()[0] for v in twin.trainable_variables}
            assert {path for path, value in values.items() if value < 1} == wanted
            assert min(values.values()) == pytest.approx(0.95)


def test_label_smoothing_weights_and_auxiliary_losses():
    """The formulas of Megvii: 0.9 * onehot + 0.1 / classes; 1.0 * main + 0.7 * auxiliary."""
    model = classifier(auxiliary=True)
    twin = ClassifierInTraining(model.inputs, model.outputs, "loss", 0.1, from_logits=False)
    random = np.random.default_rng(0)
    scores = [random.dirichlet(np.ones(3), 5).astype(np.float32) for _ in range(2)]
    targets = np.eye(3, dtype=np.float32)[[0, 2, 1, 1, 0]]
    weights = np.float32([1, 2, 0.5, 1, 0])
    smooth = 0.9 * targets + 0.1 / 3
    parts = [weights * -(smooth * np.log(p)).sum(axis=1) for p in scores]
    expected = parts[0].mean() + 0.7 * parts[1].mean()
    found = twin.compute_loss(y=targets, y_pred=list(scores), sample_weight=weights)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_another_network_is_trained_for_the_model(parts, tmp_path):
    """Smaller images and an auxiliary classifier, whose weights are not saved."""
    network = classifier(size=(48, 48))
    bigger = classifier(auxiliary=True)
    recipe = ClassificationRecipe(1, 12, 0.1, statistics_images=24)
    with eager_training():
        train_classification(network, parts[0], tmp_path, recipe, trained_network=bigger, verbose=0)
    saved = keras.saving.load_model(tmp_path / "model.keras")
    assert saved.input_shape == (None, 48, 48, 3)
    assert [v.path for v in saved.variables] == [v.path for v in network.variables]
    assert np.abs(saved.get_weights()[0] - classifier().get_weights()[0]).max() > 0
    mean = saved.get_layer("stem_conv_bn").moving_mean.numpy()
    stem = keras.Model(saved.input, saved.get_layer("stem_conv").output)
    images = [x for x, _ in parts[0].batches(crop_size=(48, 48), batch_size=4)]
    plain = np.concatenate([stem(x) for x in images]).mean((0, 1, 2))
    assert np.abs(mean - plain).max() < 0.05  # of crops, which cover noise of the same colors


def test_gray_images_and_logits(parts, tmp_path):
    image = keras.Input((*SIZE, 1))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 8, strides=8, name="stem_conv")(image))
    model = keras.Model(image, layers.Dense(3, name="predictions")(x))
    recipe = ClassificationRecipe(1, 12, 1e-3)
    with eager_training():
        (row,) = train_classification(
            model, parts[0], tmp_path, recipe, val_data=parts[1], verbose=0
        )
    assert np.isfinite(row["val_loss"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": classifier(("a", "b", "c"))}, "in their order: blue, green, red. Received: a"),
        ({"model": classifier(("a", "b"))}, "must have 3 classes.*Received: colors with 2"),
        ({"class_weights": [1.0]}, r"3 numbers of at least 0.*Received: class_weights=\[1.0\]"),
        ({"class_weights": "even"}, "must be 'balanced' or.*Received: class_weights='even'"),
        ({"model": keras.Sequential([keras.Input((8, 8, 3)), layers.ReLU()])}, "of a fixed input"),
    ],
)
def test_wrong_arguments(parts, changes, message):
    arguments = {"model": classifier(), "train_data": parts[0], "recipe": RECIPE}
    with pytest.raises(ValueError, match=message):
        ClassificationTask(**arguments | changes)


def test_a_single_class_is_an_error(parts):
    blue = dataclasses.replace(parts[0].select(slice(2)), class_names=("blue",))
    with pytest.raises(ValueError, match=r"at least two classes\. Received: 1 in .*colors"):
        ClassificationTask(classifier(("blue",)), blue, RECIPE)


def test_a_split_is_stratified_and_the_same_again(folder):
    images = ks.data.load_classification_dataset(folder)
    first, second = images.split(0.25, seed=3)
    assert first.counts().tolist() == [3, 3, 6]
    assert second.counts().tolist() == [1, 1, 2]
    assert set(first.paths) | set(second.paths) == set(images.paths)
    again = ks.data.load_classification_dataset(folder).split(0.25, seed=3)
    assert fingerprint(again[1]) == fingerprint(second) != fingerprint(first)
    assert fingerprint(images.split(0.25, seed=4)[1]) != fingerprint(second)
    for fraction, counts in ((0.01, [1, 1, 1]), (0.99, [3, 3, 7])):
        assert images.split(fraction)[1].counts().tolist() == counts
    with pytest.raises(ValueError, match=r"Received: fraction=1"):
        images.split(1)
    with pytest.raises(ValueError, match=r"at least two images of a class .*Received: 2 images"):
        images.select(np.array([0, 5])).split(0.5)


def test_an_image_that_is_listed_twice_is_in_one_part(folder):
    images = ks.data.load_classification_dataset(folder)
    doubled = images.select(np.repeat(np.arange(len(images)), 2))
    first, second = doubled.split(0.25, seed=3)
    assert not set(first.paths) & set(second.paths)
    assert sorted(second.paths) == sorted([*images.split(0.25, seed=3)[1].paths] * 2)


def test_an_image_of_several_classes_is_in_one_part(folder):
    images = ks.data.load_classification_dataset(folder)
    again = dataclasses.replace(images, classes=(images.classes + 1) % 3)
    paths, classes = (
        [*getattr(images, name), *getattr(again, name)] for name in ("paths", "classes")
    )
    doubled = dataclasses.replace(images, paths=np.array(paths), classes=np.array(classes))
    first, second = doubled.split(0.25, seed=3)
    assert not set(first.paths) & set(second.paths)
    assert set(second.paths) == set(images.split(0.25, seed=3)[1].paths)


def test_classes_of_other_data_go_by_name(folder, tmp_path):
    images = ks.data.load_classification_dataset(folder)
    reordered = images.matched(("red", "blue", "green"))
    assert reordered.counts().tolist() == [8, 4, 4]
    with pytest.raises(ValueError, match=r"names of the classes, a, b\. Received: blue, green"):
        images.matched(("a", "b"))
    images.write_csv(tmp_path / "labels.csv")
    again = ks.data.load_classification_dataset(tmp_path)
    assert again.class_names == ()
    assert again.named(["a", "b", "c"]).num_classes == again.num_classes == 3
    np.testing.assert_array_equal(again.classes, images.classes)
    with pytest.raises(ValueError, match=r"differ from each other. Received: a twice"):
        again.named(["a", "a", "b"])
    with pytest.raises(ValueError, match=r"at least 3 names.*Received: 2 names"):
        again.named(["a", "b"])


def test_images_that_cannot_be_read_are_not_validated_on(parts, folder, tmp_path):
    colors = shutil.copytree(folder, tmp_path / "colors")
    (colors / "green" / "1.png").write_bytes(b"no image")
    val_data = ks.data.load_classification_dataset(colors)
    with skip_corrupt_images(CorruptImages(1)):
        task = ClassificationTask(classifier(), parts[0], RECIPE, val_data=val_data)
        accuracy = task.validate(task.model)["val_accuracy"]
        task.report(task.model, tmp_path)
    counts = np.array([row[1:] for row in rows(tmp_path / "confusion.csv")[1:]], int)
    assert counts.sum(axis=1).tolist() == [4, 3, 8]
    assert np.trace(counts) / 15 == accuracy
    found = ks.metrics.imagenet(task.model, tmp_path / "val.csv", verbose=False)
    assert (found["count"], found["top1"]) == (15, accuracy)
    for name, true, *_ in rows(tmp_path / "mistakes.csv")[1:]:
        assert Path(name).parent.name == true


def test_names_are_drawn_in_letters_that_the_font_has():
    assert [drawable(name, "class 3") for name in ("Äpfel, groß", "犬", "a b")] == [
        "Apfel, gross",
        "class 3",
        "a b",
    ]


def test_the_worst_mistakes_are_shown_first(tmp_path):
    """Scores of 30 images of class 0, the later ones ever more surely of class 1."""
    wrong = np.linspace(0.4, 0.99, 30, dtype=np.float32)
    scores = np.stack([1 - wrong, wrong], axis=1)
    images = np.zeros((30, 8, 8, 3), np.float32) + np.arange(30)[:, None, None, None]
    batches = tf.data.Dataset.from_tensor_slices((images, np.zeros(30, np.int64))).batch(7)
    predictor = Predictor.load(lambda x: scores[x[:, 0, 0, 0].astype(int)])
    found = predict(predictor, batches)
    assert found.metrics()["val_accuracy"] == (wrong < 0.5).mean()
    assert [int(each.image[0, 0, 0]) for each in found.mistakes] == list(range(29, 5, -1))
    assert found.mistakes[0].probability == pytest.approx(0.99)
    write_report(found, ["a", "b"], [f"/{n}.png" for n in range(30)], tmp_path)
    header, first, *others = rows(tmp_path / "mistakes.csv")
    assert header == ["filename", "class", "predicted", "score"]
    assert first == ["/29.png", "a", "b", "0.9900"]
    assert len(others) == (wrong > 0.5).sum() - 1
    with Image.open(tmp_path / "mistakes.jpg") as picture:
        assert picture.width > 6 * 200
    with Image.open(tmp_path / "confusion.png") as picture:  # of two classes, wide as its title
        right_edge = np.asarray(picture)[:, -8:]
        assert (right_edge == 255).all()
    matrix = rows(tmp_path / "confusion.csv")
    assert [int(n) for n in matrix[1][1:]] == [(wrong < 0.5).sum(), (wrong >= 0.5).sum()]
    assert rows(tmp_path / "classes.csv")[2] == ["b", "0.0000", "", "0.0000", "0"]
