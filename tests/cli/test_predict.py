"""Objects and persons on photographs, by the command line."""

import csv
import inspect
import json

import numpy as np
import pytest
from PIL import Image

from keras_shufflenet.cli import image_arguments, predict_detect
from keras_shufflenet.inference import detection
from keras_shufflenet.inference.visualization import distinct_color
from tests.cli.conftest import PERSON, save_pose_net
from tests.hands import category

WHOLE = [0, 0, 120, 80]  # the photograph


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photos" / "photo.png"
    path.parent.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (80, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def read(folder):
    records = json.loads((folder / "predictions.json").read_text())
    rows = list(csv.DictReader((folder / "predictions.csv").read_text().splitlines()))
    return records, rows


def test_objects_are_drawn_and_written(command, photo, detector_file, tmp_path):
    out_dir = tmp_path / "out"
    words = ("predict", "detect", detector_file, photo.parent, "--output-dir", out_dir)
    code, out, err = command(*words)
    assert code == 0, err
    assert f"{out_dir / 'photo.png'}: 1 × person\n" in out
    (record,), (row,) = read(out_dir)
    assert record == {
        **{"file_name": "photo.png", "category": "person", "score": 0.9},
        "bbox": pytest.approx(WHOLE, abs=1e-3),
    }
    assert (row["category"], float(row["bbox_width"])) == ("person", pytest.approx(120, abs=1e-3))
    with Image.open(out_dir / "photo.png") as drawn:
        assert drawn.getpixel((60, 79)) == distinct_color(PERSON)


@pytest.mark.parametrize("words", [("--category", "cat"), ("--score-threshold", "0.95")])
def test_no_object_is_no_error(command, photo, detector_file, tmp_path, words):
    code, out, err = command(
        "predict", "detect", detector_file, photo, *words, "--output-dir", tmp_path / "out"
    )
    assert (code, err) == (0, "")
    assert "photo.png: no object\n" in out
    assert read(tmp_path / "out") == ([], [])


def test_persons_are_found_before_their_keypoints(
    command, photo, tiny_pose_file, detector_file, tmp_path
):
    found, whole = tmp_path / "found", tmp_path / "whole"
    words = ("predict", "pose", tiny_pose_file, photo)
    code, out, err = command(*words, "--detector", detector_file, "--output-dir", found)
    assert code == 0, err
    assert "photo.png: 17 of 17 keypoints\n" in out
    assert command(*words, "--detector", "none", "--output-dir", whole)[0] == 0
    ((record,), (row,)), ((expected,), _) = read(found), read(whole)
    assert (record["bbox_score"], expected["bbox_score"]) == (0.9, 1)
    assert record["bbox"] == pytest.approx(WHOLE, abs=1e-3)
    np.testing.assert_allclose(
        list(record["keypoints"].values()), list(expected["keypoints"].values()), atol=0.02
    )
    assert float(row["bbox_score"]) == 0.9


def test_a_photograph_of_no_person(command, photo, tiny_pose_file, detector_file, tmp_path):
    out_dir = tmp_path / "out"
    code, out, err = command(
        *("predict", "pose", photo, "--pose", tiny_pose_file, "--detector", detector_file),
        *("--score-threshold", 0.95, "--output-dir", out_dir),
    )
    assert (code, err) == (0, "")
    assert "photo.png: no person\n" in out
    assert read(out_dir) == ([], [])
    with Image.open(photo) as before, Image.open(out_dir / "photo.png") as drawn:
        np.testing.assert_array_equal(np.asarray(drawn), np.asarray(before))


@pytest.mark.filterwarnings("default:.* has no boxes for")
def test_the_detector_looks_where_there_are_no_boxes(
    command, photo, tiny_pose_file, detector_file, tmp_path
):
    with Image.open(photo) as image:
        image.save(photo.with_name("second.png"))
    boxes = tmp_path / "bboxes.json"
    boxes.write_text(json.dumps({"photo.png": [[1, 2, 30, 40], [5, 5, 20, 20]]}))
    code, _, err = command(
        *("predict", "pose", tiny_pose_file, photo.parent, "--bboxes", boxes),
        *("--detector", detector_file, "--output-dir", tmp_path / "out"),
    )
    assert code == 0, err
    assert "1 of 2 images; the detector looks for the persons in these: second.png" in err
    records, _ = read(tmp_path / "out")
    assert [record["bbox_score"] for record in records] == [1, 1, 0.9]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pose", "photo.png"), "MODEL must come before IMAGE"),
        (("--pose", "none.keras"), "--pose must be an existing file. Received: none.keras"),
        (
            ("--bbox", "1,2,3,4", "--detector", "FILE"),
            "--detector must not be given with --bbox, which takes the place of the detector",
        ),
        (
            ("--bbox", "1,2,3,4", "--category", "dog", "--score-threshold", "0.5"),
            "--category and --score-threshold must not be given with --bbox, which takes the place "
            "of the detector. Received: --category dog --score-threshold 0.5",
        ),
        (
            ("--detector", "none", "--iou-threshold", "0.5"),
            "--iou-threshold must not be given with --detector none",
        ),
        (("--detector", "nanodet_plus"), "such as nanodet_plus_m. Received: nanodet_plus"),
        (("--detector", "shufflenet_v2_x1_0"), "such as nanodet_plus_m_416. Received: shuffle"),
        (("--detector", "none.keras"), "--detector must be an existing file. Received: none"),
        (
            ("--detector", "FILE", "--detector-weights", "coco"),
            "--detector-weights must not be given for a file",
        ),
        (
            ("--detector", "none", "--detector-weights", "coco"),
            "--detector-weights must not be given with --detector none, which",
        ),
        (("--detector", "nanodet_m"), "or pass the path of a file as --detector-weights. Received"),
        (
            ("--detector", "FILE", "--category", "dog"),
            "--category must be one of the 2 classes of finder: cat, person.",
        ),
    ],
)
def test_mistakes_with_detectors(
    command, photo, tiny_pose_file, detector_file, words, message, monkeypatch
):
    for variable in ("KERAS_HOME", "KERAS_SHUFFLENET_MIRROR"):
        monkeypatch.setenv(variable, str(photo.parent))
    words = [detector_file if word == "FILE" else word for word in words]
    out_dir = ("--output-dir", photo.parent / "out")
    code, _, err = command("predict", "pose", tiny_pose_file, photo, *words, *out_dir)
    assert code == 1
    assert message in err
    assert err.startswith("Error: ")


def test_keypoints_of_hands_need_boxes_or_their_detector(command, photo, detector_file, tmp_path):
    path, hand = save_pose_net(tmp_path / "hand.keras", 5), tmp_path / "hand.json"
    hand.write_text(json.dumps(category()))
    words = ("predict", "pose", path, photo, "--keypoints", hand, "--output-dir", tmp_path / "out")
    code, _, err = command(*words)
    assert code == 1
    assert "or --detector none if each image shows one. Received: " in err
    assert err.endswith("hand.keras with the keypoints of 'hand'\n")
    code, out, err = command(*words, "--detector", detector_file, "--category", "cat")
    assert code == 0, err
    assert "photo.png: no cat\n" in out


@pytest.mark.parametrize("model", ["shufflenet_v2_x1_0", "pose_shufflenet_v2_x1_0_coco_256x192"])
def test_other_models_detect_nothing(command, photo, model):
    code, _, err = command("predict", "detect", model, photo)
    assert code == 1
    assert "MODEL must be a .keras or .tflite file, or the name of a detector, such as nano" in err


def test_thresholds_are_those_of_python():
    defaults = inspect.signature(predict_detect.detect).parameters
    for name in ("score_threshold", "iou_threshold"):
        expected = getattr(detection, f"PREDICTION_{name.upper()}")
        assert defaults[name].default == getattr(image_arguments, name.upper()) == expected


def test_detected_boxes_are_those_of_poses(command, photo, tiny_pose_file, detector_file, tmp_path):
    """What `predict detect` and `predict pose` write is what --bboxes takes."""
    words = (photo, "--output-dir", tmp_path / "out")
    assert command("predict", "detect", detector_file, *words)[0] == 0
    for _ in range(2):
        found = tmp_path / "found.json"
        found.write_bytes((tmp_path / "out" / "predictions.json").read_bytes())
        code, _, err = command("predict", "pose", tiny_pose_file, *words, "--bboxes", found)
        assert (code, err) == (0, "")
        (record,), _ = read(tmp_path / "out")
        assert record["bbox"] == pytest.approx(WHOLE, abs=1e-3)
        assert record["bbox_score"] == 1
    found.write_text('[{"file_name": "photo.png", "category": "cat", "bbox": [1, 2, 3, 4]}]')
    code, _, err = command("predict", "pose", tiny_pose_file, *words, "--bboxes", found)
    assert code == 1
    assert "--bboxes must hold boxes of --category, person. Received: cat in" in err
    words = (*words, "--bboxes", found, "--category", "cat", "--detector", "none")
    assert command("predict", "pose", tiny_pose_file, *words)[0] == 0
    assert read(tmp_path / "out")[0][0]["bbox"] == [1, 2, 3, 4]
