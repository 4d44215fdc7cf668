"""Batched geometry, augmentation and heatmaps against the reference and their NumPy twins."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import ndtr

import reference_augmentation as reference
from keras_shufflenet.data import (
    augmentation,
    geometry,
    heatmaps,
    keypoint_dataset,
    keypoint_pipeline,
)
from keras_shufflenet.data.augmentation import COCO_AUGMENTATION, Draws
from keras_shufflenet.data.geometry import CenterScale
from keras_shufflenet.keypoints import boxes
from keras_shufflenet.keypoints.annotations import PoseInstances
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import COCO, MPII
from tests.rounding import EPSILON32, EPSILON64, rounding_error

FLOAT32 = 2 * EPSILON32  # the reference stores products of float32 numbers


def assert_close(found, expected):
    """Compare with the reference, which solves for the matrix from three float32 points."""
    tolerance = rounding_error(expected, 8, EPSILON32)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def f64(array):
    return tf.constant(np.asarray(array, np.float64))


def draws(count, **given):
    """Return draws of which some are given; the others change nothing."""
    never = {name: np.full(count, 0.0 if "normal" in name else 1.0) for name in Draws._fields}
    return Draws(**{name: f64(value) for name, value in (never | given).items()})


def test_center_and_scale_of_the_reference(golden_pose):
    golden = golden_pose("boxes")
    bbox = golden["in/bbox"]
    for width, height in golden["in/image_size"]:
        n = len(bbox)
        instances = PoseInstances(
            COCO, np.arange(n), np.full(n, ""), np.full((n, 2), 99), bbox, np.ones(n),
            np.zeros((n, 17, 2)), np.ones((n, 17)), np.ones(n),
        )  # fmt: skip
        table = keypoint_pipeline._table(
            keypoint_dataset.KeypointDataset(instances, np.full(n, "x")), (height, width)
        )
        np.testing.assert_allclose(
            table.center, golden[f"v029/center_{width}x{height}"], rtol=FLOAT32
        )
        np.testing.assert_allclose(
            table.scale, golden[f"v029/scale_{width}x{height}"], rtol=FLOAT32
        )


@pytest.mark.parametrize(("encoding", "name"), [("msra", "matrix"), ("udp", "udp_matrix")])
def test_affine_matrices_of_the_reference(golden_pose, encoding, name):
    golden = golden_pose("affine")
    for i, (width, height) in enumerate(golden["in/output_size"]):
        frame = CenterScale(f64(golden["in/center"][i : i + 1]), f64(golden["in/scale"][i : i + 1]))
        codec = HeatmapCodec((height, width), encoding=encoding)
        matrix = geometry.crop_matrix(frame, f64(golden["in/rotation"][i : i + 1]), codec)
        assert_close(matrix[0, :, :2], golden[f"v029/{name}"][i][:, :2])
        assert_close(matrix[0, :, 2], golden[f"v029/{name}"][i][:, 2])
        points = geometry.transform_points(f64(golden["in/points"][i : i + 1]), matrix)
        expected = golden["v029/points" if encoding == "msra" else "v029/udp_points"][i]
        assert_close(points[0], expected)
        if encoding == "msra":
            inverse = geometry.invert_affine(matrix)
            assert_close(inverse[0], golden["v029/inverse"][i])


@pytest.mark.parametrize("encoding", ["msra", "unbiased", "udp"])
def test_matrices_agree_with_numpy(encoding):
    random = np.random.default_rng(0)
    center, scale = random.uniform(0, 500, (20, 2)), random.uniform(0.2, 3, (20, 2))
    degrees, codec = random.uniform(-180, 180, 20), HeatmapCodec((256, 192), encoding=encoding)
    matrix = geometry.crop_matrix(CenterScale(f64(center), f64(scale)), f64(degrees), codec)
    expected = codec.crop_matrix(center, scale, degrees)
    np.testing.assert_allclose(matrix, expected, rtol=0, atol=rounding_error(expected, 8))
    inverse = geometry.invert_affine(matrix)
    expected = boxes.invert_affine(expected)
    np.testing.assert_allclose(inverse, expected, rtol=0, atol=rounding_error(expected, 16))


@pytest.mark.parametrize("skeleton", [COCO, MPII])
def test_flip_joints_of_the_reference(golden_pose, skeleton):
    golden = golden_pose("flip_joints")
    name, width = skeleton.name, f64(golden["in/width"])
    flipped = tf.ones_like(width, tf.bool)
    keypoints, visible = golden[f"in/{name}_joints"][..., :2], golden[f"in/{name}_visible"][..., 0]
    points = geometry.flip_points(f64(keypoints), flipped, width)
    points, seen = keypoint_pipeline._swap_sides(points, tf.constant(visible), flipped, skeleton)
    np.testing.assert_array_equal(seen, golden[f"v029/{name}_visible"][..., 0])
    mask = seen.numpy() > 0
    expected = golden[f"v029/{name}_joints"][..., :2]
    np.testing.assert_allclose(points.numpy()[mask], expected[mask])


def test_matrices_of_flipped_images():
    random = np.random.default_rng(1)
    matrix, points = random.normal(size=(2, 2, 3)), random.uniform(0, 50, (2, 7, 2))
    flipped, width = tf.constant([True, False]), f64([60, 70])
    composed = geometry.compose_flip(f64(matrix), flipped, width)
    flipped_points = geometry.flip_points(f64(points), flipped, width)
    np.testing.assert_array_equal(flipped_points[1], points[1])
    np.testing.assert_allclose(
        geometry.transform_points(f64(points), composed),
        geometry.transform_points(flipped_points, f64(matrix)),
    )


def test_random_draws_of_the_reference(golden_pose):
    golden = golden_pose("random_draws")
    given = {name.removeprefix("in/"): golden[name] for name in golden if name.startswith("in/")}
    numbers = draws(
        len(given["scale"]),
        shift_gate=given["shift_prob_draw"],
        shift_x=(given["shift_draw"][:, 0] + 1) / 2,
        shift_y=(given["shift_draw"][:, 1] + 1) / 2,
        scale_normal=given["scale_draw"],
        rotation_gate=given["rotation_prob_draw"],
        rotation_normal=given["rotation_draw"],
    )
    frame = CenterScale(f64(given["center"]), f64(given["scale"]))
    shifted = augmentation.shift_bbox(frame, numbers, COCO_AUGMENTATION)
    np.testing.assert_allclose(shifted.center, golden["v029/shifted_center"], rtol=8 * EPSILON64)
    np.testing.assert_array_equal(shifted.scale, given["scale"])
    scaled = augmentation.scale_bbox(frame, numbers, COCO_AUGMENTATION)
    np.testing.assert_allclose(scaled.scale, golden["v029/scale"], rtol=4 * EPSILON64)
    degrees = augmentation.random_rotation(numbers, COCO_AUGMENTATION)
    np.testing.assert_allclose(degrees, golden["v029/rotation"], rtol=4 * EPSILON64)


@pytest.mark.parametrize("size", [(256, 192), (384, 288)])
@pytest.mark.parametrize(("choice", "gate"), [("upper_first", 0.0), ("lower_first", 1.0)])
def test_half_body_of_the_reference(golden_pose, size, choice, gate):
    golden = golden_pose("half_body")
    keypoints, visible = golden["in/joints"][..., :2], golden["in/visible"][..., 0] > 0
    count = len(keypoints)
    before = CenterScale(f64(np.full((count, 2), -1.0)), f64(np.full((count, 2), -1.0)))
    numbers = draws(count, half_body_gate=np.zeros(count), upper_body_gate=np.full(count, gate))
    after = augmentation.half_body(
        before, f64(keypoints), tf.constant(visible), numbers, COCO_AUGMENTATION, COCO, size
    )
    name = f"{choice}_{size[1]}x{size[0]}"
    applied = golden[f"v029/applied_{name}"]
    assert 0 < applied.sum() < count
    for part, key in ((after.center, "center"), (after.scale, "scale")):
        expected = golden[f"v029/{key}_{name}"][applied]
        np.testing.assert_allclose(part.numpy()[applied], expected, rtol=FLOAT32)
        assert (part.numpy()[~applied] == -1).all()


def test_half_body_agrees_with_numpy():
    random = np.random.default_rng(3)
    keypoints, visible = random.uniform(0, 300, (60, 17, 2)), random.random((60, 17)) < 0.7
    normal, gate = random.standard_normal(60), random.random(60)
    before = CenterScale(f64(random.uniform(0, 9, (60, 2))), f64(random.uniform(1, 2, (60, 2))))
    numbers = draws(60, half_body_gate=gate, upper_body_gate=ndtr(normal))
    after = augmentation.half_body(
        before, f64(keypoints), tf.constant(visible), numbers, COCO_AUGMENTATION, COCO, (256, 192)
    )
    takes = reference.is_half_body(visible, gate)
    assert 5 < takes.sum() < 40
    for i, taken in enumerate(takes):
        half = (
            reference.half_body(keypoints[i], visible[i], (256, 192), normal[i]) if taken else None
        )
        center, scale = half or (before.center[i], before.scale[i])
        np.testing.assert_allclose(after.center[i], center)
        np.testing.assert_allclose(after.scale[i], scale)


def test_draws_are_uniform_or_normal_and_independent():
    count = 3000
    numbers = tf.data.Dataset.range(count).map(lambda n: augmentation.uniform_draws(4, n))
    numbers = augmentation.as_draws(numbers.batch(count).get_single_element())
    for name, column in zip(Draws._fields, numbers, strict=True):
        mean, std = (0, 1) if "normal" in name else (0.5, 12**-0.5)
        # five standard errors
        np.testing.assert_allclose(np.mean(column), mean, atol=5 * std / count**0.5)
        np.testing.assert_allclose(np.std(column), std, atol=5 * std / (2 * count) ** 0.5)
    assert np.abs(np.corrcoef(np.array(numbers)) - np.eye(len(numbers))).max() < 5 / count**0.5


CASES = [
    ("coco_192x256", "msra", (256, 192)),
    ("coco_192x256", "unbiased", (256, 192)),
    ("coco_192x256", "udp", (256, 192)),
    ("coco_288x384", "msra", (384, 288)),
    ("mpii_256x256", "msra", (256, 256)),
]


@pytest.mark.parametrize(("name", "encoding", "size"), CASES)
def test_targets_of_the_reference(golden_pose, name, encoding, size):
    golden = golden_pose("target")
    keypoints, visible = golden[f"in/{name}_joints"], golden[f"in/{name}_visible"][:, 0]
    codec = HeatmapCodec(size, encoding=encoding)
    maps, weights = heatmaps.encode(f64(keypoints[None, :, :2]), tf.constant(visible[None]), codec)
    expected = golden[f"v029/{name}_{encoding}_target"].transpose(1, 2, 0)
    np.testing.assert_allclose(maps[0], expected, rtol=0, atol=4 * EPSILON32)
    np.testing.assert_array_equal(weights[0, 0, 0], golden[f"v029/{name}_{encoding}_weight"][:, 0])


@pytest.mark.parametrize("encoding", heatmaps.ENCODINGS)
def test_targets_agree_with_numpy(encoding):
    random = np.random.default_rng(5)
    keypoints = random.uniform(-40, 300, (6, 17, 2))
    visible = (random.random((6, 17)) < 0.7).astype(np.float32)
    codec = HeatmapCodec((256, 192), encoding=encoding, keypoint_weights=COCO.keypoint_weights)
    maps, weights = heatmaps.encode(f64(keypoints), tf.constant(visible), codec)
    expected_maps, expected_weights = codec.encode(keypoints, visible)
    np.testing.assert_allclose(maps, expected_maps, rtol=0, atol=4 * EPSILON32)
    np.testing.assert_allclose(weights[:, 0, 0], expected_weights)
    assert 0 < expected_weights.min(where=expected_weights > 0, initial=9) < expected_weights.max()
