"""The examples run as a user runs them."""

import runpy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import keras_shufflenet as ks
from tests.shortcuts import eager_training

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, shallow):
    """Run an example as if it were the program: what it prints."""

    def call(name, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with shallow(), eager_training():
            runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return call


def test_train_pose(run, tmp_path):
    output = run("train_pose.py", "--people", 16, "--epochs", 1)
    assert "Keras: AP 0." in output
    assert "int8: AP 0." in output
    assert (tmp_path / "train_pose" / "pose_int8.tflite").stat().st_size > 100_000


def test_finetune_classifier(run, tmp_path):
    draw = np.random.default_rng(0)
    for name, color in (("blue", (20, 20, 230)), ("red", (230, 20, 20))):
        (tmp_path / "colors" / name).mkdir(parents=True)
        for index in range(8):
            pixels = draw.normal(color, 20, (64, 64, 3)).clip(0, 255).astype("uint8")
            Image.fromarray(pixels).save(tmp_path / "colors" / name / f"{index}.png")
    arguments = ("--network", "shufflenet_v2_x0_25", "--weights", "none", "--epochs", 1)
    output = run("finetune_classifier.py", "colors", *arguments, "--frozen-epochs", 0)
    assert "blue, red: runs/classifier/best.keras" in output
    assert "'count': 4" in output
    model = keras.saving.load_model(tmp_path / "runs" / "classifier" / "model.keras")
    assert ks.models.class_names(model) == ("blue", "red")


def test_every_example_has_a_test():
    tested = Path(__file__).read_text()
    assert all(path.name in tested for path in EXAMPLES.glob("*.py"))
