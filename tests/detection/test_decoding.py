"""From raw outputs to boxes."""

import json

import numpy as np
import pytest

from keras_shufflenet.detection import decode, nms
from keras_shufflenet.detection.decoding import iou
from keras_shufflenet.detection.priors import NANODET, NANODET_PLUS, RETINANET, make_priors

PIXELS = 1e-4
SIZE = (64, 96)


def raw(rows: int, classes: int = 2) -> np.ndarray:
    """The output of a detector that finds nothing."""
    output = np.zeros((rows, classes + 32))
    output[:, :classes] = -20
    return output


def put(output: np.ndarray, row: int, score: float, distances: tuple[int, ...], number: int = 0):
    """Let a point predict a box, given by distances in strides."""
    output[row, number] = np.log(score / (1 - score))
    output[row, -32:] = -50
    for side, distance in enumerate(distances):
        output[row, -32 + 8 * side + distance] = 50


@pytest.mark.parametrize("name", ["nanodet_m", "nanodet_plus_m"])
def test_detections_equal_the_reference(shared, synth, name):
    case = json.loads((shared / "golden" / "detection" / "decode.json").read_text())[name]
    parts = [synth.synth_input(*case["inputs"][part]) for part in ("cls", "reg")]
    found = decode(
        np.concatenate(parts, axis=1),
        tuple(case["size"]),
        score_threshold=case["score_threshold"],
        iou_threshold=case["iou_threshold"],
        max_detections=case["max_detections"],
    )
    expected = np.array(case["detections"])
    np.testing.assert_array_equal(found.classes, expected[:, 1])
    np.testing.assert_allclose(found.scores, expected[:, 0], atol=1e-6)  # six digits are given
    np.testing.assert_allclose(found.boxes, expected[:, 2:], atol=PIXELS)


def test_points_of_every_level_begin_at_the_corner():
    points = make_priors(NANODET, SIZE)
    np.testing.assert_array_equal(
        points[[0, 1, 96, -1]], [[4, 4, 8], [12, 4, 8], [8, 8, 16], [80, 48, 32]]
    )
    plus = make_priors(NANODET_PLUS, SIZE)
    np.testing.assert_array_equal(
        plus[[0, 1, 96, -1]], [[0, 0, 8], [8, 0, 8], [0, 0, 16], [64, 0, 64]]
    )


def test_nine_anchors_at_every_point():
    anchors = make_priors(RETINANET, SIZE)
    assert len(anchors) == 9 * (96 + 24 + 6 + 2 + 1)
    np.testing.assert_array_equal(anchors[[0, 9, 9 * 96, -1], :2], [[0, 0], [8, 0], [0, 0], [0, 0]])
    sizes = anchors[:9, 2:]
    np.testing.assert_allclose(sizes[:, 1] / sizes[:, 0], np.repeat([0.5, 1, 2], 3))
    np.testing.assert_allclose(
        sizes.prod(1) ** 0.5, np.tile(32 * 2 ** np.array([0, 1 / 3, 2 / 3]), 3)
    )
    np.testing.assert_allclose(anchors[-9:, 2:], 16 * sizes)


def test_deltas_are_in_sizes_of_the_anchor():
    output = np.zeros((1161, 2 + 4))
    output[:, :2] = -20
    output[3 + 9 * 40] = [3, -20, 0.25, -0.5, 0, np.log(2)]  # a square of 32 at 32, 24
    output[-6] = [-20, 2, 0, 0, 99, 99]  # at the corner; of clipped size
    found = decode(output, SIZE)
    np.testing.assert_allclose(found.boxes, [[24, 0, 56, 40], [0, 0, 96, 64]], atol=PIXELS)
    np.testing.assert_array_equal(found.classes, [0, 1])
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp([-3, -2])))


def test_boxes_outside_of_the_input_are_left_out():
    output = np.zeros((1161, 1 + 4))
    output[:, 0] = -20
    output[0] = [3, -9, 0, 0, 0]  # to the left of the input
    output[3 + 9 * 40] = [2, 0, 0, 0, 0]
    found = decode(output, SIZE, max_detections=1)
    np.testing.assert_allclose(found.boxes, [[16, 8, 48, 40]], atol=PIXELS)


def test_distances_are_in_strides_and_boxes_inside_of_the_input():
    output = raw(126)
    put(output, 13, 0.9, (1, 1, 2, 3))  # at 12, 12
    put(output, 125, 0.8, (1, 7, 7, 7), 1)  # at 80, 48 of stride 32
    found = decode(output, SIZE)
    np.testing.assert_allclose(found.boxes, [[4, 4, 28, 36], [48, 0, 96, 64]], atol=PIXELS)
    np.testing.assert_array_equal(found.classes, [0, 1])


def test_only_boxes_of_one_class_suppress_each_other():
    output = raw(126)
    put(output, 13, 0.9, (1, 1, 5, 5))
    put(output, 14, 0.8, (2, 1, 4, 5))  # the same box from the next point
    assert len(decode(output, SIZE).scores) == 1
    assert len(decode(output, SIZE, iou_threshold=1).scores) == 2
    put(output, 14, 0.8, (2, 1, 4, 5), 1)
    found = decode(output, SIZE)
    np.testing.assert_array_equal(found.classes, [0, 1])
    np.testing.assert_allclose(found.scores, [0.9, 0.8])
    assert len(decode(output, SIZE, max_detections=1).scores) == 1
    assert len(decode(output, SIZE, score_threshold=0.85).scores) == 1


def test_nothing_is_found():
    found = decode(raw(128), SIZE)
    assert found.boxes.shape == (0, 4)
    assert len(found.classes) == len(found.scores) == 0


def test_of_equal_scores_the_first_is_kept_first():
    boxes = np.array([[0, 0, 9, 9], [20, 0, 29, 9], [0, 0, 9, 8], [20, 0, 29, 9], [40, 0, 49, 9]])
    assert nms(boxes, [0.5] * 5, 0.6).tolist() == [0, 1, 4]
    assert nms(boxes[::-1], [0.5] * 5, 0.6).tolist() == [0, 1, 2]
    assert nms(boxes, [0.5, 0.5, 0.7, 0.5, 0.7], 0.6).tolist() == [2, 4, 1]


def test_of_equal_scores_the_first_class_and_prior_comes_first():
    output = raw(126)
    put(output, 40, 0.9, (1, 1, 2, 2))
    put(output, 13, 0.9, (1, 1, 2, 3), 1)
    put(output, 60, 0.9, (1, 1, 2, 2))
    boxes, scores, classes = decode(output, SIZE)
    assert classes.tolist() == [0, 0, 1]
    assert len(set(scores)) == 1
    output[60] = -20
    np.testing.assert_array_equal(decode(output, SIZE).boxes[0], boxes[0])


def test_nms_keeps_the_best_first():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [5, 5, 5, 5]]
    np.testing.assert_array_equal(nms(boxes, [0.5, 0.6, 0.7, 0.1], 0.6), [2, 1, 3])
    np.testing.assert_allclose(iou(boxes[0], boxes), [1, 0.9, 0, 0])
    assert nms([], [], 0.6).tolist() == []
    for wrong in ([0.5, 0.6], [0.5] * 5, [[0.5] * 4]):
        with pytest.raises(ValueError, match=r"shape \(N, 4\), and .* Received: shapes \(4, 4\)"):
            nms(boxes, wrong, 0.6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.5}, "`threshold` must be a number between 0 and 1"),
        ({"threshold": np.nan}, "`threshold` must be a number between 0 and 1"),
        ({"scores": [np.nan]}, "0 coordinates that are not finite, 1 scores of NaN$"),
        ({"boxes": [[0, 0, 1, np.inf]]}, "1 coordinates that are not finite, 0 scores of NaN$"),
        ({"boxes": "a"}, "`boxes` must be an array of numbers. Received: boxes='a'$"),
        ({"scores": [None, {}]}, r"`scores` must be an array .* Received: scores=\[None, {}\]$"),
    ],
)
def test_numbers_that_no_box_has(arguments, message):
    with pytest.raises(ValueError, match=message):
        nms(**{"boxes": [[0, 0, 1, 1]], "scores": [0.5], **arguments})


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((126, 32), r"must have classes \+ 32 columns\. Received: 32 columns"),
        ((1161, 4), r"must have classes \+ 4 columns\. Received: 4 columns"),
        ((1, 126, 34), r"\(priors, columns\)\. Received: shape \(1, 126, 34\)"),
        ((127, 34), r"126, 128 or 1161 rows.* 64 × 96\. Received: 127 rows"),
    ],
)
def test_another_output(shape, message):
    with pytest.raises(ValueError, match=message):
        decode(np.zeros(shape), SIZE)


def test_as_many_as_are_wanted_are_the_first_of_all():
    rng = np.random.default_rng(0)
    corners, scores = rng.uniform(0, 50, (60, 2)), rng.uniform(size=60).round(1)
    boxes = np.concatenate([corners, corners + rng.uniform(5, 30, (60, 2))], axis=1)
    everything = nms(boxes, scores, 0.5)
    assert len(everything) > 10
    np.testing.assert_array_equal(nms(boxes, scores, 0.5, max_kept=10), everything[:10])
