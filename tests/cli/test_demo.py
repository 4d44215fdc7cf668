import json
import re
import sys
from pathlib import Path

import keras
import pytest
from PIL import Image

from keras_shufflenet.cli import demo
from tests.shortcuts import eager_training

MADE = ("pictures.png", "pose_int8.tflite", "run/model.keras")


def check(output, folder):
    rows = [line.split("│")[1:-1] for line in output.splitlines() if line.count("│") == 4]
    metrics = {
        row[0].strip(): [float(value) for value in row[1:] if "–" not in value] for row in rows
    }
    assert 0 <= min(metrics["AP"]) <= max(metrics["AP"]) <= 1
    assert len(metrics["AP"]) == 2
    for name in MADE:
        assert name.rsplit("/", maxsplit=1)[-1] in output
        assert (folder / name).stat().st_size > 0
    assert keras.saving.load_model(folder / "run" / "model.keras").output_shape[-1] == 17
    with Image.open(folder / "pictures.png") as picture:
        assert min(picture.size) > 100


def test_demo_renders_its_people(command, shallow, monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "INPUT_SIZE", (64, 64))
    with shallow(), eager_training():
        code, output, _ = command("demo", "--output-dir", tmp_path, "--people", 16, "--epochs", 1)
    assert code == 0
    check(output, tmp_path)
    assert len(list((tmp_path / "people" / "train" / "images").iterdir())) == 16
    assert len(list((tmp_path / "people" / "held_out" / "images").iterdir())) == 2


def test_the_last_images_of_given_people_are_held_out(people, tmp_path):
    (train, folder), (held_out, _) = demo._split(*people, tmp_path)
    assert folder == people[1]
    content, first, last = (json.loads(Path(p).read_text()) for p in (people[0], train, held_out))
    assert [first["images"], last["images"]] == [content["images"][:-1], content["images"][-1:]]
    assert first["annotations"] + last["annotations"] == content["annotations"]
    assert last["annotations"]


@pytest.mark.parametrize("option", [0, 1])
def test_annotations_and_image_dir_go_together(command, people, tmp_path, option):
    given = ("--annotations", "--image-dir")[option], people[option]
    code, _, errors = command("demo", "--output-dir", tmp_path / "made", *given)
    assert code == 1
    assert "--annotations and --image-dir must be given together. Received:" in errors
    assert not (tmp_path / "made").exists()


def test_what_it_needs_is_checked_first(command, tmp_path, monkeypatch):
    people = 10**12
    code, _, errors = command("demo", "--output-dir", tmp_path / "made", "--people", people)
    assert code == 1
    assert re.search(
        r"Error: The demo requires \d+ MB of free disk space. Received: \d+ MB", errors
    )
    (tmp_path / "file").touch()
    code, _, errors = command("demo", "--output-dir", tmp_path / "file" / "sub")
    assert code == 1
    assert "--output-dir" in errors
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    code, _, errors = command("demo", "--output-dir", tmp_path / "demo")
    assert code == 1
    assert "The demo requires ai-edge-litert: `pip install 'keras-shufflenet[export]'`" in errors
    assert not (tmp_path / "demo").exists()
