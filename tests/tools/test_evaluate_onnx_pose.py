"""The evaluation of a pose estimator of an ONNX file, whose rows are in results/coco.csv."""

import csv

import pytest

from keras_shufflenet.keypoints.coco import METRICS

pytest.importorskip("onnxruntime")
import evaluate_onnx_pose


def test_rows_of_annotated_and_detected_boxes(shared, monkeypatch, tmp_path):
    calls = []

    def evaluate(network, *arguments, **options):
        calls.append(options)
        return dict.fromkeys(METRICS, len(calls) / 8)

    monkeypatch.setattr(evaluate_onnx_pose, "coco", evaluate)
    model = shared / "weights" / "simplepose_mobilenetv2_0.5_coco.onnx"
    table, annotations, boxes = (tmp_path / name for name in ("a.csv", "val.json", "boxes.json"))
    words = [model, "--annotations", annotations, "--image-dir", tmp_path]
    words += ["--detections", boxes, "--detector", "a.tflite", "--results-csv", table]
    assert evaluate_onnx_pose.main([str(word) for word in words]) == 0
    size = {"input_size": (256, 192)}
    assert calls == [size, size | {"detections": boxes}, size | {"detector": "a.tflite"}]
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["boxes"] for row in rows] == ["annotated", "boxes.json", "a.tflite"]
    assert [float(row["AP"]) for row in rows] == [1 / 8, 2 / 8, 3 / 8]
    assert {row["model"] for row in rows} == {model.name}
    assert rows[0]["command"].startswith("python tools/evaluate_onnx_pose.py ")
