"""The thresholds of detections for pictures."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from keras_shufflenet.inference import Detector
from tests.detection.test_decoding import put, raw
from tools import detection_thresholds

SIZE = (64, 96)


def boxes(*rows):
    return np.array(rows, np.float64).reshape(-1, 4)


def test_each_object_counts_once_and_crowds_do_not():
    truth = boxes((0, 0, 10, 10), (50, 50, 90, 90), (20, 0, 24, 4))
    found = boxes((0, 0, 10, 9), (1, 0, 11, 10), (60, 60, 70, 70), (20, 0, 24, 4), (30, 0, 33, 3))
    counts = detection_thresholds.count_right(
        found,
        np.array([0.9, 0.8, 0.7, 0.6, 0.5]),
        truth,
        np.array([False, True, True]),
        np.array([False, True, False]),
        min_area=20,
    )
    np.testing.assert_array_equal(counts.scores, [0.9, 0.8])
    np.testing.assert_array_equal(counts.right, [True, False])
    assert counts.objects == 1
    assert detection_thresholds.summarize([counts], 0.5) == {
        **{"precision": 0.5, "recall": 1.0, "f1": 0.6667},
    }
    assert detection_thresholds.summarize([counts], 0.95)["f1"] == 0


def test_rows_of_a_detector(tmp_path, monkeypatch):
    def find(images):
        output = raw(126, classes=80)
        put(output, 13, 0.42, (1, 1, 2, 3))
        return np.stack([output] * len(images))

    load = Detector.load
    monkeypatch.setattr(
        Detector, "load", lambda name, **options: load(find, input_size=SIZE, **options)
    )
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 64, "width": 96}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 4, 24, 32]}],
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    table = tmp_path / "table.csv"
    detection_thresholds.main(
        [
            *("net", "--annotations", f"{tmp_path / 'a.json'}", "--image-dir", f"{tmp_path}"),
            *("--results-csv", f"{table}"),
        ]
    )
    rows = list(csv.DictReader(table.read_text().splitlines()))
    recalls = {
        row["score_threshold"]: float(row["recall"]) for row in rows if row["min_area"] == "0"
    }
    assert recalls["0.4"] == 1
    assert recalls["0.45"] == 0
    assert {row["f1"] for row in rows if row["min_area"] == "1024"} == {"0"}  # too small
    assert [float(row["precision"]) for row in rows[:2]] == pytest.approx([1, 1])
