"""Scoring of boxes on COCO files of all kinds."""

import json
import logging

import pytest

from keras_shufflenet.detection import COCOBoxes, evaluate_boxes
from keras_shufflenet.detection.coco_boxes import METRICS
from keras_shufflenet.detection.coco_classes import IDS, NAMES
from tests.rounding import EPSILON64

CLASSES = ("cat", "dog")
EXACT = 8 * EPSILON64


@pytest.fixture
def content():
    """Two images; a cat in both, a dog in the first."""
    boxes = [(1, 5, [10, 10, 50, 40]), (2, 5, [0, 0, 120, 110]), (1, 9, [100, 50, 30, 60])]
    return {
        "images": [{"id": n, "file_name": f"{n}.jpg", "height": 200, "width": 200} for n in (1, 2)],
        "annotations": [
            {"id": n, "image_id": image, "category_id": category, "bbox": bbox}
            for n, (image, category, bbox) in enumerate(boxes)
        ],
        "categories": [{"id": 5, "name": "cat"}, {"id": 9, "name": "Dog"}],
    }


def results(content, score=0.9):
    return [
        {key: each[key] for key in ("image_id", "category_id", "bbox")} | {"score": score}
        for each in content["annotations"]
    ]


def test_the_right_boxes_have_all_the_precision(content):
    found = evaluate_boxes(content, results(content))
    assert list(found) == [*METRICS, "AP of cat", "AP of Dog"]
    wanted = dict.fromkeys(found, pytest.approx(1, rel=EXACT)) | {"AP (S)": -1, "AR (S)": -1}
    assert found == wanted | {"AP (L)": pytest.approx(1, rel=EXACT)}


def test_precision_of_each_class(content):
    some = [each for each in results(content) if each["category_id"] == 5]
    found = evaluate_boxes(content, some)
    assert (found["AP of cat"], found["AP of Dog"]) == (pytest.approx(1, rel=EXACT), 0)
    assert found["AP"] == pytest.approx(0.5, rel=EXACT)
    assert evaluate_boxes(content, some, "cat")["AP"] == pytest.approx(1, rel=EXACT)
    assert evaluate_boxes(content, [])["AP"] == 0


def test_a_crowd_counts_neither_for_nor_against(content):
    content["annotations"][0]["iscrowd"] = 1
    assert evaluate_boxes(content, results(content))["AP"] == pytest.approx(1, rel=EXACT)
    assert evaluate_boxes(content, results(content)[1:])["AP"] == pytest.approx(1, rel=EXACT)


def test_files_are_paths_and_may_lack_optional_fields(content, tmp_path):
    del content["categories"]
    truth, found = tmp_path / "truth.json", tmp_path / "found.json"
    truth.write_text(json.dumps(content))
    found.write_text(json.dumps(results(content)))
    assert evaluate_boxes(truth, found)["AP of 5"] == pytest.approx(1, rel=EXACT)


def test_classes_go_by_name(content, caplog):
    file = COCOBoxes(content)
    assert file.classes(CLASSES) == {0: 5, 1: 9}
    assert file.classes(("bird", "dog")) == {1: 9}
    assert "1 of 2 categories" in caplog.text
    assert "that are no classes of the detector (5 'cat')" in caplog.text
    with pytest.raises(ValueError, match=r"one of the 2 classes.*Received: the categories 5 'cat'"):
        file.classes(("bird", "fish"))


def test_classes_without_names_go_by_the_ids_of_coco(content):
    del content["categories"]
    assert COCOBoxes(content).classes(NAMES) == {4: 5, 8: 9}
    assert len(IDS) == len(NAMES) == len(set(NAMES)) == 80
    assert (IDS[0], IDS[-1], IDS[NAMES.index("toothbrush")]) == (1, 90, 90)
    assert IDS[NAMES.index("backpack")] == 27


def test_results_of_other_categories_are_left_out(content, caplog):
    caplog.set_level(logging.WARNING)
    others = [*results(content), results(content)[0] | {"category_id": 77}]
    assert evaluate_boxes(content, others)["AP"] == pytest.approx(1, rel=EXACT)
    assert "read 3 of 4 results; left out: 1 of other categories" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 7}, r"'image_id' must be the id of a listed image\. Received: 7"),
        ({"bbox": [1, 2, 3]}, r"'bbox' must be a list of 4 finite numbers"),
        ({"score": "high"}, r"'score' must be a finite number\. Received: 'high'"),
    ],
)
def test_malformed_results(content, change, message):
    found = results(content)
    found[1] |= change
    with pytest.raises(ValueError, match=message):
        evaluate_boxes(content, found)


def test_a_file_without_boxes(content):
    content["annotations"] = []
    with pytest.raises(ValueError, match=r"Received: 2 images, 0 annotations"):
        evaluate_boxes(content, [])
