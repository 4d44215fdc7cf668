"""Mutated annotation files, and the verdicts on them."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from fuzz_annotations import (
    BAD,
    Outcome,
    attempt,
    fuzz,
    judge,
    mutate,
    perfect_results,
    valid_content,
)
from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.keypoints import (
    PoseInstances,
    evaluate_keypoints,
    read_coco,
    read_detections,
    read_mpii,
)


def test_no_mutated_file_is_misread(tmp_path):
    verdicts, commands, findings = fuzz(80, 7, tmp_path)
    assert findings == []
    assert verdicts.total() == commands.total() == 80
    assert verdicts["read in full"] > 5
    assert verdicts["refused with a clear error"] > 5


@pytest.fixture
def outcomes(tmp_path):
    """A valid file, what reader and evaluator make of it, and its content."""
    content, path = valid_content(), tmp_path / "mutated.json"
    path.write_text(json.dumps(content))
    read = Outcome(read_coco(path), None)
    return path.read_bytes(), content, read, Outcome({"AP": 1.0}, None)


def test_the_file_before_its_changes_is_good(outcomes):
    data, content, read, evaluated = outcomes
    assert judge(data, content, read, evaluated) == "read in full"
    assert evaluate_keypoints(content, perfect_results(content))["AP"] == pytest.approx(1)


def test_verdicts_on_bad_outcomes(outcomes):
    data, content, read, evaluated = outcomes
    people = read.result
    unclear, refused = ValueError("no"), ValueError("mutated.json: no. Received: 1")
    moved = people.keypoints + np.float32(1)
    found = [
        judge(data, content, Outcome(people.select(slice(1, None)), None), evaluated),
        judge(data, content, Outcome(replace(people, report=ReadReport("", 8)), None), evaluated),
        judge(data, content, Outcome(replace(people, keypoints=moved), None), evaluated),
        judge(data, content, Outcome(replace(people, keypoints=1e9 * moved), None), evaluated),
        judge(data, content, read, Outcome(None, refused)),
        judge(data, content, Outcome(None, unclear), Outcome(None, unclear)),
        judge(data, content, Outcome(None, KeyError("bbox")), evaluated),
    ]
    assert found == ["silent loss"] * 3 + list(BAD[1:])


DETECTION = {"image_id": 2, "category_id": 1, "bbox": [5.0, 6.0, 70.0, 60.0], "score": 0.5}
MPII_PERSON = {
    "image": "0.png",
    "center": [50.0, 60.0],
    "scale": 1.5,
    "joints": [[10.0 + k, 20.0 + k] for k in range(16)],
    "joints_vis": [1] * 16,
}


@pytest.mark.parametrize(
    ("entries", "read"),
    [
        (perfect_results(valid_content()), lambda x: evaluate_keypoints(valid_content(), x)),
        ([DETECTION] * 6, lambda x: read_detections(x, valid_content())),
        ([MPII_PERSON] * 6, read_mpii),
    ],
    ids=["results", "detections", "mpii"],
)
def test_other_mutated_files_are_read_or_refused(entries, read):
    refused = 0
    for number in range(100):
        rng = random.Random(number)
        content = mutate({"entries": entries}, rng)[0].get("entries")
        if not isinstance(content, list):
            continue
        found = attempt(read, content)
        if found.error is not None:
            assert found.is_refused
            assert "Received: " in str(found.error)
            refused += 1
        elif isinstance(found.result, PoseInstances):
            people = found.result
            assert (people.report.total, people.report.read) == (len(content), len(people))
            assert np.isfinite(people.bboxes).all()
            assert np.isfinite(people.keypoints).all()
    assert 20 < refused < 90
