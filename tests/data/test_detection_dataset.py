"""Images and boxes of COCO files of all kinds, and what is left out of them."""

import json

import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.detection import COCOBoxes
from tests.data.rectangles import CLASSES, SCENES, write_scenes

NAMES = list(CLASSES)


@pytest.fixture
def content(tmp_path):
    return write_scenes(tmp_path)


def load(content, folder, **arguments):
    return ks.data.load_detection_dataset(content, folder, **{"class_names": NAMES} | arguments)


def test_images_and_their_boxes(content, tmp_path):
    dataset = load(content, tmp_path)
    assert dataset.class_names == tuple(CLASSES)
    assert dataset.paths.tolist() == [str(tmp_path / name) for name, *_ in SCENES]
    assert dataset.image_sizes.tolist() == [list(size) for _, size, _ in SCENES]
    for boxes, labels, (_, _, objects) in zip(dataset.boxes, dataset.labels, SCENES, strict=True):
        assert boxes.tolist() == [list(map(float, box)) for _, *box in objects]
        assert labels.tolist() == [label for label, *_ in objects]
    assert boxes.shape == (0, 4)
    assert [dataset.steps_per_epoch(batch) for batch in (1, 2, 5, 6)] == [5, 3, 1, 1]
    some = dataset.select(np.array([2, 0]))
    assert some.paths.tolist() == dataset.paths[[2, 0]].tolist()
    assert [len(boxes) for boxes in some.boxes] == [len(labels) for labels in some.labels] == [1, 2]


def test_what_is_left_out(content, tmp_path, caplog):
    first = content["annotations"][0]
    content["annotations"] += [
        first,
        first | {"category_id": 3},  # another object at the same place
        first | {"iscrowd": 1},
        first | {"bbox": [10, 10, 20, 0.5]},
        first | {"bbox": [200, 10, 20, 20]},
        first | {"bbox": [-10, 100, 20, 20], "image_id": 2},
        first | {"category_id": 5},
    ]
    content["categories"].append({"id": 5, "name": "cat"})
    dataset = load(content, tmp_path)
    assert str(dataset.report) == (
        "annotations (5 images, 1 without a box as negatives): read 8 of 13 boxes; left out: "
        "1 repeated, 1 crowd, 1 with a box thinner than a pixel, 1 with a box outside of the image,"
        " 1 of other categories"
    )
    assert str(dataset.report) in caplog.text
    assert dataset.boxes[0][-1].tolist() == dataset.boxes[0][0].tolist()
    assert dataset.labels[0].tolist() == [0, 1, 1]
    assert dataset.boxes[1][-1].tolist() == [0, 100, 10, 120]


def test_images_without_a_box(content, tmp_path):
    content["annotations"][2]["iscrowd"] = content["annotations"][3]["iscrowd"] = 1
    kept, dropped = load(content, tmp_path), load(content, tmp_path, filter_empty_images=True)
    assert [len(boxes) for boxes in kept.boxes] == [2, 0, 1, 1, 0]
    assert [len(boxes) for boxes in dropped.boxes] == [2, 1, 1]
    assert "(5 images, 2 without a box as negatives)" in str(kept.report)
    assert "(5 images, 2 without a box left out)" in str(dropped.report)


def test_coco_classes_are_the_default(content, tmp_path):
    content["categories"] = [{"id": 3, "name": "car"}, {"id": 7, "name": "Sports-Ball"}]
    dataset = ks.data.load_detection_dataset(content, tmp_path)
    assert [dataset.class_names[label] for label in dataset.labels[0]] == ["sports ball", "car"]
    del content["categories"]  # COCO's ids
    dataset = ks.data.load_detection_dataset(content, tmp_path)
    assert [dataset.class_names[label] for label in dataset.labels[0]] == ["train", "car"]


def test_several_files_and_folders(tmp_path):
    files, folders, parts = [], [], []
    for number, scenes in enumerate((SCENES[:2], SCENES[2:])):
        folder = tmp_path / str(number)
        folder.mkdir()
        file = folder / f"{number}.json"
        file.write_text(json.dumps(write_scenes(folder, scenes)))
        files.append(COCOBoxes(file) if number else file)
        folders.append(folder)
        parts.append(load(file, folder))
    joined = load(files, folders)
    assert joined.paths.tolist() == [path for part in parts for path in part.paths]
    assert [len(boxes) for boxes in joined.boxes] == [2, 2, 1, 1, 0]
    source = "0.json (2 images), 1.json (3 images, 1 without a box as negatives)"
    assert str(joined.report) == f"{source}: read 6 of 6 boxes"
    with pytest.raises(ValueError, match=r"one folder for each .*Received: 2 annotation files, 1 "):
        load(files, folders[:1])


def test_none_of_the_classes(content, tmp_path):
    with pytest.raises(ValueError, match=r"one of the 1 classes .*Received: the categories 3 "):
        load(content, tmp_path, class_names=["cat"])


def test_no_box_remains(content, tmp_path):
    for entry in content["annotations"]:
        entry["iscrowd"] = 1
    with pytest.raises(
        ValueError,
        match=r"'red thing', 'blue thing' inside of its image; none remains\. Received: 5 images, "
        r"6 boxes; left out: 6 crowd",
    ):
        load(content, tmp_path)


def test_missing_and_other_images(content, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Received: .*nowhere, 5 of 5 are missing"):
        load(content, tmp_path / "nowhere")
    content["images"][0]["width"] = 119
    with pytest.raises(
        ValueError, match=r"119 × 90 pixels\. Received: 120 × 90 pixels in .*a\.png"
    ):
        load(content, tmp_path)
