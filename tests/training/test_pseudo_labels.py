"""Keypoints that networks predict become annotations, and check those of persons."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from keras_shufflenet import data
from keras_shufflenet.inference.person_boxes import PersonBoxes
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.keypoints import COCOFile
from keras_shufflenet.training import pseudo_labels
from keras_shufflenet.training.pseudo_labels import fuse_keypoints


def test_predictions_that_agree_are_averaged_by_their_scores():
    one = np.array([[[10.0, 10, 0.9], [50, 50, 0.2], [5, 5, 0.0]]])
    two = np.array([[[13.0, 10, 0.3], [90, 50, 0.6], [7, 5, 0.0]]])
    (found,) = fuse_keypoints([one, two], np.array([100.0]))
    np.testing.assert_allclose(found[0], [10.75, 10, 0.6])  # 3 pixels apart: near
    np.testing.assert_allclose(found[1], [90, 50, 0.3])  # 40 pixels apart: the surer one
    np.testing.assert_allclose(found[2], [5, 5, 0])  # neither is sure at all


def test_one_network_is_taken_as_it_is():
    one = np.random.default_rng(0).uniform(0, 1, (4, 17, 3))
    np.testing.assert_allclose(fuse_keypoints([one], np.ones(4)), one)


def test_labels_are_completed_dropped_and_doubted():
    keypoints = np.array([[10, 10, 2], [20, 20, 1], [30, 30, 2], [0, 0, 0], [0, 0, 0.0]])
    weights = np.array([1, 1, 1, 0, 0.0])
    pose = np.array([[12, 10, 1.0], [60, 20, 0.7], [60, 30, 0.5], [40, 40, 0.8], [50, 50, 0.2]])
    counts = Counter()
    found, scores = pseudo_labels._complete(keypoints, weights, pose, 100.0, 0.3, counts)
    np.testing.assert_allclose(found[0], [11, 10, 2])  # near: averaged, by the score 1 : 1
    np.testing.assert_allclose(found[1], 0)  # contradicted by a sure prediction
    np.testing.assert_allclose(found[2], [30, 30, 2])  # by an unsure one
    np.testing.assert_allclose(found[3], [40, 40, 2])  # not labeled, predicted
    np.testing.assert_allclose(found[4], 0)  # predicted below the threshold
    np.testing.assert_allclose(scores, [1, 0, pseudo_labels.DOUBTFUL, 0.8, 0])
    kinds = ("agreed", "dropped", "doubted", "added")
    assert [counts[f"keypoints_{kind}"] for kind in kinds] == [1, 1, 1, 1]


def test_completed_annotations_are_read_with_their_weights(people, tmp_path):
    annotations, folder = people

    def nothing(images):  # a network that is sure of nothing
        return np.zeros((len(images), 16, 12, 17), np.float32)

    content = json.loads(annotations.read_text())
    content["annotations"][0]["keypoint_scores"] = [0.5] * 17
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    found = pseudo_labels.complete_annotations(
        path, folder, [Predictor.load(nothing, (64, 48))], verbose=False
    )
    assert found["info"]["keypoints_added"] == 0
    assert found["info"]["keypoints_dropped"] == 0
    assert found["info"]["keypoints_doubted"] + found["info"]["keypoints_agreed"] == sum(
        person["num_keypoints"] for person in content["annotations"]
    )
    before, after = COCOFile(content).readable(), COCOFile(found).readable()
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other.keypoints, one.keypoints, atol=0.005)
    assert set(after[0].keypoint_weights) <= {0.0, 0.5}
    dataset = data.load_keypoint_dataset(found, folder)
    weights = dataset.instances.keypoints_visible
    np.testing.assert_allclose(weights[0], after[0].keypoint_weights)


def test_photographs_without_persons_give_a_file_without_images(tmp_path, caplog, monkeypatch):
    Image.new("RGB", (64, 48)).save(tmp_path / "empty.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")

    def nothing(images):
        return np.zeros((len(images), 16, 12, 17), np.float32)

    class Blind:
        def detect(self, images):
            return [PersonBoxes(np.zeros((0, 4)), np.zeros(0)) for _ in images]

    def label():
        models = [Predictor.load(nothing, (64, 48))]
        return pseudo_labels.label_images(tmp_path, models, Blind(), verbose=False)

    monkeypatch.setattr(pseudo_labels.PersonDetector, "load", lambda detector: detector)
    found = label()
    assert (found["images"], found["annotations"]) == ([], [])
    counts = [n for n in found["info"].values() if isinstance(n, int)]
    assert counts == [1, 1, 0, 0]  # photographs, left out, persons, labeled
    assert "broken.jpg" in caplog.text
    (tmp_path / "empty.png").unlink()
    with pytest.raises(ValueError, match=r"an image that can be read\. Received"):
        label()


def test_errors(people, tmp_path):
    annotations, folder = people
    with pytest.raises(ValueError, match=r"at least one pose estimator\. Received: none"):
        pseudo_labels.complete_annotations(annotations, folder, [])
    with pytest.raises(ValueError, match=r"between 0 and 1\. Received: keypoint_threshold=2"):
        pseudo_labels.complete_annotations(annotations, folder, ["x"], keypoint_threshold=2)
    with pytest.raises(FileNotFoundError, match="Received"):
        pseudo_labels.load_teachers([tmp_path / "none.tflite"])
