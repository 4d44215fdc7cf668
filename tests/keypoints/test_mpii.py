"""MPII annotations and PCKh against the reference."""

import json

import numpy as np
import pytest
from scipy.io import savemat

from keras_shufflenet.keypoints import evaluate_pckh, read_mpii
from keras_shufflenet.keypoints.mpii import check_order, load_truth
from tests.rounding import EPSILON64


def person(**changes):
    joints = [[10.0, 20.0]] * 16
    given = {"image": "a.jpg", "center": [100.0, 80.0], "scale": 2.0, "joints": joints}
    return {**given, "joints_vis": [1] * 16, **changes}


def test_records_of_the_reference(shared, golden_pose):
    golden = golden_pose("mpii_eval")
    instances = read_mpii(shared / "golden" / "pose" / "mpii_annotations.json")
    center, scale = instances.center_scale((256, 256))
    np.testing.assert_allclose(center, golden["v029/train_center"], rtol=4 * EPSILON64)
    np.testing.assert_allclose(scale, golden["v029/train_scale"], rtol=4 * EPSILON64)
    np.testing.assert_array_equal(instances.keypoints, golden["v029/train_joints"][..., :2])
    np.testing.assert_array_equal(instances.keypoints_visible, golden["v029/train_visible"][..., 0])


def test_metrics_of_the_reference(shared, golden_pose):
    golden = golden_pose("mpii_eval")
    names = ("jnt_missing", "pos_gt_src", "headboxes_src")
    arrays = {name: golden[f"in/{name}"] for name in names}
    for truth in (arrays, shared / "golden" / "pose" / "mpii_gt_val.mat"):
        metrics = evaluate_pckh(golden["in/preds"], truth)
        assert list(metrics) == list(golden["v029/names"])
        np.testing.assert_allclose(
            100 * np.array(list(metrics.values())), golden["v029/values"], rtol=16 * EPSILON64
        )


def test_the_ground_truth_of_the_validation_set_scores_1(shared):
    instances = read_mpii(shared / "data" / "mpii" / "mpii_val.json")
    assert len(instances) == 2958
    metrics = evaluate_pckh(instances.keypoints, shared / "data" / "mpii" / "mpii_gt_val.mat")
    assert set(metrics.values()) == {1.0}


@pytest.mark.parametrize("seed", range(20))
def test_perfect_predictions_score_exactly_1(seed):
    """Whatever the number of labels of each keypoint, in binary fractions."""
    random = np.random.default_rng(seed)
    positions = random.uniform(0, 99, (16, 2, 23))
    truth = {
        "jnt_missing": (random.uniform(size=(16, 23)) < 0.3).astype(float),
        "pos_gt_src": positions,
        "headboxes_src": np.stack([np.zeros((2, 23)), np.full((2, 23), 9.0)]),
    }
    metrics = evaluate_pckh(positions.transpose(2, 0, 1) - 1, truth)
    assert set(metrics.values()) == {1.0}


def test_images_get_ids_in_order_of_appearance():
    instances = read_mpii([person(), person(image="b.jpg"), person()])
    np.testing.assert_array_equal(instances.image_id, [0, 1, 0])
    assert str(instances.report) == "annotations: read 3 of 3 instances"
    np.testing.assert_array_equal(instances.file_name, ["a.jpg", "b.jpg", "a.jpg"])
    assert instances.select(instances.image_id == 0).keypoints_visible.shape == (2, 16)


def test_labels_may_be_booleans_and_persons_without_labels_are_read():
    labels = [True, False] * 8
    instances = read_mpii([person(joints_vis=labels), person(joints_vis=[0] * 16)])
    np.testing.assert_array_equal(instances.keypoints_visible, [labels, [0] * 16])


def test_keypoints_that_are_never_labeled_do_not_count():
    missing = np.zeros((16, 2))
    missing[9] = 1
    truth = {
        "jnt_missing": missing,
        "pos_gt_src": np.ones((16, 2, 2)),
        "headboxes_src": np.stack([np.zeros((2, 2)), np.full((2, 2), 10.0)]),
    }
    metrics = evaluate_pckh(np.zeros((2, 16, 2)), truth)
    assert np.isnan(metrics.pop("Head"))
    assert set(metrics.values()) == {1.0}
    nothing = evaluate_pckh(np.zeros((2, 16, 2)), truth | {"jnt_missing": np.ones((16, 2))})
    assert np.isnan(list(nothing.values())).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "at least one person. Received: an empty list$"),
        ({"images": []}, "must be a list. Received: "),
        (
            [person(), {"image": "a.jpg"}],
            r"annotations\[1\] must have the field 'joints'. Received: ",
        ),
        ([person(joints=[[1.0, 2.0]] * 15)], r"annotations\[0\]: 'joints' must be a list of 16"),
        ([person(joints=[[1.0]] * 16)], "pairs of finite numbers. Received: "),
        ([person(center=[1.0, None])], r"'center' must be a list of 2 .*Received: \[1.0, None\]$"),
        ([person(scale="2")], "'scale' must be a finite number. Received: '2'$"),
        ([person(scale=0)], "'scale' must be a positive number. Received: 0$"),
        ([person(scale=1e4)], "'scale' must be a number between -500 and 500. Received: 10000"),
        ([person(center=[1e6, 0])], "'center' must be a list of 2 numbers between -100000 and"),
        ([person(joints=[[1.0, 2e5]] * 16)], "'joints' must be a list of 16 pairs of numbers betw"),
        ([person(joints_vis=[2] * 16)], "'joints_vis' must be a list of 16 numbers 0 or 1"),
        ([person(joints_vis=[True] * 15 + [None])], "'joints_vis' must be a list of 16 finite"),
        (
            [person(joints_vis="1")],
            "'joints_vis' must be a list of 16 finite numbers. Received: '1'$",
        ),
        ([person(image="a\0.jpg")], "'image' must be a string without NUL characters. Received: "),
        ([person(image="")], "'image' must be a string that is not empty. Received: ''$"),
    ],
)
def test_malformed_annotations(content, message):
    with pytest.raises(ValueError, match=message):
        read_mpii(content)


def test_malformed_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: .*nowhere\.mat$"):
        evaluate_pckh(np.zeros((1, 16, 2)), tmp_path / "nowhere.mat")
    (tmp_path / "text.mat").write_text(json.dumps([person()] * 4))
    with pytest.raises(ValueError, match=r"text\.mat must be a MATLAB file. Received: "):
        evaluate_pckh(np.zeros((1, 16, 2)), tmp_path / "text.mat")
    savemat(tmp_path / "cut.mat", {"jnt_missing": np.zeros((16, 9))})
    content = (tmp_path / "cut.mat").read_bytes()
    for length in (100, 130, 300):  # in the header, in a tag, in the numbers
        (tmp_path / "cut.mat").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.mat must be a MATLAB file. Received: "):
            evaluate_pckh(np.zeros((1, 16, 2)), tmp_path / "cut.mat")
    with pytest.raises(
        ValueError, match=r"must contain the arrays \['jnt_missing', .*Received: \['joints'\]$"
    ):
        evaluate_pckh(np.zeros((1, 16, 2)), {"joints": np.zeros(3)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pos_gt_src": np.full((16, 2, 2), np.nan)}, "'pos_gt_src' must be finite. Received: 64"),
        ({"jnt_missing": np.full((16, 2), 3)}, "'jnt_missing' must be 0 or 1. Received: 3 among"),
        ({"headboxes_src": np.ones((2, 2, 2))}, "two different corners.*size 0 of person number 0"),
        ({"pos_gt_src": np.array([["x"]])}, "'pos_gt_src' must be an array of numbers. Received: "),
        ({"jnt_missing": np.array(1.0)}, r"must have the shapes \(16, N\).*Received: \[\(\), "),
    ],
    ids=str,
)
def test_ground_truth_that_cannot_be_scored(change, message):
    truth = {
        "jnt_missing": np.zeros((16, 2)),
        "pos_gt_src": np.ones((16, 2, 2)),
        "headboxes_src": np.stack([np.zeros((2, 2)), np.full((2, 2), 10.0)]),
    }
    with pytest.raises(ValueError, match=message):
        evaluate_pckh(np.zeros((2, 16, 2)), truth | change)
    with pytest.raises(ValueError, match=r"`predictions` must be finite\. Received: 64 numbers"):
        evaluate_pckh(np.full((2, 16, 2), np.nan), truth)


def test_the_order_of_the_ground_truth_is_checked(shared):
    instances = read_mpii(shared / "data" / "mpii" / "mpii_val.json")
    truth = load_truth(shared / "data" / "mpii" / "mpii_gt_val.mat")
    check_order(instances, truth)
    with pytest.raises(ValueError, match=r"same order\. Received: 29.. of 2958 .* annotation 0 "):
        check_order(instances.select(slice(None, None, -1)), truth)
    with pytest.raises(ValueError, match=r"Received: 2958 persons, 5 annotations$"):
        check_order(instances.select(slice(5)), truth)


def test_predictions_of_the_wrong_shape(shared):
    with pytest.raises(ValueError, match=r"\(2958, 16, 2 or 3\).*Received: shape \(5, 16, 2\)$"):
        evaluate_pckh(np.zeros((5, 16, 2)), shared / "data" / "mpii" / "mpii_gt_val.mat")
