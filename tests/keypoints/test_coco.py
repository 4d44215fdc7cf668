"""Scoring COCO results: the reference's metrics, real ground truth, and malformed results."""

import copy
import json

import numpy as np
import pytest

from keras_shufflenet.keypoints import (
    evaluate_keypoints,
    read_coco,
    read_detections,
    rescore_and_nms,
    save_results,
)
from keras_shufflenet.keypoints.coco import METRICS
from tests.rounding import EPSILON64


@pytest.fixture(scope="module")
def annotations(shared):
    return json.loads((shared / "golden" / "pose" / "coco_keypoints.json").read_text())


def poses_of(instances):
    """Return the ground truth as poses of score 1."""
    return np.concatenate(
        [instances.keypoints, np.ones((*instances.keypoints_visible.shape, 1))], axis=-1
    )


@pytest.mark.parametrize(("nms", "name"), [("hard", "hard"), ("soft", "soft"), (None, "no_nms")])
def test_metrics_of_the_reference(shared, golden_pose, annotations, nms, name):
    golden = golden_pose("coco_eval")
    instances = read_detections(shared / "golden" / "pose" / "coco_detections.json", annotations)
    _, scale = instances.center_scale((256, 192))
    results = rescore_and_nms(
        instances.image_id, golden["in/preds"], instances.bbox_scores, scale, nms=nms
    )
    metrics = evaluate_keypoints(annotations, results)
    assert tuple(metrics) == METRICS == tuple(golden[f"v029/{name}_names"])
    np.testing.assert_allclose(
        list(metrics.values()), golden[f"v029/{name}_values"], rtol=8 * EPSILON64
    )


def test_results_of_the_reference(shared, golden_pose, annotations, tmp_path):
    golden = golden_pose("coco_eval")
    instances = read_detections(shared / "golden" / "pose" / "coco_detections.json", annotations)
    _, scale = instances.center_scale((256, 192))
    results = rescore_and_nms(instances.image_id, golden["in/preds"], instances.bbox_scores, scale)
    save_results(results, tmp_path / "out" / "results.json")
    saved = json.loads((tmp_path / "out" / "results.json").read_text())
    expected = golden_pose("coco_results_v029.json")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["results.json"]
    for ours, theirs in zip(saved, expected, strict=True):
        assert ours.pop("score") == pytest.approx(theirs["score"], rel=32 * EPSILON64)
        assert ours == {name: theirs[name] for name in ours}
    metrics = evaluate_keypoints(annotations, tmp_path / "out" / "results.json")
    assert metrics == evaluate_keypoints(annotations, results)


@pytest.mark.parametrize("file", ["person_keypoints_val", "person_keypoints_val_complete"])
def test_real_ground_truth_is_nearly_perfect(shared, file):
    path = shared / "data" / "coco" / f"{file}.json"
    instances = read_coco(path)
    _, scale = instances.center_scale((256, 192))
    results = rescore_and_nms(
        instances.image_id, poses_of(instances), instances.bbox_scores, scale, nms=None
    )
    metrics = evaluate_keypoints(path, results)
    # one person with a near-duplicate can miss the highest of the 101 recall levels
    assert min(metrics.values()) > 1 - 2 / 101
    worse = poses_of(instances)
    worse[..., :2] += np.random.default_rng(0).normal(0, 15, worse[..., :2].shape)
    spoilt = rescore_and_nms(instances.image_id, worse, instances.bbox_scores, scale)
    assert evaluate_keypoints(path, spoilt)["AP"] < 0.5


def test_no_results_score_zero(annotations, tmp_path):
    assert evaluate_keypoints(annotations, []) == dict.fromkeys(METRICS, 0.0)
    (tmp_path / "poses.json").write_text("[]")
    with pytest.raises(
        ValueError, match=r"^poses\.json must have at least one result .*Received: 0 results$"
    ):
        evaluate_keypoints(annotations, tmp_path / "poses.json")


def test_images_without_results_only_lower_the_recall(annotations):
    instances = read_coco(annotations)
    _, scale = instances.center_scale((256, 192))
    results = rescore_and_nms(
        instances.image_id, poses_of(instances), instances.bbox_scores, scale, nms=None
    )
    half = [result for result in results if result["image_id"] < 1050]
    assert 0 < len(half) < len(results)
    whole, part = evaluate_keypoints(annotations, results), evaluate_keypoints(annotations, half)
    assert 0.1 < part["AR"] < 0.9 * whole["AR"]


def test_scoring_does_not_modify_its_arguments(annotations, capsys):
    instances = read_coco(annotations)
    _, scale = instances.center_scale((256, 192))
    results = rescore_and_nms(instances.image_id, poses_of(instances), instances.bbox_scores, scale)
    before = copy.deepcopy((annotations, results))
    evaluate_keypoints(annotations, results)
    assert (annotations, results) == before
    assert capsys.readouterr().out == ""


def test_the_first_annotation_may_have_the_id_0(annotations):
    instances = read_coco(annotations)
    _, scale = instances.center_scale((256, 192))
    results = rescore_and_nms(instances.image_id, poses_of(instances), instances.bbox_scores, scale)
    renumbered = copy.deepcopy(annotations)
    for index, annotation in enumerate(renumbered["annotations"]):
        annotation["id"] = index
    assert evaluate_keypoints(renumbered, results) == evaluate_keypoints(annotations, results)


def test_scores_are_bbox_score_times_confident_keypoints():
    pose = np.zeros((1, 17, 3))
    pose[0, :3, 2] = 0.9, 0.5, 0.2  # 0.2 is not above the threshold
    arguments = np.array([5]), pose, np.array([0.5]), np.array([[1.0, 1.0]])
    assert rescore_and_nms(*arguments)[0]["score"] == pytest.approx(0.35)
    pose[..., 2] = 0.1
    assert rescore_and_nms(*arguments)[0]["score"] == 0
    pose[..., 2] = np.nan  # of a diverged network
    assert rescore_and_nms(*arguments)[0]["score"] == 0


def test_duplicates_are_removed_within_an_image_only():
    poses = np.random.default_rng(0).uniform(0, 100, (1, 17, 3)).repeat(3, axis=0)
    poses[..., 2] = 0.5
    image_ids, bbox_scores = np.array([4, 2, 4]), np.array([0.3, 0.8, 0.6])
    results = rescore_and_nms(image_ids, poses, bbox_scores, np.ones((3, 2)))
    assert [(r["image_id"], r["score"]) for r in results] == [(4, 0.3), (2, 0.4)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image_id": 5},
            r"results\[1\]: 'image_id' must be the id of a listed image. Received: 5$",
        ),
        ({"keypoints": [1.0] * 50}, r"results\[1\]: 'keypoints' must be a list of 51"),
        ({"score": None}, r"results\[1\]: 'score' must be a finite number. Received: None$"),
    ],
)
def test_malformed_results(annotations, change, message):
    good = {"image_id": 1000, "keypoints": [1.0] * 51, "score": 0.5}
    with pytest.raises(ValueError, match=message):
        evaluate_keypoints(annotations, [good, good | change])


def test_ground_truth_with_missing_fields(annotations, tmp_path):
    spoilt = copy.deepcopy(annotations)
    del spoilt["annotations"][4]["image_id"]
    (tmp_path / "truth.json").write_text(json.dumps(spoilt))
    message = r"^truth\.json: annotations\[4\] must have the field 'image_id'\. Received: "
    with pytest.raises(ValueError, match=message):
        evaluate_keypoints(tmp_path / "truth.json", [])


def test_annotations_of_another_skeleton(annotations):
    with pytest.raises(
        ValueError, match=r"'keypoints' of .* must be the 16 of .*'mpii'.*Received: .*nose"
    ):
        evaluate_keypoints(annotations, [], skeleton="mpii")
