import json
import re
from pathlib import Path

import pytest

from keras_shufflenet.cli.detectors import check_detector
from keras_shufflenet.cli.options import (
    check_model,
    open_model,
    pair,
    parse_size,
    parse_weights,
)
from keras_shufflenet.models import pose
from keras_shufflenet.training.recipes import RECIPES


@pytest.mark.parametrize("text", ["256x192", "256×192", " 256X192 "])
def test_size(text):
    assert parse_size(text) == (256, 192)


@pytest.mark.parametrize("text", ["256", "256x", "axb", "256x192x3", "-1x5"])
def test_size_that_is_none(text):
    with pytest.raises(ValueError, match=rf"HEIGHTxWIDTH.*Received: {text}"):
        parse_size(text)


def test_weights():
    assert parse_weights("none") is None
    assert parse_weights("imagenet") == "imagenet"


def test_one_folder_serves_all_files_and_several_go_in_pairs():
    a, b, x, y = map(Path, "abxy")
    assert pair([a, b], [x]) == [(a, x), (b, x)]
    assert pair([a, b], [x, y]) == [(a, x), (b, y)]
    with pytest.raises(ValueError, match="Received: 1 annotation files and 2 folders"):
        pair([a], [x, y])


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("shufflenet_v2_x0_25", (None, 1000)),
        ("pose_shufflenet_v2_x0_25_coco_64x32", (None, 16, 8, 17)),
        ("pose_shufflenet_v2_x0_25_mpii_64x64_light", (None, 16, 16, 16)),
    ],
)
def test_a_name_builds_the_network(name, output, capsys):
    model = open_model(name, "none")
    assert capsys.readouterr().err.startswith(f"Warning: {name} has random weights")
    assert model.output_shape == output
    assert not name.startswith("pose") or model.name == name


def test_a_file_is_left_to_the_evaluator(tmp_path):
    path = tmp_path / "model.tflite"
    path.touch()
    assert open_model(str(path), None) == str(path)
    with pytest.raises(ValueError, match=r"must not be given for a file.*Received: --weights none"):
        check_model(str(path), "none")


def test_unknown_models():
    with pytest.raises(FileNotFoundError, match=r"existing file. Received: nothing.keras"):
        check_model("nothing.keras", None)
    with pytest.raises(ValueError, match=r"must be a \.keras file, or a name .*: nothing\.txt"):
        check_model("nothing.txt", None, (".keras",))
    with pytest.raises(ValueError, match=r"Received: name='resnet50'"):
        open_model("resnet50", "none")


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        (
            "wrist,thumb",
            "--keypoints must be coco or mpii, or the path of a .json file. Received: ",
        ),
        ("none.json", "--keypoints must be an existing JSON file. Received: none.json"),
        ("bad.json", "bad.json: 'keypoints' must differ from each other. Received: a twice"),
        ("many.json", "--category must be the name or id of one of the categories of many.json"),
    ],
)
def test_keypoints_that_are_none(command, tmp_path, monkeypatch, keypoints, message):
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text('{"keypoints": ["a", "a"]}')
    two = [{"id": n, "name": str(n), "keypoints": ["a"]} for n in (1, 2)]
    Path("many.json").write_text(json.dumps({"categories": two}))
    code, _, err = command(
        *("evaluate", "coco", "--annotations", "bad.json", "--results", "bad.json"),
        *("--keypoints", keypoints),
    )
    assert code == 1
    assert err.startswith(f"Error: {message}")


def test_lists_of_heads_and_recipes_are_complete(command):
    """The help names them without importing Keras, which takes seconds."""
    code, out, _ = command("train", "pose", "--help")
    assert code == 0
    words = " ".join(re.sub(r"[^\w.,]", " ", out).split())
    for names in (list(pose.HEADS), list(RECIPES)):
        assert f"{', '.join(names[:-1])} or {names[-1]}." in words
    page = (Path(__file__).parents[2] / "docs/pose.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| \d+ % \|", page, re.MULTILINE) == list(pose.HEADS)
    named = re.findall(r"^\| `(\w+)`(?: \(default\))? \| [^\d]", page, re.MULTILINE)
    assert set(named) >= set(RECIPES)


def test_onnx_files_are_networks_but_no_detectors(tmp_path):
    path = tmp_path / "pose.onnx"
    with pytest.raises(FileNotFoundError, match=r"MODEL must be an existing file\. Received: "):
        check_model(str(path), None)
    path.write_bytes(b"")
    check_model(str(path), None)
    with pytest.raises(ValueError, match=r"--detector must be a \.keras or \.tflite file"):
        check_detector(str(path), None)
