import json
import zipfile
from functools import partial

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.training import PoseTask, Recipe, Task, callbacks, train, train_pose
from keras_shufflenet.training.run_folder import open_run

RECIPE = Recipe(epochs=3, batch_size=4, peak_learning_rate=1e-3, warmup_steps=2)


def network(filters=8):
    """As small as a heatmap network can be; the command line's tests train a real one."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((64, 64, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(filters, 4, strides=4, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Conv2D(17, 1)(x), name="pose")


@pytest.fixture(scope="module")
def trained(people, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    model = network()
    log = train_pose(
        model,
        [people],
        directory,
        RECIPE,
        val_data=people,
        val_interval=2,
        verbose=0,
    )
    return directory, model, log


def test_the_log_has_a_row_per_epoch_and_ap_where_it_was_measured(trained):
    directory, _, log = trained
    assert [row["epoch"] for row in log] == [1, 2, 3]
    assert log[-1]["loss"] < log[0]["loss"]
    assert ["AP" in row for row in log] == [False, True, True]
    assert {"AP .5", "AR", "pck", "learning_rate", "seconds"} <= set(log[-1])
    assert callbacks.read_log(directory / "log.csv") == log


def test_the_saved_models_are_plain(trained):
    directory, model, _ = trained
    assert not model.compiled
    for name in ("model.keras", "best.keras"):
        with zipfile.ZipFile(directory / name) as archive:
            config = archive.read("config.json").decode()
        assert not json.loads(config)["compile_config"]
        assert "keras_shufflenet" not in config
    saved = keras.saving.load_model(directory / "model.keras")
    for got, expected in zip(saved.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_persons_of_the_validation_are_drawn(trained):
    with Image.open(trained[0] / "validation.jpg") as picture:
        assert picture.width > picture.height > 3 * 320  # twelve persons in rows of four
        assert np.asarray(picture).std() > 10


def test_tensorboard_logs_are_written(trained):
    pytest.importorskip("tensorboard")
    directory, _, _ = trained
    assert list((directory / "tensorboard").rglob("events.out.tfevents*"))


def test_a_finished_training_is_not_repeated(trained, people, capsys):
    directory, model, log = trained
    again = network()
    assert train_pose(again, [people], directory, RECIPE, verbose=2) == log
    assert capsys.readouterr().out == f"{model.name} was trained before, to the end: {directory}\n"
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"recipe": Recipe(epochs=4, batch_size=4, peak_learning_rate=1e-3)}, "recipe"),
        ({"filters": 4}, "network"),
    ],
)
def test_another_training_in_the_folder_is_an_error(trained, people, changes, named):
    directory, _, _ = trained
    model = network(changes.get("filters", 8))
    recipe, seed = changes.get("recipe", RECIPE), changes.get("seed", 0)
    with pytest.raises(ValueError, match=rf"{named}\S* was .* and is .*Received: {directory}"):
        train_pose(model, [people], directory, recipe, seed=seed, verbose=0)


def test_what_ended_before_its_first_file_is_no_training(tmp_path):
    def begin(seed):
        open_run(tmp_path, "training", {"seed": seed}, ["last.weights.h5"], resume=True)

    begin(1)
    begin(2)
    (tmp_path / "last.weights.h5").touch()
    begin(2)
    with pytest.raises(ValueError, match="seed was 2 and is 1"):
        begin(1)


def test_without_resuming_the_training_starts_anew(trained, people, tmp_path):
    recipe = Recipe(epochs=1, batch_size=12, peak_learning_rate=1e-3)
    for seed in (0, 1):
        log = train_pose(network(), [people], tmp_path, recipe, seed=seed, resume=False, verbose=0)
        assert len(log) == 1


@pytest.mark.parametrize("argument", [{"val_interval": 0}, {"train_data": []}])
def test_arguments_out_of_range(people, tmp_path, argument):
    with pytest.raises(ValueError, match=r"Received: \w+=(0|\[\])"):
        train_pose(
            network(),
            **{"train_data": [people], "output_dir": tmp_path, "recipe": RECIPE} | argument,
        )


def test_annotations_are_checked_before_training(people, tmp_path):
    content = json.loads(people[0].read_text())
    content["categories"].append({"id": 2, "name": "dog"})
    content["annotations"][3]["category_id"] = 2
    two, broken = tmp_path / "two.json", tmp_path / "broken.json"
    two.write_text(json.dumps(content))
    content["annotations"][5]["iscrowd"] = 1e20
    broken.write_text(json.dumps(content))
    images, run = people[1], tmp_path / "run"
    attempt = partial(train_pose, network(), [people], run, RECIPE, verbose=0)
    with pytest.raises(ValueError, match=r"`category` must be .*two\.json: 1 'person', 2 'dog'"):
        attempt(val_data=(two, images))
    with pytest.raises(ValueError, match=r"broken\.json: annotations\[5\]: 'iscrowd' must be 0"):
        attempt(val_data=(broken, images), category="person")
    with pytest.raises(FileNotFoundError, match=r"'file_name' .* in two\.json"):
        attempt(val_data=(two, tmp_path), category="person")
    assert not run.exists()


def test_annotations_of_the_user_stay_as_they_are(people):
    file = ks.keypoints.COCOFile(people[0])
    names = [image.file_name for image in file.images.values()]
    PoseTask(network(), [people], RECIPE, val_data=(file, people[1]))
    assert [image.file_name for image in file.images.values()] == names


def test_the_log_says_once_what_was_read(people, tmp_path, caplog):
    content = json.loads(people[0].read_text())
    for image in content["images"]:
        image["file_name"] = "C:\\images\\" + image["file_name"]
    content["annotations"].append(content["annotations"][0])
    path = tmp_path / "windows.json"
    path.write_text(json.dumps(content))
    recipe = Recipe(epochs=2, batch_size=12, peak_learning_rate=1e-3)
    val_data = (path, people[1])
    train_pose(
        network(), [people], tmp_path / "run", recipe, val_data=val_data, val_interval=1, verbose=0
    )
    counts, names = (message for message in caplog.messages if message.startswith("windows.json"))
    assert counts == "windows.json: read 12 of 13 instances; left out: 1 repeated"
    assert "8 of 8 images were found under other names" in names


class Doubling(Task):
    """A task with nothing but numbers: y = 2 x."""

    best_metric = "score"
    epochs, steps_per_epoch = 3, 2

    def __init__(self, learning_rate=0.1):
        self.learning_rate = learning_rate
        inputs = keras.Input((1,))
        self.model = keras.Model(inputs, layers.Dense(1, use_bias=False)(inputs), name="doubling")
        self.started = []

    def description(self):
        return {"task": "doubling"}

    def data(self, start_step):
        self.started.append(start_step)
        x = np.ones((4, 1), "float32")
        return ((x, 2 * x) for _ in range(100))

    def compile(self, model):
        model.compile(keras.optimizers.SGD(self.learning_rate), loss="mse")

    def validate(self, model):
        return {"score": -abs(2 - float(model.get_weights()[0][0, 0]))}

    def report(self, model, directory):
        (directory / "weight.txt").write_text(str(model.get_weights()[0][0, 0]))


def test_any_task_can_be_trained(tmp_path):
    task = Doubling()
    log = train(task, tmp_path, val_interval=1, verbose=0)
    assert [row["score"] for row in log] == sorted(row["score"] for row in log)
    assert task.started == [0]
    best = keras.saving.load_model(tmp_path / "best.keras").get_weights()[0]
    np.testing.assert_array_equal(best, task.model.get_weights()[0])
    assert {"doubling"} == {json.loads((tmp_path / "run.json").read_text())["task"]}
    assert float((tmp_path / "weight.txt").read_text()) == pytest.approx(best[0, 0])
    assert (tmp_path / "curves.png").exists()


def test_a_training_that_no_longer_improves_ends(tmp_path):
    task = Doubling(learning_rate=1.5)  # which leads away
    task.epochs = 9
    log = train(task, tmp_path, val_interval=1, patience=2, verbose=0)
    assert len(log) == 3
    assert [row["score"] for row in log] == sorted((row["score"] for row in log), reverse=True)
    again = Doubling(learning_rate=1.5)
    again.epochs = 9
    assert train(again, tmp_path, val_interval=1, patience=2, verbose=0) == log
    assert again.started == []
    np.testing.assert_array_equal(again.model.get_weights()[0], task.model.get_weights()[0])
    with pytest.raises(ValueError, match="Received: patience=0"):
        train(again, tmp_path, patience=0)
