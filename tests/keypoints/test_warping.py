"""The reference warp against OpenCV's results."""

import numpy as np
import pytest

from keras_shufflenet.keypoints import get_warp_matrix, warp
from tests.rounding import EPSILON32, rounding_error, warp_error


@pytest.mark.parametrize("case", range(9))
def test_opencv_4(golden_pose, case):
    golden = golden_pose("warp")
    width, height = golden["in/output_size"][case]
    warped = warp(golden["in/image"], golden["v029/matrix"][case], (height, width), quantize=True)
    np.testing.assert_array_equal(warped, golden[f"cv4/warped_{case}"])


@pytest.mark.parametrize("case", range(9))
def test_opencv_5(golden_pose, case):
    golden = golden_pose("warp")
    width, height = golden["in/output_size"][case]
    warped = warp(golden["in/image"], golden["v029/matrix"][case], (height, width))
    name = f"cv5/warped_{case}"
    expected = golden[name if name in golden else f"cv4/warped_{case}"]
    different = warped != expected
    assert different.mean() < 1e-3  # single precision can tip a half
    np.testing.assert_allclose(warped.astype(int), expected, atol=1)


@pytest.mark.parametrize("case", [3, 6])
def test_float_images_and_udp_matrices(golden_pose, case):
    golden = golden_pose("warp")
    width, height = golden["in/output_size"][case]
    for version, quantize in (("cv4", True), ("cv5", False)):
        image, matrix = golden["in/image"], golden["v029/matrix"][case]
        warped = warp(image.astype(np.float32), matrix, (height, width), quantize=quantize)
        assert warped.dtype == np.float32
        expected = golden[f"{version}/warped_float_{case}"]
        np.testing.assert_allclose(warped, expected, rtol=0, atol=warp_error(image))
        warped = warp(image, golden["v029/udp_matrix"][case], (height, width), quantize=quantize)
        np.testing.assert_array_equal(warped, golden[f"{version}/udp_warped_{case}"])


@pytest.mark.parametrize("case", [1, 6])
def test_model_input(golden_pose, case):
    golden = golden_pose("warp")
    width, height = golden["in/output_size"][case]
    warped = warp(golden["in/image"], golden["v029/matrix"][case], (height, width), quantize=True)
    normalized = (warped / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    channel, row, column = golden[f"v029/model_input_index_{case}"].T
    expected = golden[f"v029/model_input_{case}"]
    tolerance = rounding_error(expected, 4, EPSILON32)
    np.testing.assert_allclose(normalized[row, column, channel], expected, rtol=0, atol=tolerance)


def test_identity_and_black_outside():
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    identity = np.array([[1.0, 0, 0], [0, 1, 0]])
    right = np.array([[1.0, 0, 3], [0, 1, 0]])
    for quantize in (True, False):
        np.testing.assert_array_equal(warp(image, identity, (6, 8), quantize=quantize), image)
        moved = warp(image, right, (6, 8), quantize=quantize)
        np.testing.assert_array_equal(moved[:, 3:], image[:, :5])
        assert not moved[:, :3].any()


def test_warp_moves_pixels_where_the_matrix_moves_points():
    image = np.zeros((60, 80, 1), np.float32)
    image[20, 50] = 1
    matrix = get_warp_matrix((45, 25), (0.15, 0.2), 0, (64, 48))
    warped = warp(image, matrix, (64, 48))[..., 0]
    x, y = matrix @ (50, 20, 1)
    rows, columns = np.indices(warped.shape)
    center = (warped * columns).sum() / warped.sum(), (warped * rows).sum() / warped.sum()
    tolerance = rounding_error((x, y), 4, EPSILON32)
    np.testing.assert_allclose(center, (x, y), rtol=0, atol=tolerance)
