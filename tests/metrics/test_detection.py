"""Real weights of a detector on real photographs; results/detection.csv has all of them."""

import json

import numpy as np
import pytest

import keras_shufflenet as ks

IMAGES = 8
MEASURED = {"AP": 0.368, "AP .5": 0.702}  # of persons in these images; in all, as the reference
TOLERANCE = 0.005


@pytest.fixture(scope="module")
def photographs(shared):
    """The first images of a COCO file with all persons annotated, and their folder."""
    folder = shared / "data" / "coco"
    content = json.loads((folder / "person_keypoints_val_complete.json").read_text())
    content["images"] = content["images"][:IMAGES]
    ids = {image["id"] for image in content["images"]}
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] in ids]
    return content, folder / "images"


def test_trained_weights_have_their_precision(shared, photographs, tmp_path):
    content, folder = photographs
    path = shared / "weights" / "nanodet_m_320_coco.ckpt"
    model = ks.create_model("nanodet_m", weights=str(path))
    boxes = tmp_path / "boxes.json"
    found = ks.metrics.detection(model, content, folder, results_path=boxes, verbose=False)
    assert found["AP"] == found["AP of person"]
    assert {name: found[name] for name in MEASURED} == pytest.approx(MEASURED, abs=TOLERANCE)
    assert ks.detection.evaluate_boxes(content, boxes) == found
    persons = ks.keypoints.read_detections(boxes, content, score_threshold=0.3)
    assert len(persons) > IMAGES
    with pytest.raises(FileNotFoundError, match=rf"Received: .*{IMAGES} of {IMAGES} are missing"):
        ks.metrics.detection(model, content, tmp_path, verbose=False)


def test_a_box_is_missed_before_the_network_runs(photographs, monkeypatch):
    content, folder = photographs
    monkeypatch.setattr(
        ks.inference.Detector, "detect", lambda *_: pytest.fail("the network was run")
    )
    with pytest.raises(ValueError, match=r"an annotated box that is no crowd\. Received: .* 0 ann"):
        ks.metrics.detection(
            lambda images: np.zeros((len(images), 126, 112), np.float32),
            {**content, "annotations": []},
            folder,
            input_size=(64, 96),
        )
