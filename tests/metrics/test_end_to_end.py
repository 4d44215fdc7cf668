"""Detector and pose estimator together: the precision that a deployed pair has."""

import json

import numpy as np
import pytest

from keras_shufflenet import metrics
from keras_shufflenet.inference import Detector, PosePredictor
from tests.detection.test_decoding import put, raw
from tests.rounding import EPSILON64

SIZE = (128, 192)
PRIORS = 504
STRIDE = 8
DOG = 16


def find_dots(images):
    """A detector that sees a person in the dots of each half of an image, and a dog beside them."""
    outputs = []
    for image in images:
        output, middle = raw(PRIORS, classes=80), SIZE[1] // 2
        for left in (0, middle):
            shows = image[:, left : left + middle].max(axis=-1) > 60
            rows, columns = np.flatnonzero(shows.any(axis=1)), np.flatnonzero(shows.any(axis=0))
            if not len(rows):
                continue
            y, x = (each.mean() / STRIDE for each in (rows, left + columns))
            sides = [int(np.ptp(each)) // 2 // STRIDE + 1 for each in (columns, rows)]
            prior = round(y - 0.5) * SIZE[1] // STRIDE + round(x - 0.5)
            put(output, prior, 0.9 if left == 0 else 0.4, (*sides, *sides))
        put(output, 0, 0.9, (1, 1, 1, 1), DOG)
        outputs.append(output)
    return np.stack(outputs)


@pytest.fixture(scope="module")
def detector():
    return Detector.load(find_dots, input_size=SIZE)


def run(model, people, **options):
    return metrics.coco(model, people, people.parent, flip_test=False, verbose=False, **options)


def test_a_pair_that_finds_everyone_has_all_the_precision(
    tmp_path, color_net, dotted_people, detector
):
    """The poses that are scored are those of prediction."""
    path = tmp_path / "poses.json"
    found = run(color_net, dotted_people, detector=detector, results_path=path)
    assert found["AP .75"] == pytest.approx(1, rel=4 * EPSILON64)
    poses = json.loads(path.read_text())
    assert len(poses) == 6  # no dog
    pair = PosePredictor.load(color_net, detector=detector, flip_test=False)
    for number in range(3):
        scored = [each["keypoints"] for each in poses if each["image_id"] == number + 5]
        scored = np.reshape(sorted(scored), (2, 17, 3))
        predicted = pair.predict(dotted_people.with_name(f"{number}.png")).keypoints
        expected = predicted[predicted[:, 0, 0].argsort()]
        np.testing.assert_allclose(scored, expected, atol=8)  # a dot has 15 equal pixels


def test_who_is_not_detected_is_missed(color_net, dotted_people):
    left = Detector.load(find_dots, input_size=SIZE, score_threshold=0.5)
    assert run(color_net, dotted_people, detector=left)["AR .75"] == pytest.approx(0.5)


def test_a_detector_that_finds_no_person(tmp_path, color_net, dotted_people):
    blind = Detector.load(
        lambda images: np.stack([raw(PRIORS, classes=80)] * len(images)), input_size=SIZE
    )
    path = tmp_path / "poses.json"
    found = run(color_net, dotted_people, detector=blind, results_path=path)
    assert (found["AP"], found["AR"]) == (0, 0)
    assert json.loads(path.read_text()) == []


def test_the_class_is_that_of_the_category(color_net, dotted_people, detector):
    content = json.loads(dotted_people.read_text())

    def named(name):
        content["categories"][0]["name"] = name
        dotted_people.write_text(json.dumps(content))
        return run(color_net, dotted_people, detector=detector)

    assert named("PERSON")["AP .75"] == pytest.approx(1, rel=4 * EPSILON64)
    with pytest.raises(ValueError, match=r"one of the 80 classes .*Received: category='dancer'"):
        named("dancer")


def test_boxes_come_from_one_place(color_net, dotted_people, detector):
    with pytest.raises(ValueError, match=r"must not be given together\. Received: both"):
        run(color_net, dotted_people, detector=detector, detections=[])
