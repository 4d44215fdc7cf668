"""Evaluation of a detector on the command line."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

import keras_shufflenet as ks
from tests.detection.test_decoding import put, raw


@pytest.fixture
def squares(tmp_path):
    """Two images, and the json of a square in each, of two categories."""
    boxes = [[0, 0, 20, 28], [0, 0, 20, 28]]
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": 64, "width": 96} for n in (0, 1)],
        "annotations": [
            {"id": n + 1, "image_id": n, "category_id": n + 1, "bbox": bbox}
            for n, bbox in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "circle"}, {"id": 2, "name": "square"}],
    }
    for n in (0, 1):
        Image.fromarray(np.full((64, 96, 3), 80, np.uint8)).save(tmp_path / f"{n}.png")
    path = tmp_path / "squares.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def detector(tmp_path, shallow):
    """The file of a detector that sees squares, of the second class, at each point of level 0."""
    with shallow():
        model = ks.NanoDet(
            backbone="shufflenet_v2_x0_25", classes=["circle", "square"], input_shape=(64, 96, 3)
        )
    wanted = raw(126)
    put(wanted, 13, 0.9, (1, 1, 2, 3), 1)
    for level, (start, stop) in enumerate(((0, 96), (96, 120), (120, 126))):
        layer = model.get_layer(f"head_level{level}")
        points = wanted[start:stop]
        layer.set_weights([0 * layer.get_weights()[0], points[13 if level == 0 else 0]])
    path = tmp_path / "detector.keras"
    model.save(path)
    return path


def test_evaluate_a_file(command, detector, squares, tmp_path):
    boxes, table = tmp_path / "boxes.json", tmp_path / "results.csv"
    code, out, err = command(
        *("evaluate", "detection", detector, "--annotations", squares, "--image-dir", tmp_path),
        *("--output-json", boxes, "--results-csv", table),
    )
    assert code == 0, err
    assert "AP of circle" in out
    (row,) = csv.DictReader(table.read_text().splitlines())
    assert float(row["AR 100"]) == pytest.approx(0.5)  # all of the squares, no circle
    assert "AP of circle" not in row
    found = json.loads(boxes.read_text())
    assert {each["category_id"] for each in found} == {2}
    np.testing.assert_allclose(found[0]["bbox"], [0, 0, 20, 28], atol=1e-4)


def test_one_category_of_an_exported_file_which_keeps_the_names(
    command, detector, squares, tmp_path
):
    file = tmp_path / "detector.tflite"
    code, _, err = command("export", detector, file, "--precision", "float32")
    assert code == 0, err
    code, out, err = command(
        *("evaluate", "detection", file, "--annotations", squares, "--image-dir", tmp_path),
        *("--category", "square"),
    )
    assert code == 0, err
    assert "AP of" not in out
    assert re.search(r"AR 100 +│ 1\.0000", out)


def test_an_int8_file_is_calibrated_with_fitted_images_and_evaluated(
    command, detector, squares, tmp_path
):
    """Images of 64 x 96 pixels fit an input of 64 x 96 as they are."""
    from_folder, from_json = tmp_path / "folder.tflite", tmp_path / "json.tflite"
    images = tmp_path / "images"
    images.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3)).astype(np.uint8)
    for n in (0, 1):
        Image.fromarray(noise // (n + 1)).save(images / f"{n}.png")
    evaluation = ["--evaluate-annotations", squares, "--evaluate-image-dir", tmp_path]
    code, out, err = command(
        "export", detector, from_folder, "--calibration-data", images, *evaluation
    )
    assert code == 0, err
    assert re.search(r"AR 100 +│ 0\.5", out), out
    code, _, err = command(
        *("export", detector, from_json, "--calibration-annotations", squares),
        *("--calibration-image-dir", images),
    )
    assert code == 0, err
    assert from_folder.read_bytes()[:-2000] == from_json.read_bytes()[:-2000]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--precision", "int8"], "--calibration-data for classifiers and detectors"),
        (["--calibration-data", "JSON"], "--calibration-data must be a folder with images for a"),
        (["--evaluate-data", "FOLDER"], "detectors take --evaluate-annotations and"),
        (
            ["--calibration-annotations", "JSON"],
            "--calibration-image-dir must be given once, or once for each --calibration-annot",
        ),
    ],
)
def test_mistakes_of_an_export(command, detector, squares, tmp_path, words, message):
    places = {"JSON": squares, "FOLDER": tmp_path}
    words = [places.get(word, word) for word in words]
    code, _, err = command("export", detector, tmp_path / "a.tflite", *words)
    assert code == 1
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--category", "cat"], "--category must be the name or id of one of the categories"),
        (["--output-json", "boxes.csv"], "--output-json must end in .json"),
    ],
)
def test_mistakes(command, detector, squares, tmp_path, words, message):
    code, _, err = command(
        *("evaluate", "detection", detector, "--annotations", squares, "--image-dir", tmp_path),
        *words,
    )
    assert code == 1
    assert message in err
    assert "Traceback" not in err


def test_a_classifier_is_no_detector(command, squares, tmp_path):
    code, _, err = command(
        *("evaluate", "detection", "shufflenet_v2_x0_25", "--weights", "none"),
        *("--annotations", squares, "--image-dir", tmp_path),
    )
    assert code == 1
    assert (
        "must output (N, priors, columns), as NanoDet and RetinaNet do. Received: (N, 1000)" in err
    )
