"""The benchmark counts the persons of a picture and records a row for each."""

import csv

import pytest
from PIL import Image

import benchmark_pose_prediction as benchmark
from keras_shufflenet._results import append_row
from keras_shufflenet.inference import Detector, PosePredictor
from tests.inference.test_person_boxes import CROP, IMAGE, SIZE, brightest, find_two_persons


@pytest.fixture
def predictor():
    detector = Detector.load(find_two_persons, input_size=SIZE, score_threshold=0.3)
    return PosePredictor.load(brightest, detector=detector, input_size=CROP)


def test_a_row_for_each_picture(predictor, tmp_path, capsys):
    Image.fromarray(IMAGE).save(tmp_path / "small.png")
    Image.fromarray(IMAGE[:64]).save(tmp_path / "flat.png")
    rows = [benchmark.measure(predictor, tmp_path / f"{n}.png", 2) for n in ("small", "flat")]
    assert [row["persons"] for row in rows] == [2, 2]
    assert all(
        row["median_ms"] > 0 and row[f"{part}_ms"] > 0 for row in rows for part in benchmark.PARTS
    )
    benchmark.show(rows)
    assert f"{rows[0]['detect_ms']:.1f}" in capsys.readouterr().out
    for row in rows:
        append_row(tmp_path / "rows.csv", row, benchmark.PROGRAM)
    written = list(csv.DictReader((tmp_path / "rows.csv").read_text().splitlines()))
    assert [row["persons"] for row in written] == ["2", "2"]


def test_wrong_arguments(predictor, tmp_path):
    Image.new("RGB", (96, 64), "white").save(tmp_path / "none.png")
    with pytest.raises(
        ValueError, match=r"persons that the detector finds\. Received: .*none\.png"
    ):
        benchmark.measure(predictor, tmp_path / "none.png")
    with pytest.raises(ValueError, match="Received: iterations=0"):
        benchmark.measure(predictor, IMAGE, 0)
