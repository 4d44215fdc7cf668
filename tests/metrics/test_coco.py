import json

import numpy as np
import pytest

from keras_shufflenet import data, export, metrics
from keras_shufflenet.inference import PosePredictor, predict_pose
from keras_shufflenet.inference.pose import predict_dataset
from keras_shufflenet.keypoints import COCO, HeatmapCodec, evaluate_keypoints
from tests.rounding import EPSILON32, EPSILON64, rounding_error

METRICS = ["AP", "AP .5", "AP .75", "AP (M)", "AP (L)", "AR", "AR .5", "AR .75", "AR (M)", "AR (L)"]
AP_TOLERANCE = 0.01  # of another implementation of the same evaluation
QUICK = {"flip_test": False, "verbose": False}


def run(model, people, **options):
    return metrics.coco(model, people, people.parent, **QUICK | options)


def test_who_finds_every_joint_has_all_the_precision(color_net, dotted_people):
    found = run(color_net, dotted_people)
    assert list(found) == METRICS
    assert found["AP"] == pytest.approx(1, rel=4 * EPSILON64)
    assert found["AP (L)"] == pytest.approx(1, rel=4 * EPSILON64)
    assert found["AP (M)"] == -1


def test_the_last_batch_may_be_smaller(color_net, dotted_people):
    assert run(color_net, dotted_people, batch_size=4)["AP"] == pytest.approx(1, rel=4 * EPSILON64)


def test_a_blind_network_has_none(dotted_people):
    nothing = np.zeros((6, 64, 48, 17))
    blind = run(lambda crops: nothing[: len(crops)], dotted_people, input_size=(256, 192))
    assert blind["AP"] == 0


def test_a_saved_file_scores_the_same(tmp_path, color_net, dotted_people):
    path = tmp_path / "net.keras"
    color_net.save(path)
    assert run(path, dotted_people) == run(color_net, dotted_people)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_an_exported_file_goes_the_same_way(tmp_path, color_net, dotted_people, precision):
    path = tmp_path / "net.tflite"
    samples = data.load_keypoint_dataset(dotted_people, dotted_people.parent)
    crops = data.person_instances(samples, HeatmapCodec((256, 192)))
    export.litert(color_net, path, precision, representative_dataset=crops)
    found = run(path, dotted_people)
    assert found["AP"] == pytest.approx(1, rel=4 * EPSILON64)


def test_detected_boxes(tmp_path, color_net, dotted_people):
    truth = json.loads(dotted_people.read_text())["annotations"]
    boxes = [
        {"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 0.9}
        for a in truth[:3]
    ]
    boxes.append(boxes[0] | {"bbox": [150, 100, 80, 90], "score": 0.3})
    boxes.append(boxes[0] | {"category_id": 2})
    boxes.append(boxes[0] | {"image_id": 999})
    path, poses = tmp_path / "boxes.json", tmp_path / "poses.json"
    path.write_text(json.dumps(boxes))
    options = {"detections": path, "results_path": poses}
    assert run(color_net, dotted_people, **options)["AR"] == pytest.approx(0.5, rel=4 * EPSILON64)
    assert len(json.loads(poses.read_text())) == 4
    run(color_net, dotted_people, score_threshold=0.5, **options)
    assert len(json.loads(poses.read_text())) == 3


def test_images_without_annotations(tmp_path, color_net, dotted_people):
    content = json.loads(dotted_people.read_text())
    boxes = [
        {"image_id": a["image_id"], "bbox": a["bbox"], "score": 0.9} for a in content["annotations"]
    ]
    dotted_people.write_text(json.dumps(content | {"annotations": []}))
    with pytest.raises(ValueError, match=r"Received: 3 images, 0 annotations$"):
        run(color_net, dotted_people, detections=boxes)
    poses = tmp_path / "poses.json"
    found = run(color_net, dotted_people, detections=boxes, results_path=poses)
    assert set(found.values()) == {-1}
    assert len(json.loads(poses.read_text())) == 6


def test_another_category_with_keypoints_in_another_order(tmp_path, color_net, dotted_people):
    expected, poses = run(color_net, dotted_people), tmp_path / "poses.json"
    content = json.loads(dotted_people.read_text())
    for person in content["annotations"]:
        person["category_id"] = 8
        person["keypoints"] = np.reshape(person["keypoints"], (17, 3))[::-1].ravel().tolist()
    names = list(COCO.keypoint_names)[::-1]
    content["categories"] = [{"id": 8, "name": "dancer", "keypoints": names}]
    dotted_people.write_text(json.dumps(content))
    assert run(color_net, dotted_people, category="dancer", results_path=poses) == expected
    results = json.loads(poses.read_text())
    assert {pose["category_id"] for pose in results} == {8}
    assert evaluate_keypoints(dotted_people, poses) == expected


def test_prediction_and_evaluation_find_the_same(color_net, dotted_people):
    samples = data.load_keypoint_dataset(dotted_people, dotted_people.parent)
    estimator = PosePredictor.load(color_net)
    together = predict_dataset(estimator, samples, verbose=False)
    for path, box, points in zip(samples.paths, samples.instances.bboxes, together, strict=True):
        found = predict_pose(estimator, path, [box])[0]
        np.testing.assert_allclose(found, points, atol=rounding_error(points, 2, EPSILON32))


def test_written_poses_are_those_that_were_scored(tmp_path, color_net, dotted_people):
    poses = tmp_path / "poses.json"
    run(color_net, dotted_people, results_path=poses)
    scored = [pose for pose in json.loads(poses.read_text()) if pose["image_id"] == 5]
    found = np.array([pose["keypoints"] for pose in scored]).reshape(2, 17, 3)
    found = found[found[:, 0, 0].argsort()]
    truth = json.loads(dotted_people.read_text())["annotations"][:2]
    cell = max(box["bbox"][3] for box in truth) * 1.25 / 64  # of the heatmap, in image pixels
    wanted = np.array([person["keypoints"] for person in truth]).reshape(2, 17, 3)
    np.testing.assert_allclose(found[..., :2], wanted[..., :2], atol=1.5 * cell)
    means = [np.mean(pose["keypoints"][2::3]) for pose in scored]
    np.testing.assert_allclose([pose["score"] for pose in scored], means, rtol=8 * EPSILON32)


def test_a_trained_network_has_its_known_precision(shared, simple_pose):
    coco = shared / "data" / "coco"
    found = metrics.coco(
        simple_pose,
        coco / "person_keypoints_val_complete.json",
        coco / "images",
        input_size=(256, 192),
        verbose=False,
    )
    assert found["AP"] == pytest.approx(0.560, abs=AP_TOLERANCE)


def test_a_trained_network_on_the_boxes_of_a_detector(shared, simple_pose):
    coco = shared / "data" / "coco"
    found = metrics.coco(
        simple_pose,
        coco / "person_keypoints_val_det.json",
        coco / "images",
        detections=coco / "person_detections_val_det.json",
        score_threshold=0.5,
        input_size=(256, 192),
        verbose=False,
    )
    assert found["AP"] == pytest.approx(0.557, abs=AP_TOLERANCE)


def test_a_classifier_is_refused(dotted_people):
    with pytest.raises(ValueError, match=r"\(N, h, w, K\).*Received: \(N, 1000\)"):
        run(lambda crops: np.zeros((len(crops), 1000)), dotted_people, input_size=(64, 48))


def test_a_function_needs_an_input_size(dotted_people):
    with pytest.raises(ValueError, match=r"input_size.*Received: input_size=None"):
        run(lambda crops: crops, dotted_people)


def test_missing_images_are_named(tmp_path, color_net, dotted_people):
    with pytest.raises(FileNotFoundError, match=r"Received: .* 3 of 3 .*0\.png"):
        metrics.coco(color_net, dotted_people, tmp_path / "nowhere", **QUICK)


def test_a_broken_image_is_named(color_net, dotted_people):
    image = dotted_people.with_name("1.png")
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"complete file of .*truncated\)\. Received: \S*1\.png$"):
        run(color_net, dotted_people)


def test_no_person_to_evaluate(color_net, dotted_people):
    content = json.loads(dotted_people.read_text()) | {"annotations": []}
    dotted_people.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="Received: 3 images, 0 annotations"):
        run(color_net, dotted_people)
