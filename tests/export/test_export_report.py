"""The report tells the truth about the file."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

import keras_shufflenet as ks
from keras_shufflenet.export.report import compare
from tests.noise import assert_exact


def test_numbers_are_those_of_the_file(exported):
    file = exported("classifier", "int8")
    report = file.report
    assert report.path == str(file.path)
    assert report.precision == "int8"
    assert report.size == file.path.stat().st_size
    assert (report.input.name, report.input.shape) == ("images", (1, 64, 64, 3))
    assert (report.output.name, report.output.shape) == ("predictions", (1, 10))
    # 16 units of two 1×1 convolutions, 3 in projections, the stem and the last one.
    assert report.operators["CONV_2D"] == 6 * 2 + 3 + 2
    assert report.operators["DEPTHWISE_CONV_2D"] == 6 + 3
    assert report.error.images == 16


def test_operators_outside_of_the_partition_are_named(exported):
    report = exported("classifier", "int8", output_dtype="int8").report
    assert report.undelegated_ops == ("SOFTMAX",)
    assert exported("classifier", input_dtype="uint8").report.undelegated_ops == ("CAST",)


def test_json_holds_everything(exported):
    report = exported("classifier", "int8").report
    loaded = json.loads(report.to_json())
    assert loaded["operators"] == report.operators
    assert loaded["error"]["correlation"] == report.error.correlation
    assert loaded["input"]["dtype"] == "float32"


def test_text_and_rich_table(exported):
    report = exported("pose_light", "int8", input_dtype="uint8").report
    text = str(report)
    assert f"{report.size:,} bytes" in text
    assert "images: 1 × 64 × 64 × 3 uint8, scale 1, zero point 0" in text
    assert "RESIZE_BILINEAR" in text
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(report)
    assert "XNNPACK partitions" in console.export_text()


def test_report_without_images(classifier, tmp_path):
    report = ks.export.litert(classifier, tmp_path / "a.tflite")
    assert report.error is None
    assert "not measured" in str(report)


def test_report_lies_beside_the_file(exported):
    file = exported("pose_light", "int8", input_dtype="uint8")
    saved = json.loads(file.path.with_name("pose_light.tflite.json").read_text())
    assert saved == json.loads(file.report.to_json())
    page = file.path.with_name("pose_light.tflite.md").read_text(encoding="utf-8")
    assert page.startswith("# pose_light.tflite (int8)\n")
    assert f"| size | {file.report.size:,} bytes |\n" in page
    assert "| unsupported by EdgeTPU | " in page
    names = {path.name for path in file.path.parent.iterdir()}
    assert names == {f"pose_light.tflite{end}" for end in ("", ".json", ".md")}


def test_metrics_of_an_evaluation(classifier, images, tmp_path):
    seen = []

    def evaluate(path):
        seen.append(ks.inference.Predictor.load(path).predict(images))
        return {"top1": 0.75}

    report = ks.export.litert(classifier, tmp_path / "a.tflite", evaluate=evaluate)
    assert report.metrics == {"top1": 0.75}
    assert json.loads((tmp_path / "a.tflite.json").read_text())["metrics"] == {"top1": 0.75}
    assert "│ top1 " in str(report)
    assert_exact(seen[0], classifier, images)


def test_a_failed_evaluation_leaves_what_was_there(classifier, tmp_path):
    def evaluate(path):
        raise ValueError("no images. Received: none")

    for name in ("a.tflite", "a.tflite.json"):
        (tmp_path / name).write_text("what was there before")
    with pytest.raises(ValueError, match="no images"):
        ks.export.litert(classifier, tmp_path / "a.tflite", evaluate=evaluate)
    left = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert left == dict.fromkeys(("a.tflite", "a.tflite.json"), "what was there before")


def test_error_of_outputs():
    expected = np.array([[0.0, 1.0], [2.0, -4.0]])
    got = np.array([[0.0, 1.5], [2.0, -4.0]])
    measured = compare(expected, got)
    assert (measured.images, measured.maximum, measured.mean, measured.range) == (2, 0.5, 0.125, 4)
    assert measured.correlation == pytest.approx(np.corrcoef(expected.ravel(), got.ravel())[0, 1])
    assert compare(np.ones((2, 3)), np.ones((2, 3))).correlation is None


@pytest.mark.parametrize("found", [None, 0.5, {"AP": "high"}, {"AP": float("nan")}, {"AP": [1]}])
def test_metrics_are_numbers(classifier, tmp_path, found):
    with pytest.raises(ValueError, match="a dictionary of finite numbers"):
        ks.export.litert(classifier, tmp_path / "a.tflite", evaluate=lambda file: found)
    assert list(tmp_path.iterdir()) == []


def test_metrics_of_numpy(classifier, tmp_path):
    report = ks.export.litert(
        classifier, tmp_path / "a.tflite", evaluate=lambda file: {"AP": np.float32(0.5)}
    )
    assert json.loads(report.to_json())["metrics"] == {"AP": 0.5}
