"""Training of a classifier on the command line, and what its file is good for."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.training.callbacks import read_log
from tests.shortcuts import eager_training

COLORS = {"blue": (20, 40, 220), "red": (210, 30, 30)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four images of each of two classes."""
    root = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for name, color in COLORS.items():
        (root / name).mkdir()
        for number in range(4):
            pixels = np.clip(random.normal(color, 20, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def labels(photos):
    """The same images as a csv."""
    path = photos.parent / "labels.csv"
    ks.data.load_classification_dataset(photos).write_csv(path)
    return path


def test_train_evaluate_predict_export(command, photos, shallow, tmp_path):
    run = tmp_path / "run"
    with shallow(), eager_training():
        code, out, err = command(
            *("train", "classify", "shufflenet_v2_x0_25", "--data", photos, "--val-split", 0.25),
            *("--weights", "none", "--input-size", "32x32", "--train-size", "48x40"),
            *("--epochs", 1, "--frozen-epochs", 1, "--batch-size", 6, "--learning-rate", 0.01),
            *("--policy", "rand", "--mixup", 0.2, "--erase-prob", 0.5, "--color-jitter", 0.1),
            *("--class-weights", "balanced", "--ema-momentum", 0.9, "--clip-norm", 5),
            *("--optimizer", "sgd", "--schedule", "linear", "--patience", 3),
            *("--output-dir", run),
        )
    assert code == 0, err
    assert "6 images of 2 classes, 2 to validate on\n" in out
    assert f"trained: {run / 'model.keras'}" in out
    (row,) = read_log(run / "log.csv")
    recipe = json.loads((run / "run.json").read_text())["recipe"]
    assert (recipe["optimizer"], recipe["schedule"], recipe["clip_norm"]) == ("sgd", "linear", 5)
    augmentation = recipe["augmentation"]
    assert (augmentation["policy"], augmentation["mixup_alpha"]) == ("rand", 0.2)
    saved = keras.saving.load_model(run / "model.keras")
    assert saved.input_shape == (None, 32, 32, 3)
    assert ks.models.class_names(saved) == ("blue", "red")
    code, out, err = command("evaluate", "imagenet", run / "model.keras", "--data", run / "val.csv")
    assert code == 0, err
    assert f"{row['val_accuracy']:.4f}" in out
    code, out, err = command("predict", "classify", run / "model.keras", photos / "red" / "0.png")
    assert code == 0, err
    assert "blue" in out
    assert "red" in out
    code, _, err = command(
        *("export", run / "model.keras", tmp_path / "colors.tflite", "--calibration-data", photos),
    )
    assert code == 0, err
    code, out, _ = command("predict", "classify", tmp_path / "colors.tflite", photos / "red")
    assert code == 0
    assert "blue" in out


def test_a_csv_with_names_and_weights(command, labels, shallow, tmp_path):
    names, weights = tmp_path / "names.txt", tmp_path / "weights.json"
    names.write_text("cold\nwarm\n")
    weights.write_text('{"warm": 2.0, "cold": 0.5}')
    run = tmp_path / "run"
    arguments = (
        *("train", "classify", "shufflenet_v2_x0_25", "--data", labels, "--val-data", labels),
        *("--labels", names, "--class-weights", weights, "--weights", "none", "--epochs", 1),
        *("--frozen-epochs", 0, "--freeze-batch-norm", "--policy", "none", "--input-size", "32x32"),
        *("--output-dir", run),
    )
    with shallow(), eager_training():
        code, _, err = command(*arguments)
        assert code == 0, err
        code, _, err = command(*arguments, "--label-smoothing", 0.2)
    assert code == 1
    assert "recipe.label_smoothing was 0.1 and is 0.2" in err
    described = json.loads((run / "run.json").read_text())
    assert described["class_weights"] == [0.5, 2.0]
    assert described["recipe"]["freeze_batch_norm"]
    assert ks.models.class_names(keras.saving.load_model(run / "best.keras")) == ("cold", "warm")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.keras"], "MODEL must be the name of a network, such as shufflenet_v2_x1_0; a fil"),
        (["no_net", "--weights", "none"], "MODEL must be one of the"),
        (["nanodet_m"], "MODEL must be a classifier, such as "),
        (["pose_shufflenet_v2_x1_0_coco_256x192"], "MODEL must be a classifier, such as "),
        (["--weights", "none", "--input-size", "8x8"], "--input-size must be (height, width, "),
        (["--val-split", "1"], "--val-split must be a number from 0 to below 1"),
        (["--val-split", "0.1", "--val-data", "."], "must not be given together"),
        (["--recipe", "mmpose"], "--recipe must be one of finetune, megvii"),
        (["--epochs", "0"], "--epochs must be a positive integer. Received: --epochs=0"),
        (
            ["--frozen-epochs", "-1"],
            "--frozen-epochs must be a non-negative integer. Received:",
        ),
        (["--optimizer", "adam"], "--optimizer must be one of 'sgd', 'adamw'. Received: --optim"),
        (["--schedule", "exp"], "--schedule must be one of 'cosine', 'linear'"),
        (["--mixup", "-1"], "--mixup must be a number between 0 and 1. Received: --mixup=-1.0"),
        (["--label-smoothing", "2"], "--label-smoothing must be a number between 0 and 1"),
        (["--clip-norm", "0"], "--clip-norm must be a positive number"),
        (["--ema-momentum", "1"], "--ema-momentum must be at least 0 and below 1"),
        (["--class-weights", "some"], "--class-weights must be balanced or an existing json"),
        (["--class-weights", "{weights}"], "--class-weights must have the classes blue, red. Rec"),
        (["--train-size", "big"], "--train-size must be HEIGHTxWIDTH"),
        (["--labels", "{one}"], "at least 2 names, one for each class. Received: 1 names"),
    ],
)
def test_mistakes(command, photos, tmp_path, words, message):
    (tmp_path / "weights.json").write_text('{"green": 1}')
    (tmp_path / "one.txt").write_text("cold\n")
    files = {"weights": tmp_path / "weights.json", "one": tmp_path / "one.txt"}
    words = [word.format(**files) for word in words]
    code, _, err = command(
        "train", "classify", *words, "--data", photos, "--output-dir", tmp_path / "run"
    )
    assert code == 1
    assert message in err
    assert "Received: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize("inside", [".", "red/run"])
def test_the_images_are_no_place_for_a_training(command, photos, inside):
    code, _, err = command(
        *("train", "classify", "--data", photos, "--output-dir", photos / inside)
    )
    assert (code, (photos / "red" / "run").exists()) == (1, False)
    assert "--output-dir must be outside of the folder of the images" in err


def test_images_without_a_class_are_an_error(command, photos, tmp_path):
    code, _, err = command(
        *("train", "classify", "--data", photos / "red", "--output-dir", tmp_path / "run")
    )
    assert code == 1
    assert "Every image must have a class for training: --data must be a folder" in err
