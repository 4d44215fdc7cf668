"""`evaluate coco --detector`: keypoint AP with annotated boxes and end to end."""

import csv
import json
import re

import pytest

import keras_shufflenet as ks
from keras_shufflenet.cli import evaluate_coco
from keras_shufflenet.detection.decoding import IOU_THRESHOLD, SCORE_THRESHOLD
from keras_shufflenet.keypoints.coco import METRICS


def test_both_in_one_table(command, people, pose_file, detector_file, tmp_path):
    annotations, images = people
    table, poses = tmp_path / "coco.csv", tmp_path / "poses.json"
    code, out, err = command(
        *("evaluate", "coco", pose_file, "--annotations", annotations, "--image-dir", images),
        *("--detector", detector_file, "--no-flip-test"),
        *("--results-csv", table, "--output-json", poses),
    )
    assert code == 0, err
    assert re.search(r" annotated .* detector.keras ", out)
    annotated, detected = csv.DictReader(table.read_text().splitlines())
    assert (annotated["boxes"], detected["boxes"]) == ("annotated", "detector.keras")
    assert annotated["model"] == detected["model"] == "pose.keras"
    found = json.loads(poses.read_text())  # a person in each image
    assert len(found) == len(json.loads(annotations.read_text())["images"])
    expected = ks.keypoints.evaluate_keypoints(annotations, poses)
    assert {name: float(detected[name]) for name in expected} == pytest.approx(expected, abs=1e-5)


def test_options_of_the_detector(command, people, pose_file, detector_file, monkeypatch):
    annotations, images = people
    calls = []

    def evaluate(*_, **options):
        calls.append(options)
        return dict.fromkeys(METRICS, 0.5)

    monkeypatch.setattr(ks.metrics, "coco", evaluate)
    code, _, err = command(
        *("evaluate", "coco", pose_file, "--annotations", annotations, "--image-dir", images),
        *("--detector", detector_file, "--detector-score-threshold", 0),
    )
    assert code == 0, err
    found, annotated = calls
    assert "detector" not in annotated
    names = ("detector", "detector_score_threshold", "detector_iou_threshold")
    assert [found[name] for name in names] == [str(detector_file), 0, IOU_THRESHOLD]
    assert evaluate_coco.SCORE_THRESHOLD == SCORE_THRESHOLD


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--detector", "FILE", "--detections", "FILE"], "--detector must not be given together"),
        (["--detector-score-threshold", "0.3"], "must be given with --detector. Received: 0.3"),
        (["--detector-weights", "coco"], "must be given with --detector. Received: coco"),
        (["--detector", "none.keras"], "--detector must be an existing file. Received: none.keras"),
        (["--detector", "FILE", "--detector-weights", "coco"], "not be given for a file"),
        (["--output-json", "poses.csv"], "--output-json must end in .json"),
        (["--results-csv", "CSV"], "must have the columns date, command"),
    ],
)
def test_mistakes_are_found_first(command, people, detector_file, tmp_path, words, message):
    annotations, images = people
    (tmp_path / "other.csv").write_text("model,AP\n")
    files = {"FILE": detector_file, "CSV": tmp_path / "other.csv"}
    code, _, err = command(
        *("evaluate", "coco", detector_file, "--annotations", annotations, "--image-dir", images),
        *(files.get(word, word) for word in words),
    )
    assert code == 1
    assert message in err
    assert err.count("\n") == 1
