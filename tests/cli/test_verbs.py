"""The verbs that run a network, on real files."""

import csv
import json
import os

import numpy as np
import pytest
from PIL import Image

from keras_shufflenet.training.callbacks import read_log


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return tmp_path_factory.mktemp("exported") / "pose_int8.tflite"


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 255, (50, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_classify_prints_the_best_classes(command, photo):
    code, out, _ = command(
        "classify", photo, "--model", "shufflenet_v2_x0_25", "--weights", "none", "--top", 3
    )
    assert code == 0
    assert out.count("0.00") == 3
    assert "photo.png" in out


def test_classify_a_file_that_is_no_image(command, tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no image")
    code, _, err = command("classify", path, "--model", "shufflenet_v2_x0_25", "--weights", "none")
    assert code == 1
    assert err.startswith("Error: ")
    assert err.count("\n") == 1


def test_pose_draws_every_image(command, photo, pose_file, tmp_path):
    drawn = tmp_path / "drawn"
    code, out, _ = command("pose", photo, "--model", pose_file, "--output", drawn)
    assert code == 0
    assert "of 17 joints" in out
    with Image.open(drawn / "photo.png") as image:
        assert image.size == (40, 50)


def test_pose_takes_boxes(command, photo, pose_file, tmp_path):
    drawn = tmp_path / "drawn"
    boxes = ("--box", "1,2,30,40", "--box", "5,5,20,20")
    code, out, _ = command("pose", photo, "--model", pose_file, "--output", drawn, *boxes)
    assert code == 0
    assert ": 0, 0 of 17 joints" in out
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps({"photo.png": [[1, 2, 30, 40]]}))
    code, out, _ = command("pose", photo, "--model", pose_file, "--output", drawn, "--boxes", file)
    assert code == 0
    assert ": 0 of 17 joints" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--box", "1,2,3"], "--box is x,y,width,height in pixels. Received: 1,2,3"),
        (["--box", "1,2,3,4", "--boxes", "b.json"], "not both"),
        (["--boxes", "none.json"], "none.json"),
        (["--model", "none.tflite"], "no such model file. Received: none.tflite"),
    ],
)
def test_pose_mistakes(command, photo, pose_file, arguments, message):
    code, _, err = command("pose", photo, "--model", pose_file, *arguments)
    assert code == 1
    assert message in err


def test_train_then_evaluate_with_a_results_row(command, people, shallow, tmp_path):
    annotations, images = people
    run, results = tmp_path / "run", tmp_path / "results.csv"
    arguments = (
        *("--annotations", annotations, "--images", images, "--output", run),
        *("--val-annotations", annotations, "--val-images", images),
        *("--model", "shufflenet_v2_x0_25", "--weights", "none", "--input-size", "64x64"),
        *("--epochs", 2, "--batch-size", 3, "--lr", 0.002, "--recipe", "finetune"),
    )
    with shallow():
        code, _, err = command("train", *arguments)
    assert code == 0, err
    log = read_log(run / "log.csv")
    assert [row["epoch"] for row in log] == [1, 2]
    with shallow():
        code, _, err = command("train", *arguments, "--seed", 1)
    assert code == 1
    assert "the folder holds another training: seed was" in err
    code, out, _ = command(
        *("evaluate", "coco", run / "model.keras", "--annotations", annotations),
        *("--images", images, "--results", results),
    )
    assert code == 0
    assert "AP .75" in out
    (row,) = csv.DictReader(results.read_text().splitlines())
    assert float(row["AP"]) == pytest.approx(log[-1]["AP"], abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input-size", "big"], "HEIGHTxWIDTH"),
        (["--recipe", "quick"], "--recipe must be one of mmpose, short, scratch"),
        (["--epochs", "0"], "epochs must be positive. Received: 0"),
        (["--val-images", "x"], "go together"),
        (["--head", "heavy"], "Received: "),
        (["--annotations", "none.json"], "none.json"),
    ],
)
def test_train_mistakes(command, people, tmp_path, arguments, message):
    annotations, images = people
    code, _, err = command(
        *("train", "--annotations", annotations, "--images", images, "--output", tmp_path),
        *("--model", "shufflenet_v2_x0_25", "--weights", "none", "--input-size", "64x64"),
        *arguments,
    )
    assert code == 1
    assert message in err
    assert err.count("\n") == 1


def test_export_then_evaluate_the_file(command, people, pose_file, tmp_path):
    annotations, images = people
    path = tmp_path / "pose_int8.tflite"
    code, out, err = command(
        *("export", pose_file, path, "--precision", "int8"),
        *("--calibration-annotations", annotations, "--calibration-images", images),
        *("--count", 8, "--evaluate-annotations", annotations, "--evaluate-images", images),
    )
    assert code == 0, err
    assert "int8" in out
    figures = json.loads(path.with_name("pose_int8.tflite.json").read_text())["figures"]
    assert "AP .75" in figures
    code, out, _ = command(
        "evaluate", "coco", path, "--annotations", annotations, "--images", images
    )
    assert code == 0
    assert "AP .5" in out


def test_export_without_calibration_is_an_error(command, pose_file, tmp_path):
    code, _, err = command("export", pose_file, tmp_path / "x.tflite", "--precision", "int8")
    assert code == 1
    assert "--calibration-annotations" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--evaluate-data", "none.csv"], "no such data to evaluate with. Received: none.csv"),
        (["--evaluate-images", "val"], "go together. Received: val"),
        (["--labels", "none.txt"], "Received: none.txt"),
        (
            ["--calibration-data", "a.csv", "--calibration-annotations", "b.json"],
            "for pose estimators. Received: a.csv and b.json",
        ),
        (["--calibration-data", "a.csv"], "are for classifiers; pose estimators take"),
    ],
)
def test_export_mistakes(command, pose_file, tmp_path, arguments, message):
    path = tmp_path / "x.tflite"
    code, _, err = command("export", pose_file, path, "--precision", "float32", *arguments)
    assert code == 1
    assert message in err
    assert not list(tmp_path.iterdir())


def test_a_classifier_has_no_average_precision(command, people, tmp_path):
    annotations, images = people
    code, _, err = command(
        *("export", "shufflenet_v2_x0_25", tmp_path / "x.tflite", "--weights", "none"),
        *("--evaluate-annotations", annotations, "--evaluate-images", images),
    )
    assert code == 1
    assert "classifiers take --evaluate-data. Received: shufflenet_v2_x0_25" in err
    code, _, err = command(
        *("export", "shufflenet_v2_x0_25", tmp_path / "x.tflite", "--weights", "none"),
        *("--calibration-annotations", annotations, "--calibration-images", images),
    )
    assert code == 1
    assert "are for pose estimators; classifiers take labels.csv" in err
    code, _, err = command("export", tmp_path / "x.tflite", tmp_path / "y.tflite")
    assert code == 1
    assert "no exported file. Received: " in err


def test_evaluate_imagenet(command, photo, tmp_path):
    (tmp_path / "labels.csv").write_text("filename,class_index\nphoto.png,3\n")
    (tmp_path / "images").mkdir()
    photo.rename(tmp_path / "images" / "photo.png")
    code, out, _ = command(
        *("evaluate", "imagenet", "shufflenet_v2_x0_25", "--weights", "none"),
        *("--data", tmp_path / "labels.csv", "--resize", 64),
    )
    assert code == 0
    assert "top1" in out


def test_classify_wants_a_classifier(command, photo, pose_file):
    code, _, err = command("classify", photo, "--model", pose_file)
    assert code == 1
    assert "must be a classifier" in err
    assert "Received:" in err


def test_pictures_of_the_same_name_would_overwrite_each_other(command, photo, pose_file, tmp_path):
    (tmp_path / "sub").mkdir()
    other = tmp_path / "sub" / photo.name
    other.write_bytes(photo.read_bytes())
    made = tmp_path / "made"
    code, _, err = command("pose", photo, other, "--model", pose_file, "--output", made)
    assert code == 1
    assert "names must differ" in err
    assert not made.exists()


def test_an_error_of_the_system_names_the_file_that_was_asked_for(command, pose_file, tmp_path):
    target = tmp_path / "folder.tflite"
    target.mkdir()
    code, _, err = command("export", pose_file, target, "--precision", "float32")
    assert code == 1
    assert "Received: " in err
    assert f"{target}" in err
    assert f".{os.getpid()}-" not in err


def test_a_missing_file_of_weights(command, photo):
    code, _, err = command("classify", photo, "--weights", "missing.pth")
    assert code == 1
    assert err == "Error: There is no such file of weights. Received: 'missing.pth'\n"
