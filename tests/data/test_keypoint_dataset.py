"""Instances and image files of datasets, and errors about invalid files."""

import copy
import json

import numpy as np
import pytest
import tensorflow as tf

import keras_shufflenet as ks


def test_instances_and_their_files(people):
    dataset = ks.data.load_keypoint_dataset(*people)
    assert len(dataset) == 5
    assert [dataset.steps_per_epoch(batch) for batch in (1, 2, 5, 6)] == [5, 3, 1, 1]
    assert dataset.skeleton is ks.keypoints.COCO
    assert dataset.paths.tolist() == [str(people[1] / f"{number}.jpg") for number in range(1, 6)]
    selected = dataset.select(np.array([3, 1]))
    assert selected.instances.image_id.tolist() == [4, 2]
    assert selected.paths.tolist() == dataset.paths[[3, 1]].tolist()


def test_reports(people):
    content = copy.deepcopy(people[0])
    content["annotations"][0]["iscrowd"] = 1
    text = "annotations: read 4 of 5 instances; left out: 1 crowd"
    assert str(ks.data.load_keypoint_dataset(content, people[1]).report) == text
    assert str(ks.data.keypoints(content, people[1]).report) == text


def test_json_files_and_their_content_are_the_same(people, tmp_path):
    file = tmp_path / "people.json"
    file.write_text(json.dumps(people[0]))
    for source in (file, str(file)):
        dataset = ks.data.load_keypoint_dataset(source, str(people[1]))
        assert dataset.paths.tolist() == ks.data.load_keypoint_dataset(*people).paths.tolist()


def test_detections(people):
    boxes = [
        {"image_id": 2, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.9},
        {"image_id": 2, "category_id": 1, "bbox": [5, 2, 30, 40], "score": 0.1},
        {"image_id": 3, "category_id": 7, "bbox": [5, 2, 30, 40], "score": 0.9},
        {"image_id": 99, "category_id": 1, "bbox": [5, 2, 30, 40], "score": 0.9},
    ]
    dataset = ks.data.load_keypoint_dataset(*people, detections=boxes, score_threshold=0.5)
    assert dataset.instances.bboxes.tolist() == [[1, 2, 30, 40]]
    assert dataset.paths.tolist() == [str(people[1] / "2.jpg")]
    with pytest.raises(ValueError, match=r"a single file if `detections` are given\. Received: 2"):
        ks.data.load_keypoint_dataset([people[0]] * 2, people[1], detections=boxes)


def test_missing_images(people, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: .* 5 of 5 are missing.*1\.jpg"):
        ks.data.keypoints(people[0], tmp_path)


def test_missing_json(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        ks.data.keypoints(tmp_path / "nowhere.json", tmp_path)


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (None, "images"),
        (None, "annotations"),
        ("images", "file_name"),
        ("images", "id"),
        ("images", "height"),
        ("annotations", "image_id"),
    ],
)
def test_missing_fields_are_named(people, part, field):
    content = copy.deepcopy(people[0])
    del (content if part is None else content[part][1])[field]
    with pytest.raises(ValueError, match=rf"(?s){field}.*Received: "):
        ks.data.keypoints(content, people[1])


@pytest.mark.parametrize("emptied", ["annotations", "images"])
def test_no_instances(people, emptied):
    content = people[0] | {emptied: []}
    with pytest.raises(ValueError, match="Received: "):
        ks.data.keypoints(content, people[1])


def test_no_labeled_keypoints(make_people, tmp_path):
    content = make_people(tmp_path, 2, visible=np.zeros(17, int))
    with pytest.raises(ValueError, match="labeled keypoint"):
        ks.data.keypoints(content, tmp_path, training=True)


def test_invalid_json(tmp_path):
    file = tmp_path / "people.json"
    file.write_text("<html>404</html>")
    with pytest.raises(ValueError, match=r"people\.json must be valid JSON"):
        ks.data.keypoints(file, tmp_path)


@pytest.mark.parametrize("read", [ks.data.keypoints, ks.data.detection])
def test_images_without_a_file(tmp_path, read):
    dataset = tf.data.Dataset.from_tensors(np.zeros((8, 8, 3)))
    with pytest.raises(ValueError, match=r"path of a json .* `data\.tfds`. Received: a _TensorD"):
        read(dataset, tmp_path)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_folders_for_each_file(people, count):
    with pytest.raises(ValueError, match=f"Received: 2 annotation files, {count} folders"):
        ks.data.keypoints([people[0]] * 2, [people[1]] * count)


def test_no_file_at_all(people):
    with pytest.raises(ValueError, match="Received: 0 annotation files"):
        ks.data.keypoints([], people[1])


def test_wrong_skeleton(people):
    with pytest.raises(ValueError, match="Received: "):
        ks.data.keypoints(*people, skeleton="hand")
    with pytest.raises(ValueError, match="keypoints"):
        ks.data.keypoints(*people, skeleton="mpii")  # 17 keypoints are not 16
