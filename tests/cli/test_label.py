"""`keras-shufflenet label`: photographs get annotations that `train pose` takes."""

import json
import shutil

import pytest

from keras_shufflenet.keypoints import COCOFile


@pytest.fixture(scope="module")
def photographs(shared, tmp_path_factory):
    """Two photographs of an athlete each."""
    folder = tmp_path_factory.mktemp("photographs")
    for path in sorted((shared / "data" / "lspet" / "images").iterdir())[:2]:
        shutil.copy(path, folder)
    return folder


def test_photographs_are_labeled_and_completed(
    command, shared, photographs, detector_file, tmp_path
):
    pose = ["--pose", shared / "weights" / "simplepose_mobilenetv2_0.5_coco.onnx"]
    labels, detector = tmp_path / "labels.json", ["--detector", detector_file]
    code, output, _ = command("label", photographs, *pose, *detector, "--output", labels)
    assert (code, f"labeled: {labels}" in output) == (0, True)
    content = json.loads(labels.read_text())
    assert "photographs: 2" in output
    assert "simplepose_mobilenetv2_0.5_coco.onnx" in content["info"]["description"]
    persons = COCOFile(labels).readable()
    assert content["info"]["persons_labeled"] == len(persons) >= 1
    for person in persons:
        assert (person.keypoint_weights > 0).tolist() == (person.keypoints[:, 2] > 0).tolist()

    first = content["annotations"][0]
    seen = next(k for k in range(17) if first["keypoints"][3 * k + 2])
    known = first["keypoints"][3 * seen : 3 * seen + 2]
    first["keypoints"][3 * seen : 3 * seen + 3] = [0, 0, 0]
    partly, completed = tmp_path / "partly.json", tmp_path / "completed.json"
    partly.write_text(json.dumps(content))
    options = ["--annotations", partly, *pose, "--output", completed]
    code, output, _ = command("label", photographs, *options)
    assert (code, "keypoints added: " in output) == (0, True)
    found = json.loads(completed.read_text())["annotations"][0]["keypoints"]
    assert found[3 * seen : 3 * seen + 3] == pytest.approx([*known, 2], abs=0.02)


def test_errors_before_anything_is_run(command, photographs, tmp_path):
    labels, partly = tmp_path / "labels.json", tmp_path / "partly.json"
    partly.write_text("{}")

    def error(*options):
        code, _, text = command("label", photographs, "--output", labels, *options)
        assert (code, labels.exists()) == (1, False)
        return text

    assert "--pose must be an existing file. Received: none.onnx" in error("--pose", "none.onnx")
    options = ["--pose", "x", "--annotations", partly, "--detector", "nanodet_m"]
    assert "--annotations have their own persons" in error(*options)
    assert "--category is for --annotations" in error("--pose", "x", "--category", "person")
