"""The benchmark of video, on stand-ins for the networks."""

import numpy as np
import pytest

import benchmark_video
from keras_shufflenet.metrics.mot import TrackedBoxes
from tests.inference.test_video import Pose, canvas


def test_boxes_move_with_the_picture():
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[120:180, 180:220] = 255
    moved = set()
    for seen, annotated in benchmark_video.pan(
        pixels, np.array([[180.0, 120, 40, 60]]), 20, seed=3
    ):
        assert seen.shape == (*benchmark_video.SIZE, 3)
        if len(annotated.ids):
            rows, columns = np.nonzero(seen[..., 0] > 127)
            expected = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_allclose(annotated.boxes[0], expected, atol=1.5)
            moved.add(int(columns.min()))
    assert len(moved) > 10


def test_the_chain_is_measured(tmp_path):
    video = []
    for step in range(6):
        x = 20 + 4 * step
        boxes = np.array([[x, 40.0, x + 20, 90]])
        video.append((canvas((x, 40, 150)), TrackedBoxes([1], boxes)))
    pose = Pose()
    detect, predict = pose.detector.detect, pose.predict
    pose.detector.detect = lambda images: detect([block(each) for each in images])
    pose.predict = lambda pixels, bboxes: predict(block(pixels), bboxes)
    row = benchmark_video.measure([video], pose, pose.detector, 3, tmp_path, None)
    assert (row["frames"], row["detections"], row["id_switches"]) == (6, 2, 0)
    assert row["idf1"] == 1
    parts = sum(row[f"{part}_cpu_ms"] for part in benchmark_video.PARTS)
    assert row["cpu_frames_per_second"] == pytest.approx(1000 / parts)


def block(pixels):
    """Return what H.264 leaves of a canvas as it was."""
    return np.where(pixels > 75, np.uint8(150), np.uint8(0))
