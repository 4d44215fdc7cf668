"""The NumPy augmentation against mmpose, with given random numbers."""

import numpy as np
import pytest

import reference_augmentation as augmentation
from tests.rounding import EPSILON32, EPSILON64, rounding_error


@pytest.mark.parametrize("name", ["coco", "mpii"])
def test_flip_keypoints(golden_pose, name):
    golden = golden_pose("flip_joints")
    for i, width in enumerate(golden["in/width"]):
        keypoints, visible = golden[f"in/{name}_joints"][i], golden[f"in/{name}_visible"][i]
        flipped = augmentation.flip_keypoints(keypoints[:, :2], visible[:, 0], width, name)
        np.testing.assert_array_equal(flipped[0], golden[f"v029/{name}_joints"][i][:, :2])
        np.testing.assert_array_equal(flipped[1], golden[f"v029/{name}_visible"][i][:, 0])


def test_flipping_twice_changes_nothing():
    rng = np.random.default_rng(0)
    visible = (rng.random((4, 17)) < 0.7).astype(np.float32)
    keypoints = rng.uniform(0, 99, (4, 17, 2)) * visible[..., None]
    once = augmentation.flip_keypoints(keypoints, visible, 100)
    twice = augmentation.flip_keypoints(*once, 100)
    np.testing.assert_allclose(twice[0], keypoints, atol=rounding_error(100, 4))
    np.testing.assert_array_equal(twice[1], visible)


def test_random_draws(golden_pose):
    golden = golden_pose("random_draws")
    given = {name.removeprefix("in/"): golden[name] for name in golden if name.startswith("in/")}
    scale = augmentation.scale_bbox(given["scale"], given["scale_draw"])
    np.testing.assert_array_equal(scale, golden["v029/scale"])
    rotation = augmentation.random_rotation(given["rotation_prob_draw"], given["rotation_draw"])
    np.testing.assert_array_equal(rotation, golden["v029/rotation"])
    center = augmentation.shift_bbox(
        given["center"], given["scale"], given["shift_prob_draw"], given["shift_draw"]
    )
    np.testing.assert_allclose(center, golden["v029/shifted_center"], rtol=8 * EPSILON64)


@pytest.mark.parametrize("size", [(256, 192), (384, 288)])
@pytest.mark.parametrize(("choice", "normal"), [("upper_first", 0.0), ("lower_first", 1.0)])
def test_half_body(golden_pose, size, choice, normal):
    golden = golden_pose("half_body")
    name = f"{choice}_{size[1]}x{size[0]}"
    for i, keypoints in enumerate(golden["in/joints"]):
        visible = golden["in/visible"][i][:, 0]
        frame = augmentation.half_body(keypoints[:, :2], visible, size, normal)
        expected = golden[f"v029/center_{name}"][i], golden[f"v029/scale_{name}"][i]
        assert (frame is None) == np.isnan(expected).all()
        if frame:
            np.testing.assert_allclose(frame[0], expected[0], rtol=8 * EPSILON32)
            np.testing.assert_allclose(frame[1], expected[1], rtol=8 * EPSILON32)
        applied = frame is not None and augmentation.is_half_body(visible, 0.0)
        assert applied == golden[f"v029/applied_{name}"][i]


def test_half_body_depends_on_its_draw():
    visible = np.ones((3, 17))
    taken = augmentation.is_half_body(visible, np.array([0.0, 0.299, 0.3]))
    np.testing.assert_array_equal(taken, [True, True, False])
    visible[:, 8:] = 0
    assert not augmentation.is_half_body(visible, np.zeros(3)).any()
