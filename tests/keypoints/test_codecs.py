"""Heatmap codecs: encoding, decoding and flipping, against the reference and their inverses."""

from typing import get_args

import cv2
import numpy as np
import pytest

from keras_shufflenet.keypoints import COCO, HeatmapCodec
from keras_shufflenet.keypoints.blur import gaussian_kernel
from keras_shufflenet.keypoints.codec import Decoding
from keras_shufflenet.keypoints.refinement import channels_first, find_maxima
from tests.rounding import EPSILON32, EPSILON64, rounding_error

ENCODINGS = ["msra", "unbiased", "udp", "udp_combined", "megvii"]


@pytest.mark.parametrize(
    ("inputs", "name", "options"),
    [
        ("coco_192x256", "msra", {}),
        ("coco_192x256", "unbiased", {"encoding": "unbiased"}),
        ("coco_192x256", "udp", {"encoding": "udp"}),
        ("coco_192x256", "udp_combined", {"encoding": "udp_combined"}),
        ("coco_192x256", "megvii", {"encoding": "megvii"}),
        ("coco_288x384", "msra", {}),
        ("mpii_256x256", "msra", {}),
    ],
)
def test_targets_of_the_reference(golden_pose, inputs, name, options):
    golden = golden_pose("target")
    width, height = map(int, inputs.split("_")[1].split("x"))
    codec = HeatmapCodec((height, width), **options)
    keypoints, visible = golden[f"in/{inputs}_joints"], golden[f"in/{inputs}_visible"]
    heatmaps, weights = codec.encode(keypoints[:, :2], visible[:, 0])
    assert heatmaps.dtype == weights.dtype == np.float32
    expected = golden[f"v029/{inputs}_{name}_target"].transpose(1, 2, 0)
    tolerance = rounding_error(expected, 4, EPSILON32)
    np.testing.assert_allclose(heatmaps, expected, rtol=0, atol=tolerance)
    np.testing.assert_array_equal(weights, golden[f"v029/{inputs}_{name}_weight"][:, 0])


def test_keypoint_weights(golden_pose):
    golden = golden_pose("target")
    keypoints, visible = golden["in/coco_192x256_joints"], golden["in/coco_192x256_visible"]
    codec = HeatmapCodec((256, 192), keypoint_weights=COCO.keypoint_weights)
    heatmaps, weights = codec.encode(keypoints[:, :2], visible[:, 0])
    expected = golden["v029/coco_192x256_msra_joint_weights_weight"][:, 0]
    np.testing.assert_array_equal(weights, expected)
    plain, _ = HeatmapCodec((256, 192)).encode(keypoints[:, :2], visible[:, 0])
    np.testing.assert_array_equal(heatmaps, plain)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("none", {"decoding": "none"}),
        ("default", {}),
        ("unbiased11", {"decoding": "unbiased"}),
        ("unbiased17", {"decoding": "unbiased", "blur_kernel_size": 17}),
        ("megvii11", {"decoding": "megvii"}),
        ("udp11", {"encoding": "udp", "decoding": "udp_v0"}),
        ("udp_combined3", {"encoding": "udp_combined"}),
    ],
)
def test_decoding_of_the_reference(golden_pose, name, options):
    golden = golden_pose("decode")
    maps = golden["in/combined" if name == "udp_combined3" else "in/heatmaps"]
    codec = HeatmapCodec((128, 96), **options)
    points, scores = codec.decode(maps.transpose(0, 2, 3, 1))
    count = len(points)
    points = codec.input_to_image(points, golden["in/center"][:count], golden["in/scale"][:count])
    stable = ~golden[f"v029/{name}_unstable"]
    assert stable.mean() > 0.9
    expected = golden[f"v029/{name}_keypoints"]
    tolerance = rounding_error(expected[stable], 8, EPSILON32)
    np.testing.assert_allclose(points[stable], expected[stable], rtol=0, atol=tolerance)
    expected_scores = golden[f"v029/{name}_scores"][..., 0]
    defined = stable & ~np.isnan(expected_scores)  # the reference's NaN for an all-zero map
    # the blur of "megvii" sums 11 products along each axis
    np.testing.assert_allclose(scores[defined], expected_scores[defined], rtol=22 * EPSILON32)
    assert np.isfinite(points).all()
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("size", range(1, 19, 2))
def test_kernels_are_those_of_opencv(size):
    expected = cv2.getGaussianKernel(size, 0).ravel()
    np.testing.assert_allclose(gaussian_kernel(size), expected, rtol=0, atol=4 * EPSILON64)


def test_udp_errs_less_at_the_border_without_mirror_images():
    """Of wide maps, whose peaks at the border are truncated, as networks predict them."""
    size = np.array([47, 63])
    points = np.stack(np.meshgrid([0, 0.7, 1.4, 2.1], np.arange(5, 55, 2.5)), -1).reshape(-1, 2)
    points = np.concatenate([points, size - points])
    axes = [np.arange(length + 1) for length in size]
    x, y = (np.square(axis - points[:, i, None]) for i, axis in enumerate(axes))
    maps = np.exp(-(x[:, None, :] + y[:, :, None]) / (2 * 2.5**2))[..., None].astype(np.float32)
    errors = {}
    for decoding in ("udp", "udp_v0"):
        codec = HeatmapCodec((256, 192), encoding="udp", decoding=decoding)
        found = codec.decode(maps)[0][:, 0] / codec.stride
        errors[decoding] = np.linalg.norm(found - points, axis=-1).mean()
    assert errors["udp"] < 0.7 * errors["udp_v0"]


@pytest.mark.parametrize("encoding", ["msra", "udp"])
def test_transform_preds_of_the_reference(golden_pose, encoding):
    golden = golden_pose("transform_preds")
    expected = golden["v029/udp_points" if encoding == "udp" else "v029/points"]
    for i, (width, height) in enumerate(golden["in/output_size"]):
        codec = HeatmapCodec((4 * height, 4 * width), encoding=encoding)
        points = golden["in/coords"][i] * codec.stride
        points = codec.input_to_image(points, golden["in/center"][i], golden["in/scale"][i])
        tolerance = rounding_error(expected[i], 8, EPSILON32)
        np.testing.assert_allclose(points, expected[i], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["coco", "mpii"])
def test_flip_back_of_the_reference(golden_pose, name):
    golden = golden_pose("flip_back")
    maps = golden[f"in/{name}"].transpose(0, 2, 3, 1)
    for shifted, suffix in ((True, "shifted"), (False, "back")):
        codec = HeatmapCodec((32, 24), shift_heatmap=shifted)
        expected = golden[f"v029/{name}_{suffix}"].transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(codec.flip_back(maps, name), expected)


def test_flip_back_of_combined_maps(golden_pose):
    golden = golden_pose("flip_back")
    codec = HeatmapCodec((32, 24), encoding="udp_combined")
    flipped = codec.flip_back(golden["in/combined"].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(flipped, golden["v029/combined_back"].transpose(0, 2, 3, 1))


def heatmap_pck(predicted, target, weights, threshold=0.05):
    """Return mmpose's PCK of heatmaps (N, h, w, K) per keypoint (K,), and its mean.

    The reference divides x by the height and y by the width, and so does this.
    """
    difference = find_maxima(channels_first(predicted))[0] - find_maxima(channels_first(target))[0]
    is_near = np.linalg.norm(difference / predicted.shape[1:3], axis=-1) < threshold
    is_labeled = weights > 0
    count = is_labeled.sum(0)
    correct = (is_near & is_labeled).sum(0)
    pck = np.divide(correct, count, out=np.full(len(count), np.nan), where=count > 0)
    return pck, float(pck[count > 0].mean()) if count.any() else 0.0


def test_pck_of_the_reference(golden_pose):
    golden = golden_pose("accuracy")
    output, target = (golden[f"in/{name}"].transpose(0, 2, 3, 1) for name in ("output", "target"))
    shares, mean = heatmap_pck(output, target, golden["in/weight"][..., 0])
    np.testing.assert_allclose(shares, golden["v029/per_joint"], rtol=EPSILON64)
    assert mean == pytest.approx(golden["v029/mean"], rel=17 * EPSILON64)
    assert np.isfinite(shares).sum() == golden["v029/count"]


def test_pck_without_labels():
    maps = np.zeros((2, 8, 6, 17), np.float32)
    shares, mean = heatmap_pck(maps, maps, np.zeros((2, 17)))
    assert np.isnan(shares).all()
    assert mean == 0


# Half a heatmap pixel of 4 input pixels ("msra"), and the quarter more that rounding noise may add
# on symmetric peaks ("megvii"). The others are twice the largest error of decoding in float64,
# which comes from the blur of truncated peaks. Rounding in float32 is added below.
DECODING_ERRORS = {
    "msra": 2.0,
    "unbiased": 2 * 1.4e-3,
    "udp": 2 * 1.5e-4,
    "udp_combined": 2 * 1.5e-5,
    "megvii": 3.0,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size", [(256, 192), (384, 288), (224, 160)])
def test_decode_undoes_encode(encoding, size):
    codec = HeatmapCodec(size, encoding=encoding)
    inner = np.array(size[::-1]) - 40  # the blur in decoding depends on the border
    keypoints = np.random.default_rng(0).uniform(40, inner, (6, 17, 2))
    heatmaps, weights = codec.encode(keypoints, np.ones((6, 17)))
    assert heatmaps.shape[1:3] == (size[0] // 4, size[1] // 4)
    assert weights.all()
    points, scores = codec.decode(heatmaps)
    tolerance = DECODING_ERRORS[encoding] + rounding_error(keypoints, 8, EPSILON32)
    np.testing.assert_allclose(points, keypoints, rtol=0, atol=tolerance)
    assert (scores > 0.8).all()


def test_quarter_offset_halves_the_error_of_the_maximum():
    encoder = HeatmapCodec((256, 192), encoding="unbiased")
    keypoints = np.random.default_rng(0).uniform(20, 170, (8, 17, 2))
    heatmaps, _ = encoder.encode(keypoints, np.ones((8, 17)))
    errors = {}
    for decoding in ("none", "quarter_offset"):
        codec = HeatmapCodec((256, 192), decoding=decoding)
        errors[decoding] = np.abs(codec.decode(heatmaps)[0] - keypoints).mean()
    # the standard error of a mean of 272 uniform errors is 3.5 %
    assert errors["quarter_offset"] == pytest.approx(errors["none"] / 2, rel=0.1)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_crop_and_image_are_inverse(encoding):
    codec = HeatmapCodec((256, 192), encoding=encoding)
    center, scale = np.array([[120.0, 80.0], [30.0, 50.0]]), np.array([[0.9, 1.2], [1.5, 2.0]])
    points = np.random.default_rng(0).uniform(0, 150, (2, 17, 2))
    matrices = codec.crop_matrix(center, scale)
    cropped = points @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
    np.testing.assert_allclose(
        codec.input_to_image(cropped, center, scale), points, atol=rounding_error(cropped, 16)
    )


@pytest.mark.parametrize("encoding", ["unbiased", "udp", "udp_combined"])
def test_flip_test_agrees_with_the_plain_map(encoding):
    """Heatmaps of the flipped person, flipped back, decode to keypoints near the original ones."""
    codec = HeatmapCodec((256, 192), encoding=encoding)
    keypoints = np.random.default_rng(0).uniform(30, 150, (4, 17, 2))
    flipped = keypoints[:, COCO.flip_permutation] * (-1, 1) + (191, 0)
    heatmaps, _ = codec.encode(flipped, np.ones((4, 17)))
    points, _ = codec.decode(codec.flip_back(heatmaps))
    misalignment = 1.0 if codec.shift_heatmap else 0.0  # a quarter of a heatmap pixel is left
    keypoints = keypoints + np.array([misalignment, 0])
    tolerance = DECODING_ERRORS[encoding] + rounding_error(keypoints, 8, EPSILON32)
    np.testing.assert_allclose(points, keypoints, rtol=0, atol=tolerance)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_batch_is_encoded_like_single_persons(encoding):
    codec = HeatmapCodec((128, 96), encoding=encoding)
    rng = np.random.default_rng(0)
    keypoints, visible = rng.uniform(-30, 140, (5, 17, 2)), rng.random((5, 17)) < 0.8
    heatmaps, weights = codec.encode(keypoints, visible)
    for i in range(5):
        alone = codec.encode(keypoints[i], visible[i])
        np.testing.assert_array_equal(heatmaps[i], alone[0])
        np.testing.assert_array_equal(weights[i], alone[1])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_unlabeled_keypoints_have_empty_maps(encoding):
    codec = HeatmapCodec((128, 96), encoding=encoding)
    heatmaps, weights = codec.encode(np.full((17, 2), 40.0), np.zeros(17))
    assert not heatmaps.any()
    assert not weights.any()


def test_empty_maps_decode_to_minus_one_pixel():
    points, scores = HeatmapCodec((128, 96)).decode(np.zeros((2, 32, 24, 17)))
    assert (points == -4).all()
    assert (scores == 0).all()


def test_defaults_follow_the_input_and_the_encoding():
    small, large = HeatmapCodec((256, 192)), HeatmapCodec((384, 288))
    assert (small.sigma, small.blur_kernel_size, small.heatmap_size) == (2, 11, (64, 48))
    assert (large.sigma, large.blur_kernel_size, large.heatmap_size) == (3, 17, (96, 72))
    assert small.shift_heatmap
    assert not HeatmapCodec((256, 192), encoding="udp").shift_heatmap
    assert HeatmapCodec((256, 192)) == small
    assert HeatmapCodec((256, 192), encoding="unbiased").decoding == "unbiased"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": (256, 192), "encoding": "mrsa"}, "Received: encoding='mrsa'$"),
        ({"input_size": (256, 192), "decoding": "dark"}, "Received: decoding='dark'$"),
        ({"input_size": (256,)}, r"Received: input_size=\(256,\)$"),
        ({"input_size": (0, 192)}, r"Received: input_size=\(0, 192\)$"),
        ({"input_size": 256}, "Received: input_size=256$"),
        ({"input_size": (256, 192), "sigma": 0}, "Received: sigma=0$"),
        ({"input_size": (256, 192), "sigma": 1e-300}, "Received: sigma=1e-300$"),
        ({"input_size": (256, 192), "sigma": 65}, "side of the heatmap, 64. Received: sigma=65$"),
        ({"input_size": (256, 192), "sigma": "2"}, "Received: sigma='2'$"),
        ({"input_size": (256, 192), "keypoint_weights": (1, np.nan)}, r"Received: .*\(1, nan\)$"),
        ({"input_size": (256, 192), "keypoint_weights": (1, -1)}, r"none below 0.*\(1, -1\)$"),
        ({"input_size": (256, 192), "keypoint_weights": 5}, "Received: keypoint_weights=5$"),
        ({"input_size": (256, 192), "keypoint_weights": ((1,), (2,))}, r"\(\(1,\), \(2,\)\)$"),
        ({"input_size": (10**9, 10**9)}, "GB are required. Received: input_size="),
        ({"input_size": (256, 192), "heatmap_size": (10**9, 10**9)}, "GB are .*: heatmap_size="),
        ({"input_size": (256, 192), "blur_kernel_size": 10001}, "at most 999. Received: blur"),
        ({"input_size": (256, 192), "blur_kernel_size": 10}, "Received: blur_kernel_size=10$"),
        (
            {"input_size": (256, 192), "encoding": "udp_combined", "decoding": "udp"},
            "decoding='udp'$",
        ),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        HeatmapCodec(**options)


def test_wrong_shapes():
    codec = HeatmapCodec((256, 192))
    with pytest.raises(ValueError, match=r"Received: shapes \(17, 3\) and \(17,\)$"):
        codec.encode(np.zeros((17, 3)), np.zeros(17))
    with pytest.raises(ValueError, match=r"\(N, 64, 48, K\). Received: shape \(1, 17, 64, 48\)$"):
        codec.decode(np.zeros((1, 17, 64, 48)))
    with pytest.raises(ValueError, match=r"`keypoints_visible` must be numbers. Received: NaN"):
        codec.encode(np.zeros((1, 2)), [np.nan])


@pytest.mark.parametrize("decoding", get_args(Decoding))
def test_no_person(decoding):
    encoding = "udp_combined" if decoding == "udp_combined" else "msra"
    codec = HeatmapCodec((64, 48), encoding=encoding, decoding=decoding)
    channels = 6 if decoding == "udp_combined" else 2
    keypoints, scores = codec.decode(np.zeros((0, 16, 12, channels)))
    assert (keypoints.shape, scores.shape) == ((0, 2, 2), (0, 2))
    assert keypoints.dtype == scores.dtype == np.float32
