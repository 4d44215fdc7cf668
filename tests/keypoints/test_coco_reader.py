"""Reading COCO files: the instances of the reference, and errors about malformed files."""

import copy
import json

import numpy as np
import pytest

from keras_shufflenet.keypoints import read_coco, read_detections
from tests.rounding import EPSILON32

FLOAT32 = 2 * EPSILON32  # the reference stores products of float32 numbers


def dataset():
    keypoints = [30.0, 40.0, 2] * 17
    return {
        "images": [
            {"id": 7, "file_name": "seven.jpg", "height": 80, "width": 100},
            {"id": 3, "file_name": "three.jpg", "height": 60, "width": 90},
        ],
        "annotations": [
            {
                "id": index,
                "image_id": image_id,
                "category_id": 1,
                "bbox": [10.0, 20.0, 30.0, 40.0],
                "area": 1000.0,
                "iscrowd": 0,
                "num_keypoints": 17,
                "keypoints": list(keypoints),
            }
            for index, image_id in enumerate([3, 7, 3])
        ],
        "categories": [{"id": 1, "name": "person"}],
    }


def detection(**changes):
    return {
        "image_id": 7,
        "category_id": 1,
        "bbox": [-9.5, 2.0, 30.0, 90.0],
        "score": 0.5,
    } | changes


def test_training_instances_of_the_reference(shared, golden_pose):
    golden = golden_pose("coco_eval")
    instances = read_coco(shared / "golden" / "pose" / "coco_keypoints.json")
    center, scale = instances.center_scale((256, 192))
    np.testing.assert_allclose(center, golden["v029/train_center"], rtol=FLOAT32)
    np.testing.assert_allclose(scale, golden["v029/train_scale"], rtol=FLOAT32)
    np.testing.assert_array_equal(instances.keypoints, golden["v029/train_joints"][..., :2])
    np.testing.assert_array_equal(instances.keypoints_visible, golden["v029/train_visible"][..., 0])
    np.testing.assert_array_equal(instances.image_id, golden["v029/train_image_id"])
    np.testing.assert_array_equal(instances.bboxes, golden["v029/train_bbox"])
    assert instances.bbox_scores.min() == instances.bbox_scores.max() == 1


def test_detections_of_the_reference(shared, golden_pose):
    golden = golden_pose("coco_eval")
    folder = shared / "golden" / "pose"
    instances = read_detections(folder / "coco_detections.json", folder / "coco_keypoints.json")
    center, scale = instances.center_scale((256, 192))
    area = np.prod(200 * scale, axis=1)
    found = np.column_stack([center, scale, area, instances.bbox_scores])
    np.testing.assert_allclose(found, golden["v029/boxes"], rtol=FLOAT32)
    np.testing.assert_array_equal(instances.image_id, golden["in/image_id"])
    assert not instances.keypoints_visible.any()


@pytest.mark.parametrize(
    ("file", "count"),
    [
        ("coco/person_keypoints_train.json", 564),
        ("coco/person_keypoints_train_extra.json", 259),
        ("coco/person_keypoints_val.json", 460),
        ("coco/person_keypoints_val_complete.json", 207),
        ("lspet/person_keypoints_train.json", 4000),
    ],
)
def test_real_files(shared, file, count):
    instances = read_coco(shared / "data" / file)
    assert len(instances) == count
    right_bottom = instances.bboxes[:, :2] + instances.bboxes[:, 2:]
    assert (right_bottom <= instances.image_size[:, ::-1] - 1).all()
    assert (instances.keypoints_visible.sum(1) > 0).all()


def test_instances_are_ordered_by_image():
    instances = read_coco(dataset())
    np.testing.assert_array_equal(instances.image_id, [7, 3, 3])
    np.testing.assert_array_equal(instances.file_name, ["seven.jpg", "three.jpg", "three.jpg"])
    np.testing.assert_array_equal(instances.image_size, [(80, 100), (60, 90), (60, 90)])
    assert len(instances.select(instances.image_id == 3)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"iscrowd": 1},
        {"num_keypoints": 0},
        {"keypoints": [0] * 51},
        {"bbox": [200.0, 20.0, 30.0, 40.0]},
        {"bbox": [10.0, 20.0, 0.0, 40.0]},
        {"category_id": 18},
    ],
    ids=str,
)
def test_annotations_that_are_left_out(change):
    data = dataset()
    data["annotations"][1].update(change)
    instances = read_coco(data)
    np.testing.assert_array_equal(instances.image_id, [3, 3])
    assert (instances.report.total, instances.report.read) == (3, 2)
    assert list(instances.report.left_out.values()) == [1]


def test_area_and_keypoint_count_may_be_absent():
    data = dataset()
    for person in data["annotations"]:
        del person["area"], person["num_keypoints"], person["iscrowd"]
    np.testing.assert_array_equal(read_coco(data).areas, [1200] * 3)


def test_detections_are_chosen_by_category_score_and_image():
    found = [detection(), detection(score=0.2), detection(category_id=2), detection(image_id=99)]
    assert len(read_detections(found, dataset())) == 2
    instances = read_detections(found, dataset(), score_threshold=0.5)
    np.testing.assert_array_equal(instances.bboxes, [[-9.5, 2, 30, 90]])  # not clipped
    with pytest.raises(
        ValueError,
        match=r"No instances remain.*score >= 0.9 in one of the 2 images. Received: 4 detections; "
        r"left out: 2 below the score threshold, 1 of other categories, 1 in images that are not l",
    ):
        read_detections(found, dataset(), score_threshold=0.9)


def test_missing_fields_are_named_with_file_and_index(tmp_path):
    data = dataset()
    del data["annotations"][2]["image_id"]
    (tmp_path / "people.json").write_text(json.dumps(data))
    place = r"^people\.json: annotations\[2\] must have the field 'image_id'\. Received: fields \["
    with pytest.raises(ValueError, match=place):
        read_coco(tmp_path / "people.json")


@pytest.mark.parametrize("field", ["id", "file_name", "height", "width"])
def test_missing_fields_of_images(field):
    data = dataset()
    del data["images"][1][field]
    with pytest.raises(
        ValueError, match=rf"images\[1\] must have the field '{field}'\. Received: "
    ):
        read_coco(data)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("bbox", [1, 2, 3], "a list of 4 finite numbers"),
        ("bbox", "10 20 30 40", "a list of 4 finite numbers"),
        ("keypoints", [1.0] * 48, "a list of 51 finite numbers, 3 for .* the skeleton 'coco'.*"),
        ("keypoints", [float("nan")] * 51, "a list of 51 finite numbers"),
        ("keypoints", ["1"] * 51, "a list of 51 finite numbers"),
        ("image_id", 1.5, "an integer"),
        ("area", "big", "a finite number"),
        ("area", 10**400, "a finite number"),
    ],
)
def test_wrong_fields(field, value, message):
    data = dataset()
    data["annotations"][1][field] = value
    with pytest.raises(ValueError, match=rf"annotations\[1\]: '{field}' must be {message}\. Rec"):
        read_coco(data)


def test_unknown_image():
    data = dataset()
    data["annotations"][0]["image_id"] = 12
    with pytest.raises(ValueError, match=r"annotations\[0\]: 'image_id' must be .*Received: 12$"):
        read_coco(data)


def test_empty_datasets():
    data = dataset()
    data["annotations"] = []
    with pytest.raises(
        ValueError,
        match=r"labeled keypoint.*no instances remain\. Received: 2 images, 0 annotations$",
    ):
        read_coco(data)
    with pytest.raises(ValueError, match=r"Received: 0 detections$"):
        read_detections([], dataset())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"broken\.json must be valid JSON. Received: "),
        ("[" * 100_000, r"broken\.json must be valid JSON. Received: "),
        ("[]", r"broken\.json must be a JSON object. Received: \[\]$"),
        ("{}", r"broken\.json must have the field 'images'. Received: fields \[\]$"),
        ('{"images": 3, "annotations": []}', "images must be a list. Received: 3$"),
        ('{"images": [3], "annotations": []}', r"images\[0\] must be a JSON object. Received: 3$"),
    ],
)
def test_broken_files(tmp_path, content, message):
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_coco(tmp_path / "broken.json")


def test_absent_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: .*people\.json$"):
        read_coco(tmp_path / "people.json")


def test_reading_does_not_modify_its_arguments():
    data = dataset()
    before = copy.deepcopy(data)
    read_coco(data)
    assert data == before
