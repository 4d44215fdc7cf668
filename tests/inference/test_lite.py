"""Exported files run where nothing but NumPy, Pillow and ai-edge-litert can be imported."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.inference import ImageClassifier, PosePredictor, lite, predict_pose
from tests.noise import TOLERANCE, exact

SIZE = (64, 64)
BOXES = [[4, 2, 40, 60], [20, 10, 30, 50]]

# What the package needs elsewhere, as if it were not installed.
WITHOUT = """
import json, sys

MISSING = "h5py keras matplotlib pandas pycocotools rich scipy tensorflow torch typer".split()

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Missing())
classifier, pose, photo, boxes = sys.argv[1:]
from keras_shufflenet.inference import ImageClassifier, PosePredictor, lite, predict_pose

names = ImageClassifier.load(classifier).predict(photo)
people = predict_pose(PosePredictor.load(pose), photo, json.loads(boxes))
assert lite.main([classifier, photo, "--top", "2"]) == 0
assert not set(MISSING) & set(sys.modules)
print(json.dumps([names, people.tolist()]))
"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    coarse = np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8)
    Image.fromarray(coarse).resize((80, 90), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def pose_file(shallow, tmp_path_factory):
    with shallow():
        model = ks.PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=SIZE)
    path = tmp_path_factory.mktemp("pose") / "pose.tflite"
    ks.export.litert(model, path)
    return path


@pytest.fixture(scope="module")
def classifier_file(shallow, tmp_path_factory):
    with shallow():
        model = ks.ShuffleNetV2(width=0.25, input_shape=(*SIZE, 3), classes=3)
    path = tmp_path_factory.mktemp("classifier") / "pets.tflite"
    ks.export.litert(model, path, labels=["cat", "dog", "fish"])
    return path


def test_the_same_numbers_without_keras(shared, pose_file, tmp_path):
    weights = shared / "weights" / "shufflenetv2_x1.0_imagenet_dequantized.pth"
    model = ks.create_model("shufflenet_v2_x1_0", weights=str(weights))
    path = tmp_path / "x1_0.tflite"
    ks.export.litert(model, path)
    coral = shared / "data" / "imagenet_val" / "images" / "ILSVRC2012_val_00000011.JPEG"
    child = subprocess.run(
        [sys.executable, "-c", WITHOUT, path, pose_file, coral, json.dumps(BOXES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    *printed, results = child.stdout.splitlines()
    names, people = json.loads(results)
    assert names[0][0] == "brain coral"
    assert printed[0] == str(coral)
    assert printed[1].endswith("  brain coral")
    photograph = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype("float32")
    expected = ImageClassifier.load(model).predict(coral)
    assert [name for name, _ in names] == [name for name, _ in expected]
    tolerance = TOLERANCE * exact(model, photograph)[1]
    np.testing.assert_allclose([s for _, s in names], [s for _, s in expected], atol=tolerance)
    np.testing.assert_array_equal(people, predict_pose(pose_file, coral, BOXES))


def test_classes_are_printed(classifier_file, photo, capsys):
    assert lite.main([str(classifier_file), str(photo), "--top", "2"]) == 0
    first, *classes = capsys.readouterr().out.splitlines()
    assert first == str(photo)
    expected = ImageClassifier.load(classifier_file).predict(photo, 2)
    assert classes == [f"  {score:.3f}  {name}" for name, score in expected]


def test_joints_are_printed_and_drawn(pose_file, photo, tmp_path, capsys):
    boxes = [f"--bbox={','.join(map(str, box))}" for box in BOXES]
    command = [
        str(pose_file),
        str(photo),
        *boxes,
        "--flip-test",
        "--output-dir",
        str(tmp_path / "drawn"),
    ]
    assert lite.main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * (1 + 17)
    assert lines[18] == f"{photo} person 2"
    people = predict_pose(PosePredictor.load(pose_file, flip_test=True), photo, BOXES)
    x, y, score = people[1, 0]
    assert lines[19] == f"  {score:.3f}  nose  {x:.1f} {y:.1f}"
    with Image.open(tmp_path / "drawn" / "photo.png") as drawn:
        assert drawn.size == (80, 90)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.tflite", "photo.png"], "tflite file must exist. Received: 'none.tflite'"),
        (["MODEL", "none.png"], "existing file. Received: none.png"),
        (["MODEL", "PHOTO", "--top", "0"], "a positive integer. Received: top=0"),
        (["MODEL", "PHOTO", "--keypoint-threshold", "7"], "between 0 and 1. Received: 7.0"),
        (["POSE", "PHOTO", "--bbox", "500,500,9,9"], "Error: --bbox must overlap with the image"),
        (["MODEL", "PHOTO", "PHOTO", "--output-dir", "."], "must differ in name for --output-dir"),
        (
            ["MODEL", "PHOTO", "--output-dir", "."],
            "--output-dir is not for classifiers. Received: ",
        ),
        (["MODEL", "PHOTO", "--bbox", "0,0,9,9"], "are for pose estimators. Received: "),
        (["MODEL", "PHOTO", "--detector", "POSE"], "are for pose estimators. Received: "),
        (["POSE", "PHOTO", "--detector", "a.keras"], "--detector must be a .tflite file"),
        (["POSE", "PHOTO", "--detector", "POSE"], "must output (N, priors, columns)"),
        (["POSE", "PHOTO", "--score-threshold", "2"], "--score-threshold must be between 0 and 1"),
    ],
)
def test_mistakes_are_one_line(classifier_file, pose_file, photo, capsys, arguments, message):
    places = {"MODEL": str(classifier_file), "POSE": str(pose_file), "PHOTO": str(photo)}
    assert lite.main([places.get(word, word) for word in arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("Error: ")
    assert error.count("\n") == 1


def test_no_person_is_found(pose_file, photo, monkeypatch, capsys):
    monkeypatch.setattr(lite, "predict_pose", lambda *_: np.zeros((0, 17, 3)))
    assert lite.main([str(pose_file), str(photo)]) == 0
    assert capsys.readouterr().out == f"{photo} no person\n"


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d"])
def test_boxes_have_four_numbers(capsys, box):
    with pytest.raises(SystemExit):
        lite.main(["pose.tflite", "photo.png", "--bbox", box])
    assert box in capsys.readouterr().err


def test_labels_of_a_classifier(classifier_file, photo):
    given = ImageClassifier.load(classifier_file, labels=["a", "b", "c"])
    assert {name for name, _ in given.predict(photo)} == {"a", "b", "c"}
    with pytest.raises(ValueError, match=r"must have 3 names.*Received: 2"):
        ImageClassifier.load(classifier_file, labels=["a", "b"])

    def brightness(images):
        return images.mean(axis=(1, 2))

    red = np.full((300, 300, 3), (250, 10, 20), np.uint8)
    assert ImageClassifier.load(brightness).predict(red, 2) == [("0", 250.0), ("2", 20.0)]
