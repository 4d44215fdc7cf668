"""COCO files as labeling tools and scripts write them: read in full, reported, or refused."""

import copy
import gzip
import json
import logging
import re

import numpy as np
import pytest

from keras_shufflenet.keypoints import (
    COCO,
    COCOFile,
    evaluate_keypoints,
    read_coco,
    read_detections,
    skeletons,
)
from tests.rounding import EPSILON64

NAMES = list(COCO.keypoint_names)


def person(number, image_id=1, category_id=1, **changes):
    keypoints = [v for k in range(17) for v in (20.0 + 3 * k + number, 20.0 + 2 * k, 2)]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [15.0 + number, 15.0, 60.0, 40.0],
        "area": 1800.0,
        "iscrowd": 0,
        "num_keypoints": 17,
        "keypoints": keypoints,
    } | changes


def coco(*annotations, categories=None):
    return {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "height": 120, "width": 160} for n in (1, 2, 3)
        ],
        "annotations": list(annotations),
        "categories": categories or [{"id": 1, "name": "person", "keypoints": NAMES}],
    }


def three(**changes):
    """A file with three persons, the second of which has other fields; None takes a field away."""
    content = coco(person(1), person(2, 2), person(3, 3))
    changed = content["annotations"][1] | changes
    content["annotations"][1] = {key: value for key, value in changed.items() if value is not None}
    return content


def results_of(content, **changes):
    return [
        {key: a[key] for key in ("image_id", "category_id", "keypoints")} | {"score": 1.0} | changes
        for a in content["annotations"]
    ]


# ---- categories


def zoo(**person_category):
    categories = [
        {"id": 1, "name": "dog"},
        {"id": 2, "name": "person"} | person_category,
        {"id": 9, "name": "not annotated"},
    ]
    return coco(person(1, 1, 2), person(2, 2, 1), person(3, 3, 1), categories=categories)


@pytest.mark.parametrize("category", ["person", 2, "2"])
def test_a_category_is_chosen_by_name_or_id(category):
    instances = read_coco(zoo(), category=category)
    assert instances.image_id.tolist() == [1]
    assert str(instances.report) == (
        "annotations: read 1 of 3 instances; left out: 2 of other categories"
    )
    assert not instances.report.unexpected


@pytest.mark.parametrize("category", [None, "cat", 7])
def test_several_categories_ask(category):
    message = r"`category` must be .* annotations: 1 'dog', 2 'person'.* Received: category="
    for use in (read_coco, lambda *a, **k: evaluate_keypoints(a[0], [], **k)):
        with pytest.raises(ValueError, match=message):
            use(zoo(), category=category)


def test_the_only_category_may_have_any_number():
    content = coco(person(1, category_id=7), categories=[{"id": 7, "name": "Mensch"}])
    assert len(read_coco(content)) == 1
    assert COCOFile(content).category.id == 7


def test_categories_without_annotations_do_not_count():
    categories = [{"id": 0, "name": "people", "supercategory": "none"}, {"id": 1, "name": "person"}]
    instances = read_coco(coco(person(1), person(2, 2), categories=categories))
    assert len(instances) == instances.report.total == 2


def test_annotations_without_a_category_are_of_the_only_one():
    content = three(category_id=None)
    assert len(read_coco(content)) == 3
    assert evaluate_keypoints(content, results_of(three()))["AP"] == pytest.approx(1)
    with pytest.raises(ValueError, match=r"annotations\[1\] must have the field 'category_id'"):
        read_coco(content | {"categories": zoo()["categories"]}, category=1)


def test_a_file_without_categories_has_those_of_its_annotations():
    content = coco(person(1, category_id=3))
    del content["categories"]
    assert len(read_coco(content)) == 1
    content["annotations"].append(person(2, category_id=4))
    with pytest.raises(ValueError, match=r"annotations: 3, 4\. Received: category=None"):
        read_coco(content)


def test_results_of_other_categories_are_not_scored(caplog):
    content = zoo()
    right, wrong = results_of(content, category_id=2), results_of(content, category_id=1)
    assert evaluate_keypoints(content, right, category="person")["AR"] == pytest.approx(1)
    assert evaluate_keypoints(content, right + wrong, category="person")["AR"] == pytest.approx(1)
    assert "left out: 3 of other categories than 2 'person'" in caplog.text
    with pytest.raises(
        ValueError, match=r"category 2 'person'\. Received: 3 results, of .* \[1\]$"
    ):
        evaluate_keypoints(content, wrong, category="person")
    unnumbered = [{k: v for k, v in result.items() if k != "category_id"} for result in right]
    assert evaluate_keypoints(content, unnumbered, category="person")["AR"] == pytest.approx(1)


def test_detections_of_the_category():
    boxes = [
        {"image_id": 1, "category_id": c, "bbox": [1, 2, 30, 40], "score": 0.9} for c in (1, 2)
    ]
    boxes.append({"image_id": "1", "bbox": [5, 2, 30, 40], "score": 0.8})
    boxes.append({"image_id": 1, "category_id": 2, "bbox": [5, 2, 0, 40], "score": 0.8})
    instances = read_detections(boxes, zoo(), category="person")
    assert instances.bboxes[:, 0].tolist() == [1, 5]
    assert str(instances.report) == (
        "detections: read 2 of 4 detections; left out: 1 of other categories, "
        "1 with a box of no area"
    )
    with pytest.raises(ValueError, match=r"`score_threshold` must be a finite number\. Received: "):
        read_detections(boxes, zoo(), "high", category="person")


# ---- the order of keypoints


def reordered(content, order, names=NAMES):
    content = copy.deepcopy(content)
    for annotation in content["annotations"]:
        points = np.reshape(annotation["keypoints"], (-1, 3))
        annotation["keypoints"] = points[order].ravel().tolist()
    content["categories"][0]["keypoints"] = [names[k] for k in order]
    return content


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        [name.upper().replace("_", " ") for name in NAMES],
        [name.title().replace("_", "-") for name in NAMES],
        [re.sub("Left|Right", lambda side: side[0][0], name.title()) for name in NAMES],
        [name.title().replace("_", "") for name in NAMES],
    ],
    ids=["as COCO", "upper case", "hyphens", "L_Eye", "LeftEye"],
)
def test_keypoints_in_another_order_are_reordered_by_name(names):
    order = np.random.default_rng(0).permutation(17)
    expected, content = read_coco(three()), reordered(three(), order, names)
    instances = read_coco(content)
    np.testing.assert_array_equal(instances.keypoints, expected.keypoints)
    shifted = [a | {"keypoints": [*a["keypoints"][3:], 1.0, 1.0, 1.0]} for a in results_of(three())]
    in_file = [
        a | {"keypoints": np.reshape(a["keypoints"], (-1, 3))[order].ravel().tolist()}
        for a in shifted
    ]
    metrics, same = evaluate_keypoints(three(), shifted), evaluate_keypoints(content, in_file)
    assert 0 < metrics["AP"] < 1
    np.testing.assert_allclose(list(same.values()), list(metrics.values()), rtol=16 * EPSILON64)


def test_poses_in_the_order_of_the_file():
    order = np.random.default_rng(1).permutation(17)
    file = COCOFile(reordered(three(), order))
    poses = np.random.default_rng(2).normal(size=(4, 17, 3))
    np.testing.assert_array_equal(file.in_file_order(poses), poses[:, order])


@pytest.mark.parametrize(
    "names", [[str(k) for k in range(1, 18)], NAMES[:16], [*NAMES, "neck"], ["tail", *NAMES[1:]]]
)
def test_other_keypoints_are_refused_with_both_lists(names):
    content = three()
    content["categories"][0]["keypoints"] = names
    for use in (lambda c: read_coco(c, "coco"), lambda c: evaluate_keypoints(c, [], "coco")):
        with pytest.raises(ValueError, match=f"nose, left_eye.*Received: .*{', '.join(names)}"):
            use(content)


def test_own_keypoints_are_scored_without_a_skeleton():
    content = coco(person(1), categories=[{"id": 1, "keypoints": ["tip", "left_end", "right_end"]}])
    content["annotations"][0] |= {"keypoints": [20, 20, 2, 40, 30, 2, 60, 50, 2]}
    with pytest.warns(UserWarning, match="no sigmas: the OKS takes the mean of COCO's, 0.067"):
        assert evaluate_keypoints(content, results_of(content))["AP"] == pytest.approx(1)
    assert read_coco(content).skeleton.keypoint_names == ("tip", "left_end", "right_end")
    assert COCOFile(content).skeleton.sigmas == (skeletons.MEAN_SIGMA,) * 3


@pytest.mark.parametrize("names", ["nose", [1] * 17, ["a", "A"], [""]])
def test_malformed_names_of_keypoints(names):
    content = coco(person(1), categories=[{"id": 1, "name": "person", "keypoints": names}])
    with pytest.raises(ValueError, match=r"categories\[0\]: 'keypoints' must be .*Received: "):
        read_coco(content)


# ---- single fields: the reader and the evaluator have the same rules


def both(content):
    """Read and evaluate: the instances and the metrics of perfect poses, or both errors."""
    outcomes = []
    perfect = results_of(three())
    for use in (read_coco, lambda c: evaluate_keypoints(c, perfect)):
        try:
            outcomes.append(use(copy.deepcopy(content)))
        except ValueError as error:
            outcomes.append(str(error))
    assert isinstance(outcomes[0], str) == isinstance(outcomes[1], str)
    return outcomes


@pytest.mark.parametrize(
    "change",
    [
        {"area": None},
        {"iscrowd": None},
        {"num_keypoints": None},
        {"id": None},
        {"id": "a7f3-uuid"},
        {"id": 1},
        {"image_id": "2"},
        {"image_id": 2.0},
        {"category_id": "1"},
        {"iscrowd": False},
        {"iscrowd": "0"},
        {"num_keypoints": 5},
        {"area": 0.0},
        {"segmentation": {"counts": "x"}},
        {"keypoints": np.array(person(2)["keypoints"])},
        {"keypoints": tuple(person(2)["keypoints"]), "bbox": (17.0, 15.0, 60.0, 40.0)},
    ],
    ids=str,
)
def test_persons_who_are_read(change):
    instances, metrics = both(three(**change))
    expected = read_coco(three())
    np.testing.assert_array_equal(instances.keypoints, expected.keypoints)
    np.testing.assert_array_equal(instances.bboxes, expected.bboxes)
    assert (instances.report.total, instances.report.read) == (3, 3)
    assert metrics["AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iscrowd": 1}, "crowd"),
        ({"iscrowd": True}, "crowd"),
        ({"keypoints": None, "num_keypoints": None}, "without keypoints"),
        ({"keypoints": [], "num_keypoints": 0}, "without keypoints"),
        ({"keypoints": [0] * 51}, "without keypoints"),
        ({"keypoints": [30.0, 30.0, 0] * 17}, "without keypoints"),
        ({"num_keypoints": 0}, "with labeled keypoints but num_keypoints 0"),
        ({"keypoints": [5000, -4000, 2] * 17}, "with keypoints far outside of the image"),
        (
            {"keypoints": [9e4, -9e4, 2] * 9 + [30, 30, 2] * 8},
            "with keypoints far outside of the image",
        ),
        ({"keypoints": [30, 241, 1] * 17}, "with keypoints far outside of the image"),
        ({"keypoints": [0, 0, 2] * 17}, "with all labeled keypoints at (0, 0)"),
        ({"bbox": None, "keypoints": None, "num_keypoints": None}, "without keypoints"),
        ({"bbox": [500, 500, 10, 10]}, "with a box outside of the image"),
        ({"bbox": [30, 30, 0, 0], "keypoints": [30, 30, 2] * 17}, "with a box of no area"),
        ({"category_id": 99}, "of other categories"),
    ],
    ids=str,
)
def test_persons_who_are_left_out(change, reason):
    instances, _ = both(three(**change))
    assert instances.image_id.tolist() == [1, 3]
    assert dict(instances.report.left_out) == {reason: 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category_id": float("inf")}, "'category_id' must be an integer. Received: inf"),
        ({"category_id": [1]}, "'category_id' must be an integer"),
        ({"iscrowd": 1e20}, "'iscrowd' must be 0 or 1. Received: 1e+20"),
        ({"iscrowd": {"counts": []}}, "'iscrowd' must be 0 or 1"),
        ({"iscrowd": -1}, "'iscrowd' must be 0 or 1"),
        ({"num_keypoints": -1}, "'num_keypoints' must be an integer >= 0. Received: -1"),
        ({"num_keypoints": float("nan")}, "'num_keypoints' must be an integer"),
        ({"id": 1.5}, "'id' must be an integer"),
        ({"id": {}}, "'id' must be an integer"),
        ({"image_id": 2**70}, "'image_id' must be an integer of 64 bits"),
        ({"image_id": "two"}, "'image_id' must be an integer"),
        ({"image_id": True}, "'image_id' must be an integer"),
        ({"area": -4}, "'area' must be a number >= 0"),
        ({"area": 1e300}, "'area' must be a number between"),
        ({"bbox": [10, 20, -30, 40]}, "'bbox' must be x, y, width and height, with width and"),
        ({"bbox": [1e9, 20, 30, 40]}, "'bbox' must be a list of 4 numbers between -100000 and"),
        ({"keypoints": [3e38, 20, 2] * 17}, "'keypoints' must be a list of 51 numbers between"),
        ({"keypoints": [float("inf"), 20, 2] * 17}, "must be a list of 51 finite numbers"),
        ({"keypoints": [30, 20, 3] * 17}, "'keypoints' must be x, y and visibility: 0"),
        ({"keypoints": [30, 20, -1] * 17}, "'keypoints' must be x, y and visibility: 0"),
        (
            {"keypoints": [[30, 20, 2]] * 17},
            "51 finite numbers, 3 for each of the 17 keypoints of the category 1 'person'. "
            "Received: a list of 17",
        ),
        ({"keypoints": [30, 20, 2] * 16}, "'person'. Received: a list of 48"),
        ({"keypoints": ""}, "'keypoints' must be a list of 51 finite numbers. Received: ''"),
        ({"keypoints": {}}, "'keypoints' must be a list of 51 finite numbers. Received: {}"),
        ({"keypoints": [30, 20, 2] * 16 + [30, "x", 2]}, "Received: 'x' as number 49"),
        ({"keypoints": "none"}, "51 finite numbers. Received: 'none'"),
        ({"keypoints": False}, "51 finite numbers. Received: False"),
    ],
    ids=str,
)
def test_fields_that_are_refused_by_both(change, message):
    for error in both(three(**change)):
        assert error.startswith("annotations: annotations[1]: ")
        assert message in error
        assert "Received: " in error


def test_labels_with_fractional_visibility_are_labeled():
    keypoints = [v for k in range(17) for v in (20.0 + k, 30.0 + k, 0.1 * (k % 2))]
    instances = read_coco(three(keypoints=keypoints))
    assert instances.keypoints_visible[1].tolist() == [0, 1] * 8 + [0]


@pytest.mark.parametrize(
    "points",
    [
        [-100, 230, 2] * 17,
        [5000, -4000, 2] * 8 + [30, 30, 2] * 9,
        [5000, -4000, 0] * 16 + [30, 30, 2],
        [0, 0, 2] * 16 + [30, 30, 2],
        [0, 0, 2] + [0, 0, 0] * 16,
    ],
    ids=["less than its size", "fewer than half", "not labeled", "one elsewhere", "one"],
)
def test_keypoints_outside_of_the_image_are_read(points):
    instances, _ = both(three(keypoints=points))
    assert (instances.report.read, instances.report.left_out) == (3, {})


@pytest.mark.parametrize("points", [[5000, -4000, 2] * 17, [0, 0, 2] * 17])
def test_misplaced_keypoints_are_a_warning_and_count_neither_way(points, caplog):
    content = three(keypoints=points)
    assert evaluate_keypoints(content, results_of(three()))["AP"] == pytest.approx(1)
    assert any(record.levelno == logging.WARNING for record in caplog.records)


@pytest.mark.parametrize("has_null", [True, False])
def test_a_missing_box_is_replaced_by_the_extent_of_the_keypoints(has_null):
    content = three(bbox=None)
    if has_null:
        content["annotations"][1]["bbox"] = None
    instances, metrics = both(content)
    assert instances.bboxes[1].tolist() == [22, 20, 48, 32]
    assert dict(instances.report.changed) == {"without a box (taken from the keypoints)": 1}
    assert metrics["AP"] == pytest.approx(1)


def test_a_flat_box_is_replaced_by_the_extent_of_the_keypoints(caplog):
    instances, metrics = both(three(bbox=[20, 50, 80, 0.0], area=0.0))
    assert instances.bboxes[1].tolist() == [22, 20, 48, 32]
    assert instances.areas[1] == 48 * 32
    assert metrics["AP"] == pytest.approx(1)
    assert dict(instances.report.changed) == {
        "with a box of no area (taken from the keypoints)": 1,
        "with an area of 0 (taken from the box)": 1,
    }
    assert "read 3 of 3 instances; changed: 1 with a box of no area" in caplog.text


def test_poses_on_persons_without_keypoints_count_neither_way():
    content = three(keypoints=None, num_keypoints=None)
    assert evaluate_keypoints(content, results_of(three()))["AP"] == pytest.approx(1)


def test_keypoints_that_the_category_does_not_name():
    content = coco(person(1), person(2), categories=[{"id": 1, "name": "thing"}])
    content["annotations"][0]["keypoints"] = [30, 20, 2] * 4
    for error in both(content):
        assert error == (
            "annotations: annotations[0]: 'keypoints' must be a list of 51 finite numbers, 3 for "
            "each of the 17 keypoints of the skeleton 'coco', as the category 1 'thing' names none "
            "(add its 'keypoints' to the file, or pass them as `skeleton`). Received: a list of 12"
        )
    del content["annotations"][1]
    for error in both(content):
        assert "`skeleton` must be the 4 keypoints of the category 1 'thing', which names" in error


# ---- entries that are there twice


def test_equal_annotations_count_once(caplog):
    content = three()
    content["annotations"] += copy.deepcopy(content["annotations"][:2])
    instances, metrics = both(content)
    assert str(instances.report) == "annotations: read 3 of 5 instances; left out: 2 repeated"
    assert any(record.levelno == logging.WARNING for record in caplog.records)
    assert metrics["AP"] == pytest.approx(1)


def test_different_annotations_of_the_same_id_are_all_read():
    content = coco(person(1), person(2) | {"id": 1}, person(3) | {"id": 1})
    assert len(read_coco(content)) == 3
    assert evaluate_keypoints(content, results_of(content))["AR"] == pytest.approx(1)


def test_images_of_the_same_id():
    content = three()
    content["images"].append(dict(content["images"][0]))
    assert len(read_coco(content)) == 3
    content["images"][-1]["file_name"] = "1.png"
    for error in both(content):
        assert "images[3]: 'id' must not be that of another image. Received: 1 of '1.jpg'" in error


def test_categories_of_the_same_id():
    content = three()
    content["categories"].append({"id": 1, "name": "dog"})
    assert "categories[1]: 'id' must not be that of another category" in both(content)[0]


def test_fields_that_are_there_twice(tmp_path):
    text = json.dumps(three()).replace('"area": 1800.0', '"area": 1800.0, "area": 2.0', 1)
    (tmp_path / "twice.json").write_text(text)
    with pytest.raises(ValueError, match=r"twice\.json must be valid JSON.* two fields 'area'$"):
        read_coco(tmp_path / "twice.json")


# ---- images and files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "'height' must be a positive integer. Received: 0"),
        ({"width": -5}, "'width' must be a positive integer"),
        ({"width": "wide"}, "'width' must be an integer"),
        ({"width": 10**6}, "'height' and 'width' must not exceed 100000 pixels"),
        ({"id": "first"}, "'id' must be an integer. Received: 'first'"),
        ({"file_name": ""}, "'file_name' must be a string that is not empty"),
        ({"file_name": 7}, "'file_name' must be a string"),
    ],
    ids=str,
)
def test_malformed_images(change, message):
    content = three()
    content["images"][2] |= change
    for error in both(content):
        assert error.startswith("annotations: images[2]: ")
        assert message in error


def test_fractions_of_the_image_size_are_no_pixels():
    content = coco(person(1))
    content["annotations"][0] |= {"bbox": [0.1, 0.1, 0.4, 0.4], "keypoints": [0.2, 0.3, 2] * 17}
    assert "coordinates must be pixels, not fractions" in both(content)[0]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: gzip.compress(text.encode()),
        lambda text: gzip.compress(b"\xef\xbb\xbf" + text.encode()),
    ],
    ids=["byte order mark", "utf-16", "gzip", "gzip with byte order mark"],
)
def test_encodings_of_files(tmp_path, encode):
    path = tmp_path / "people.json"
    path.write_bytes(encode(json.dumps(three())))
    assert len(read_coco(path)) == 3
    assert evaluate_keypoints(path, results_of(three()))["AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"{}" * 99)[:-6], r"must be valid JSON\. Received: "),
        (b"\x1f\x8bnothing", r"must be valid JSON\. Received: "),
        (b"PK\x03\x04" + b"\0" * 40, r"must be JSON, unpacked\. Received: a ZIP archive"),
        ('{"images": "München"}'.encode("latin-1"), r"must be valid JSON\. Received: .*utf-8"),
        (b'{"images": [' + b"9" * 5000 + b"]}", r"must be valid JSON\. Received: "),
    ],
    ids=["truncated gzip", "no gzip", "ZIP", "latin-1", "number of 5000 digits"],
)
def test_files_that_are_no_json(tmp_path, content, message):
    (tmp_path / "people.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^people\.json {message}"):
        read_coco(tmp_path / "people.json")
