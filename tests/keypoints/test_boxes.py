"""Boxes, frames and affine matrices against the reference and against their definitions."""

import numpy as np
import pytest

from keras_shufflenet.keypoints import boxes
from tests.rounding import EPSILON32, rounding_error

FLOAT32 = 2 * EPSILON32  # the reference stores products of float32 numbers


def assert_close(found, expected):
    """Compare with the reference, which solves for the matrix from three float32 points."""
    tolerance = rounding_error(expected, 8, EPSILON32)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 20, 30, 40), (10, 20, 30, 40)),
        ((-5, -6, 20, 20), (0, 0, 20, 20)),  # the size is kept, as in the reference
        ((90, 70, 30, 40), (90, 70, 9, 9)),
        ((10, 10, 0.5, 0.5), (10, 10, 0.5, 0.5)),
        ((10, 10, 0, 20), None),
        ((10, 10, 5, -3), None),
        ((99, 10, 5, 5), None),
        ((200, 300, 5, 5), None),
    ],
)
def test_clip_box(box, expected):
    clipped = boxes.clip_box(box, (80, 100))
    if expected is None:
        assert clipped is None
    else:
        np.testing.assert_array_equal(clipped, expected)


def test_center_and_scale_of_the_reference(golden_pose):
    golden = golden_pose("boxes")
    for width, height in golden["in/image_size"]:
        center, scale = boxes.box_to_center_scale(golden["in/bbox"], (height, width))
        np.testing.assert_allclose(center, golden[f"v029/center_{width}x{height}"], rtol=FLOAT32)
        np.testing.assert_allclose(scale, golden[f"v029/scale_{width}x{height}"], rtol=FLOAT32)


def test_frame_contains_the_padded_box_and_has_the_input_shape():
    box = np.random.default_rng(0).uniform(5, 200, (50, 4))
    center, scale = boxes.box_to_center_scale(box, (256, 192), padding=1.5)
    np.testing.assert_allclose(scale[:, 0] / scale[:, 1], 192 / 256)
    np.testing.assert_allclose(center, box[:, :2] + box[:, 2:] / 2)
    slack = scale * 200 - 1.5 * box[:, 2:]
    np.testing.assert_allclose(slack.min(axis=1), 0, atol=rounding_error(scale * 200, 4))


def test_affine_matrices_of_the_reference(golden_pose):
    golden = golden_pose("affine")
    for i, (width, height) in enumerate(golden["in/output_size"]):
        frame = golden["in/center"][i], golden["in/scale"][i], golden["in/rotation"][i]
        matrix = boxes.get_warp_matrix(*frame, (height, width))
        assert_close(matrix[:, :2], golden["v029/matrix"][i][:, :2])
        assert_close(matrix[:, 2], golden["v029/matrix"][i][:, 2])
        inverse = boxes.invert_affine(matrix)
        assert_close(inverse, golden["v029/inverse"][i])
        points = boxes.transform_points(golden["in/points"][i], matrix)
        assert_close(points, golden["v029/points"][i])


def test_udp_matrices_of_the_reference(golden_pose):
    golden = golden_pose("affine")
    for i, (width, height) in enumerate(golden["in/output_size"]):
        frame = golden["in/center"][i], golden["in/scale"][i], golden["in/rotation"][i]
        matrix = boxes.get_udp_warp_matrix(*frame, (height, width))
        assert_close(matrix, golden["v029/udp_matrix"][i])
        points = boxes.transform_points(golden["in/points"][i], matrix)
        assert_close(points, golden["v029/udp_points"][i])


def test_batches_of_matrices():
    rng = np.random.default_rng(1)
    center, scale = rng.uniform(0, 300, (5, 2)), rng.uniform(0.5, 2, (5, 2))
    degrees, points = rng.uniform(-80, 80, 5), rng.uniform(0, 300, (5, 17, 2))
    for build in (boxes.get_warp_matrix, boxes.get_udp_warp_matrix):
        matrices = build(center, scale, degrees, (256, 192))
        single = [
            build(c, s, d, (256, 192)) for c, s, d in zip(center, scale, degrees, strict=True)
        ]
        np.testing.assert_allclose(matrices, single)
        there = boxes.transform_points(points, matrices)
        back = boxes.transform_points(there, boxes.invert_affine(matrices))
        np.testing.assert_allclose(back, points, atol=rounding_error(there, 16))


def test_a_positive_rotation_turns_the_frame_clockwise():
    matrix = boxes.get_warp_matrix((50, 50), (0.5, 0.5), 90, (100, 100))
    above_of_the_turned_frame = boxes.transform_points([[60.0, 50.0]], matrix)
    np.testing.assert_allclose(above_of_the_turned_frame, [[50, 40]], atol=rounding_error(100, 4))


STANDING = np.column_stack(
    [[50, 46, 54, 40, 60, 36, 64, 44, 56], [20, 18, 18, 40, 40, 60, 60, 90, 90], np.full(9, 0.9)]
)
BOX = np.array([30.0, 10.0, 40.0, 90.0])


def test_a_box_follows_the_keypoints():
    moved = STANDING.copy()
    moved[:, :2] = 1.5 * STANDING[:, :2] + (7, -3)
    found = boxes.follow_keypoints(BOX, STANDING, moved, 0.3)
    expected = [1.5 * 30 + 7, 1.5 * 10 - 3, 1.5 * 40, 1.5 * 90]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_box_that_follows_keeps_its_size_when_a_keypoint_is_lost():
    hidden = STANDING + np.array([5, 0, 0])
    hidden[-2:, 2] = 0.1  # the feet
    hidden[-2:, :2] = 500
    found = boxes.follow_keypoints(BOX, STANDING, hidden, 0.3)
    np.testing.assert_allclose(found, BOX + np.array([5, 0, 0, 0]), rtol=1e-12)


def test_a_box_that_follows_holds_all_keypoints():
    raised = STANDING.copy()
    raised[5:7, :2] = (25, 2), (75, 2)  # the arms
    x, y, width, height = boxes.follow_keypoints(BOX, STANDING, raised, 0.3)
    np.testing.assert_allclose([x, y, x + width, y + height], [25, 2, 75, 100], rtol=1e-12)


def test_few_keypoints_move_no_box():
    few = STANDING.copy()
    few[2:, 2] = 0.1
    assert boxes.follow_keypoints(BOX, STANDING, few, 0.3) is None
    assert boxes.follow_keypoints(BOX, few, STANDING, 0.3) is None
