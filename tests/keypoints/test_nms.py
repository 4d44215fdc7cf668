"""OKS and non-maximum suppression of poses against the reference."""

import numpy as np
import pytest

from keras_shufflenet.keypoints import oks, oks_nms, soft_oks_nms
from tests.rounding import EPSILON32, rounding_error


@pytest.fixture(scope="module")
def golden(golden_pose):
    return golden_pose("nms")


@pytest.mark.parametrize(("threshold", "name"), [(None, "oks"), (0.2, "oks_vis_thr_0.2")])
def test_oks(golden, threshold, name):
    similarity = oks(golden["in/keypoints"], golden["in/area"], "coco", threshold)
    np.testing.assert_allclose(similarity, golden[f"v029/{name}"], atol=EPSILON32)


@pytest.mark.parametrize("threshold", [0.9, 0.5, 0.3])
def test_kept_poses(golden, threshold):
    similarity, scores = oks(golden["in/keypoints"], golden["in/area"]), golden["in/score"]
    kept = oks_nms(similarity, scores, threshold)
    np.testing.assert_array_equal(kept, golden[f"v029/keep_{threshold}"])
    soft = soft_oks_nms(similarity, scores, threshold)
    np.testing.assert_array_equal(soft, golden[f"v029/keep_soft_{threshold}"])
    five = soft_oks_nms(similarity, scores, threshold, max_poses=5)
    np.testing.assert_array_equal(five, golden[f"v029/keep_soft_max5_{threshold}"])


def test_kept_poses_by_visible_keypoints(golden):
    similarity = oks(golden["in/keypoints"], golden["in/area"], visibility_threshold=0.2)
    kept = oks_nms(similarity, golden["in/score"], 0.9)
    np.testing.assert_array_equal(kept, golden["v029/keep_0.9_vis_thr_0.2"])


def test_oks_of_copies_and_of_distant_poses():
    pose = np.random.default_rng(0).uniform(0, 100, (1, 17, 3))
    poses = np.concatenate([pose, pose, pose + 1000])
    similarity = oks(poses, np.full(3, 5000.0))
    np.testing.assert_allclose(
        similarity, [[1, 1, 0], [1, 1, 0], [0, 0, 1]], atol=rounding_error(1, 17)
    )
    np.testing.assert_array_equal(oks_nms(similarity, np.array([0.1, 0.3, 0.2])), [1, 2])


def test_no_poses():
    similarity = oks(np.zeros((0, 17, 3)), np.zeros(0))
    assert oks_nms(similarity, np.zeros(0)).shape == (0,)
    assert soft_oks_nms(similarity, np.zeros(0)).shape == (0,)


@pytest.mark.parametrize(
    ("poses", "areas"), [((2, 16, 3), (2,)), ((2, 17, 2), (2,)), ((2, 17, 3), (3,)), ((17, 3), ())]
)
def test_shapes_that_do_not_fit(poses, areas):
    with pytest.raises(ValueError, match=r"shape \(N, 17, 3\).*Received: shapes \("):
        oks(np.zeros(poses), np.ones(areas))


def test_of_equal_scores_the_last_is_kept_first():
    similarity = np.eye(4)
    similarity[0, 2] = similarity[2, 0] = 0.95
    assert oks_nms(similarity, [0.5] * 4).tolist() == [3, 2, 1]
    assert oks_nms(similarity, [0.5, 0.5, 0.5, 0.7]).tolist() == [3, 2, 1]
    assert soft_oks_nms(similarity, [0.5] * 4).tolist() == [3, 0, 1, 2]


@pytest.mark.parametrize("nms", [oks_nms, soft_oks_nms])
def test_as_many_scores_as_poses(nms):
    assert nms(np.zeros((0, 0)), np.zeros(0)).tolist() == []
    for wrong in (np.ones(2), np.ones(4), np.ones((3, 1))):
        with pytest.raises(ValueError, match=r"shape \(N, N\), and .* Received: shapes \(3, 3\)"):
            nms(np.eye(3), wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.5}, "`threshold` must be a number between 0 and 1"),
        ({"threshold": -0.1}, "`threshold` must be a number between 0 and 1"),
        ({"threshold": np.nan}, "`threshold` must be a number between 0 and 1"),
        ({"scores": [0.5, np.nan]}, r"`scores` must be numbers\. Received: NaN of pose 1$"),
    ],
)
def test_numbers_that_no_pose_has(arguments, message):
    for nms in (oks_nms, soft_oks_nms):
        with pytest.raises(ValueError, match=message):
            nms(np.eye(2), **{"scores": [0.5, 0.6], **arguments})
    with pytest.raises(ValueError, match="`threshold` must be a positive number"):
        soft_oks_nms(np.eye(2), [0.5, 0.6], 0)
