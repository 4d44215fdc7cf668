"""The commands that run a network, on real files."""

import csv
import json
import os
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.training import recipes
from keras_shufflenet.training.callbacks import read_log
from tests.shortcuts import eager_training


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
        "predict", "classify", "shufflenet_v2_x0_25", photo, "--weights", "none", "--top", 3
    )
    assert code == 0
    assert out.count("0.00") == 3
    assert "photo.png" in out


def test_classes_are_named(command, photo, shallow, tmp_path):
    with shallow():
        model = ks.ShuffleNetV2(0.25, classes=["daisy", "[/red]rose"], input_shape=(32, 32, 3))
    model.save(tmp_path / "flowers.keras")
    code, out, _ = command(
        "predict", "classify", tmp_path / "flowers.keras", photo, "--output-dir", tmp_path / "out"
    )
    assert code == 0
    assert out.count("daisy") == out.count("[/red]rose") == 1
    assert '"daisy"' in (tmp_path / "out" / "predictions.json").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model.h5", "photo.png"), "MODEL must be a .keras, .tflite or .onnx file; "),
        (("k.json",), "An image must be a file of "),
        (("photo.png", "--output-dir", "/proc/x"), "The folder of --output-dir must be writable"),
    ],
)
def test_mistakes_are_said_before_a_network_is_loaded(command, photo, words, message):
    photo.with_name("k.json").write_text("{}")
    words = [photo.with_name(w) if w.endswith(("png", "json", "onnx")) else w for w in words]
    code, out, errors = command("predict", "classify", *words)
    assert (code, out) == (1, "")
    assert message in errors
    assert "Received: " in errors


def test_classify_a_file_that_is_no_image(command, tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"no image")
    code, _, err = command("predict", "classify", "shufflenet_v2_x0_25", path, "--weights", "none")
    assert code == 1
    warning, error = err.splitlines()
    assert warning.startswith("Warning: shufflenet_v2_x0_25 has random weights")
    assert error.startswith("Error: ")
    assert str(path) in error


def test_pose_draws_every_image(command, photo, pose_file, tmp_path):
    drawn = tmp_path / "drawn"
    words = ("predict", "pose", pose_file, photo, "--detector", "none", "--output-dir", drawn)
    code, out, _ = command(*words)
    assert code == 0
    assert "of 17 keypoints" in out
    with Image.open(drawn / "photo.png") as image:
        assert image.size == (40, 50)


def test_pose_takes_boxes(command, photo, pose_file, tmp_path):
    drawn = tmp_path / "drawn"
    boxes = ("--bbox", "1,2,30,40", "--bbox", "5,5,20,20")
    code, out, _ = command("predict", "pose", pose_file, photo, "--output-dir", drawn, *boxes)
    assert code == 0
    assert ": 0, 0 of 17 keypoints" in out
    file = tmp_path / "bboxes.json"
    file.write_text(json.dumps({"photo.png": [[1, 2, 30, 40]]}))
    code, out, _ = command(
        "predict", "pose", pose_file, photo, "--output-dir", drawn, "--bboxes", file
    )
    assert code == 0
    assert ": 0 of 17 keypoints" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bbox", "1,2,3"], "with width and height above 0. Received: 1,2,3"),
        (["--bbox", "1,2,3,4", "--bboxes", "b.json"], "must not be given together"),
        (["--bbox", "1,2,3,0"], "with width and height above 0. Received: 1,2,3,0"),
        (
            ["--bbox", "1,2,3,4", "--bbox", "500,40.5,10,10"],
            "--bbox must overlap with the image of 40 × 50 pixels. Received: 500,40.5,10,10 for ",
        ),
        (
            ["--bboxes", "b.json"],
            "--bboxes must overlap with the image of 40 × 50 pixels. Received",
        ),
        (
            ["--keypoint-threshold", "7"],
            "'--keypoint-threshold': Input should be less than or equal to 1.",
        ),
    ],
)
def test_pose_mistakes(command, photo, pose_file, arguments, message):
    (photo.parent / "b.json").write_text('{"photo.png": [[-9, 0, 9, 9]]}')
    arguments = [photo.parent / "b.json" if a == "b.json" else a for a in arguments]
    drawn = photo.parent / "drawn"
    code, _, err = command("predict", "pose", pose_file, photo, *arguments, "--output-dir", drawn)
    assert code in (1, 2)
    assert message in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "--bboxes must be a json file"),
        ('{"photo.png": [[1, 2, 3, 4]], "photo.png": []}', "an object with two fields 'photo.png'"),
        ("[]", "--bboxes must hold {file name: [[x, y, width, height], ...]}, or the records of"),
        ('[{"bbox": [1, 2, 3, 4]}]', "must hold records with 'file_name' and 'bbox', if it is a"),
        ('[{"file_name": "photo.png"}]', "Received: [None] for photo.png in"),
        ('{"photo.png": [[1, 2, 3]]}', "Received: [[1, 2, 3]] for photo.png"),
        ('{"photo.png": [[1, 2, 3, Infinity]]}', "Received: [[1, 2, 3, inf]] for photo.png"),
        ('{"phto.png": [[1, 2, 3, 4]]}', "must name at least one IMAGE. Received: phto.png in"),
        (
            '{"photo.png": [[1, 2, 3, 4]], "./photo.png": []}',
            "must name an image once. Received: photo.png twice",
        ),
    ],
)
def test_boxes_of_no_image_are_an_error(command, photo, pose_file, content, message):
    file = photo.parent / "bboxes.json"
    file.write_text(content)
    code, _, err = command("predict", "pose", pose_file, photo, "--bboxes", file)
    assert code == 1
    assert message in err


def test_a_classifier_predicts_no_pose(command, photo):
    code, _, err = command("predict", "pose", "shufflenet_v2_x0_25", photo)
    assert code == 1
    assert "MODEL must be a pose estimator" in err
    assert err.endswith("Received: shufflenet_v2_x0_25\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out.bin"], "OUT must end in .tflite, .onnx, .xml. Received: OUT='out.bin'"),
        (["out.tflite", "--precision", "int4"], "--precision must be one of"),
    ],
)
def test_export_options_are_checked_before_weights_are_downloaded(
    command, monkeypatch, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    code, _, err = command("export", "shufflenet_v2_x0_25", *arguments)
    assert code == 1
    assert message in err


def test_train_then_evaluate_with_a_results_row(command, people, shallow, tmp_path):
    annotations, images = people
    run, results = tmp_path / "run", tmp_path / "results.csv"
    arguments = (
        *("shufflenet_v2_x0_25", "--annotations", annotations, "--image-dir", images),
        *("--val-annotations", annotations, "--val-image-dir", images, "--output-dir", run),
        *("--weights", "none", "--input-size", "64x64", "--recipe", "finetune"),
        *("--epochs", 2, "--batch-size", 12, "--learning-rate", 0.002, "--augmentation", "weak"),
        *("--repeat", 2),
    )
    with shallow(), eager_training():
        code, _, err = command("train", "pose", *arguments)
    assert code == 0, err
    settings = json.loads((run / "run.json").read_text())
    assert settings["instances"] == 12  # six persons, each twice
    recipe = settings["recipe"]
    assert recipe["augmentation"] == asdict(recipes.WEAK_AUGMENTATION)
    log = read_log(run / "log.csv")
    assert [row["epoch"] for row in log] == [1, 2]
    with shallow():
        code, _, err = command("train", "pose", *arguments, "--seed", 1)
    assert code == 1
    assert "--output-dir holds another training: seed was" in err
    code, out, _ = command(
        *("evaluate", "coco", run / "model.keras", "--annotations", annotations),
        *("--image-dir", images, "--results-csv", results),
    )
    assert code == 0
    assert "AP .75" in out
    (row,) = csv.DictReader(results.read_text().splitlines())
    assert float(row["AP"]) == pytest.approx(log[-1]["AP"], abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--input-size", "big"], 1, "HEIGHTxWIDTH"),
        (
            ["--recipe", "quick"],
            1,
            "--recipe must be one of mmpose, mmpose_mpii, finetune, distill, from_scratch",
        ),
        (["--epochs", "0"], 1, "--epochs must be a positive integer. Received: --epochs=0"),
        (["--val-image-dir", "."], 1, "must be given together"),
        (["--head", "heavy"], 1, "Received: "),
        (
            ["--repeat", "0"],
            2,
            "Invalid value for '--repeat': Input should be greater than or equal to",
        ),
        (
            ["--repeat", "2", "--repeat", "3"],
            1,
            "--repeat must be given once, or once for each --annotations. Received: 2 of --repeat",
        ),
        (["--teacher-weight", "0.7"], 1, "--teacher-weight is for --teacher, which is not given."),
        (["--recipe", "distill"], 1, "--recipe distill must have a --teacher. Received: no"),
        (["--cutmix-prob", "0.4"], 1, "--cutmix-prob must have a --teacher, who alone knows"),
        (["--color-jitter", "2"], 1, "`--color-jitter` must be a number between 0 and 1. Received"),
        (
            ["--batch-size", "6", "--accumulation-steps", "4"],
            1,
            "--batch-size must be a multiple of --accumulation-steps. Received: --batch-size 6 and",
        ),
        (["--initial-checkpoint", __file__], 1, "must not be given together. Received: none and"),
        (["--annotations", "none.json"], 2, "file 'none.json' does not exist"),
        (["--encoding", "dark"], 2, "'dark' is not one of 'msra', 'unbiased', 'udp'"),
        (["--repeat", "1001"], 1, "--repeat must be at most 1000. Received: --repeat 1001"),
        (["--teacher", "missing"], 1, ".onnx file, or the name of a pose estimator of `keras-sh"),
        (["--teacher", "nanodet_plus_m"], 1, "that has weights. Received: --teacher 'nanodet_pl"),
        (["--teacher", "missing.onnx"], 1, "--teacher must be an existing file. Received: missing"),
        (["--output-dir", __file__], 2, "is a file"),
    ],
)
def test_train_mistakes(command, people, tmp_path, arguments, exit_code, message):
    annotations, images = people
    code, _, err = command(
        *("train", "pose", "shufflenet_v2_x0_25", "--annotations", annotations),
        *("--image-dir", images, "--output-dir", tmp_path, "--weights", "none"),
        *("--input-size", "64x64"),
        *arguments,
    )
    assert code == exit_code
    assert message in err
    assert err.count("\n") == 1


def test_the_teacher_is_opened_first(command, people, tmp_path):
    annotations, images = people
    teacher = tmp_path / "teacher.onnx"
    teacher.write_bytes(b"no network")
    code, _, err = command(
        *("train", "pose", "shufflenet_v2_x9", "--annotations", annotations, "--image-dir", images),
        *("--output-dir", tmp_path / "run", "--recipe", "distill", "--teacher", teacher),
    )
    assert code == 1
    assert err.startswith("Error: --teacher must be a trained pose estimator. ")
    assert str(teacher) in err


def test_the_initial_checkpoint_is_looked_for_first(command, people, tmp_path):
    annotations, images = people
    code, _, err = command(
        *("train", "pose", "--annotations", annotations, "--image-dir", images),
        *("--output-dir", tmp_path, "--initial-checkpoint", "none.pth"),
    )
    assert code == 1
    assert err.startswith(
        "Error: --initial-checkpoint must be an existing file, coco, mpii or the "
    )


@pytest.mark.parametrize("model", ["pose_shufflenet_v2_x1_0_coco_256x192", "model.keras"])
def test_training_starts_from_a_backbone(command, people, tmp_path, model):
    annotations, images = people
    code, _, err = command(
        *("train", "pose", model, "--annotations", annotations, "--image-dir", images),
        *("--output-dir", tmp_path),
    )
    assert code == 1
    assert f"is given by --initial-checkpoint. Received: {model}" in err


def test_export_then_evaluate_the_file(command, people, pose_file, tmp_path):
    annotations, images = people
    path = tmp_path / "pose_int8.tflite"
    code, out, err = command(
        *("export", pose_file, path),  # int8, as there are calibration data
        *("--calibration-annotations", annotations, "--calibration-image-dir", images),
        *("--num-calibration-samples", 8),
        *("--evaluate-annotations", annotations, "--evaluate-image-dir", images),
    )
    assert code == 0, err
    assert "int8" in out
    metrics = json.loads(path.with_name("pose_int8.tflite.json").read_text())["metrics"]
    assert "AP .75" in metrics
    code, out, _ = command(
        "evaluate", "coco", path, "--annotations", annotations, "--image-dir", images
    )
    assert code == 0
    assert "AP .5" in out


def test_export_to_onnx_then_evaluate_the_file(command, people, pose_file, tmp_path):
    annotations, images = people
    path = tmp_path / "pose.onnx"
    code, out, err = command("export", pose_file, path, "--data-format", "channels_first")
    assert code == 0, err
    assert f"exported: {path}" in out
    data = ("--annotations", annotations, "--image-dir", images)
    scores = []
    for file in (pose_file, path):
        code, _, err = command(
            "evaluate", "coco", file, *data, "--output-json", tmp_path / "x.json"
        )
        assert code == 0, err
        scores.append([each["score"] for each in json.loads((tmp_path / "x.json").read_text())])
    np.testing.assert_allclose(*scores, atol=1e-5)


@pytest.mark.parametrize(
    ("file", "arguments", "message"),
    [
        ("x.onnx", ["--precision", "int8"], "with the options --weights, --data-format"),
        ("x.xml", ["--no-per-channel"], "Received: --per-channel"),
        ("x.tflite", ["--data-format", "channels_first"], "is for .onnx and .xml files"),
        ("x.onnx", ["--data-format", "NHWC"], "Received: --data-format='NHWC'"),
    ],
)
def test_options_of_other_formats(command, pose_file, tmp_path, file, arguments, message):
    code, _, err = command("export", pose_file, tmp_path / file, *arguments)
    assert code == 1
    assert message in err
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def features_file(shallow, tmp_path_factory):
    """Two feature maps of gray images of any size."""
    with shallow():
        model = ks.feature_extractor("shufflenet_v2_x0_25", (4, 8), input_shape=(None, None, 1))
    model.save(path := tmp_path_factory.mktemp("features") / "features.keras")
    return path


def test_export_of_gray_images_several_outputs_and_any_batch(
    command, people, features_file, tmp_path
):
    code, out, err = command(
        *("export", features_file, path := tmp_path / "x.tflite", "--calibration-data", people[1]),
        *("--batch-size", "dynamic", "--input-size", "64x32", "--num-calibration-samples", 2),
    )
    assert code == 0, err
    assert "N × 64 × 32 × 1" in out
    assert out.count("error of ") == 2
    x = np.zeros((3, 64, 32, 1), np.float32)
    shapes = [y.shape for y in ks.inference.Predictor.load(path).outputs(x).values()]
    assert shapes == [(3, 16, 8, 24), (3, 8, 4, 24)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch-size", "0"], "a positive integer or dynamic. Received: --batch-size 0"),
        (["--input-size", "64"], "--input-size must be HEIGHTxWIDTH"),
        ([], "--input-size must be HEIGHTxWIDTH for a model that accepts images of any size"),
        (["--evaluate-data", "{images}"], "are for models with one output. Received: shuffle"),
    ],
)
def test_mistakes_with_several_outputs(
    command, people, features_file, tmp_path, arguments, message
):
    arguments = [argument.format(images=people[1]) for argument in arguments]
    code, _, err = command("export", features_file, tmp_path / "x.tflite", *arguments)
    assert code == 1
    assert message in err
    assert not list(tmp_path.iterdir())


def test_export_without_calibration_is_an_error(command, pose_file, tmp_path):
    code, _, err = command("export", pose_file, tmp_path / "x.tflite", "--precision", "int8")
    assert code == 1
    assert "--calibration-annotations" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--evaluate-data", "none.csv"], 2, "path 'none.csv' does not exist"),
        (["--evaluate-image-dir", "."], 1, "must be given together. Received: ."),
        (["--labels", "none.txt"], 2, "file 'none.txt' does not exist"),
        (
            ["--calibration-data", __file__, "--calibration-annotations", __file__],
            1,
            f"must not be given together. Received: {__file__} and {__file__}",
        ),
        (["--calibration-data", __file__], 1, "are not for pose estimators, which take"),
        (["--weights", "imagenet"], 1, "--weights must not be given for a file"),
        (
            ["--input-size", "32x64"],
            1,
            "--input-size must be 64x64, the HEIGHTxWIDTH of the model, or None. Received: "
            "--input-size=32x64",
        ),
    ],
)
def test_export_mistakes(command, pose_file, tmp_path, arguments, exit_code, message):
    path = tmp_path / "x.tflite"
    code, _, err = command("export", pose_file, path, "--precision", "float32", *arguments)
    assert code == exit_code
    assert message in err
    assert not list(tmp_path.iterdir())


def test_a_classifier_has_no_average_precision(command, people, tmp_path):
    annotations, images = people
    code, _, err = command(
        *("export", "shufflenet_v2_x0_25", tmp_path / "x.tflite", "--weights", "none"),
        *("--evaluate-annotations", annotations, "--evaluate-image-dir", images),
    )
    assert code == 1
    assert "classifiers take --evaluate-data. Received: shufflenet_v2_x0_25" in err
    code, _, err = command(
        *("export", "shufflenet_v2_x0_25", tmp_path / "x.tflite", "--weights", "none"),
        *("--calibration-annotations", annotations, "--calibration-image-dir", images),
    )
    assert code == 1
    assert "are for pose estimators; classifiers take a folder" in err
    code, _, err = command("export", tmp_path / "x.tflite", tmp_path / "y.tflite")
    assert code == 1
    assert "MODEL must be a .keras file, or a name of `keras-shufflenet models`. Received: " in err


def test_evaluate_poses_without_a_network(command, people, tmp_path):
    annotations, _ = people
    persons = json.loads(annotations.read_text())["annotations"]
    poses, table = tmp_path / "poses.json", tmp_path / "coco.csv"
    keys = ("image_id", "category_id", "keypoints")
    poses.write_text(json.dumps([{k: p[k] for k in keys} | {"score": 1} for p in persons]))
    words = ("evaluate", "coco", "--results", poses, "--annotations", annotations)
    code, out, err = command(*words, "--results-csv", table)
    assert (code, err) == (0, "")
    assert "AP     │ 1.0000" in out
    (row,) = csv.DictReader(table.read_text().splitlines())
    assert (row["model"], row["data"]) == ("poses.json", annotations.name)
    code, _, err = command(*words, "--category", "dog")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("Error: --category must be the name or id of one of the categories of ")
    code, _, err = command(*words, "--image-dir", tmp_path)
    assert (code, err.count("\n")) == (1, 1)
    assert "--results must be given without MODEL, --image-dir" in err
    code, _, err = command("evaluate", "coco", "--annotations", annotations)
    assert code == 1
    assert "MODEL and --image-dir must be given together, or --results" in err
    assert err.endswith("Received: neither\n")
    poses.write_text("[]")
    code, _, err = command(*words)
    assert (code, err) == (
        1,
        "Error: poses.json must have at least one result of the category 1 'person'. "
        "Received: 0 results\n",
    )


def test_evaluate_imagenet(command, photo, tmp_path):
    (tmp_path / "labels.csv").write_text("filename,class_index\nphoto.png,3\n")
    (tmp_path / "images").mkdir()
    photo.rename(tmp_path / "images" / "photo.png")
    code, out, _ = command(
        *("evaluate", "imagenet", "shufflenet_v2_x0_25", "--weights", "none"),
        *("--data", tmp_path / "labels.csv", "--resize-size", 64),
    )
    assert code == 0
    assert "top1" in out


def test_classify_wants_a_classifier(command, photo, pose_file):
    code, _, err = command("predict", "classify", pose_file, photo)
    assert code == 1
    assert "must be a classifier" in err
    assert "Received:" in err


def test_images_of_a_tree_keep_their_folders(command, photo, pose_file, tmp_path):
    tree = tmp_path / "tree"
    for name in ("a/photo.png", "b/photo.png", "b/photo.bmp", "b/.hidden.png"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photo) as image:
            image.save(tree / name)
    (tree / "notes.txt").write_text("no image")
    drawn = tmp_path / "drawn"
    words = ("predict", "pose", pose_file, tree, "--detector", "none", "--output-dir", drawn)
    code, _, err = command(*words)
    assert code == 0, err
    found = sorted(str(file.relative_to(drawn)) for file in drawn.rglob("*.*"))
    assert found == [
        *("a/photo.png", "b/photo.bmp.png", "b/photo.png.png"),
        *("predictions.csv", "predictions.json"),
    ]
    records = json.loads((drawn / "predictions.json").read_text())
    assert [record["file_name"] for record in records] == [
        *("a/photo.png", "b/photo.bmp", "b/photo.png"),
    ]
    assert records[0]["bbox"] == [0, 0, 40, 50]
    assert len(records[0]["keypoints"]) == 17
    rows = list(csv.DictReader((drawn / "predictions.csv").read_text().splitlines()))
    assert float(rows[2]["nose_x"]) == records[2]["keypoints"]["nose"][0]


def test_one_unreadable_image_of_several_does_not_stop_the_others(command, photo, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    arguments = ("shufflenet_v2_x0_25", tmp_path / "*.png", "--weights", "none")
    made = tmp_path / "made"
    code, out, err = command("predict", "classify", *arguments, "--top", 2, "--output-dir", made)
    assert code == 1
    assert "photo.png" in out
    *_, warning, error = err.splitlines()
    assert warning.startswith("Warning: ")
    assert (
        error == f"Error: Every IMAGE must be readable; 1 of 2 were predicted. Received: {broken}"
    )
    (record,) = json.loads((made / "predictions.json").read_text())
    assert record["file_name"] == "photo.png"
    assert len(record["classes"]) == len(record["scores"]) == 2


def test_an_error_of_the_system_names_the_file_that_was_asked_for(command, pose_file, tmp_path):
    target = tmp_path / "folder.tflite"
    target.mkdir()
    code, _, err = command("export", pose_file, target, "--precision", "float32")
    assert code == 2
    assert "Received: " in err
    assert f"{target}" in err
    assert f".{os.getpid()}-" not in err


def test_a_missing_file_of_weights(command, photo):
    code, _, err = command("predict", "classify", photo, "--weights", "missing.pth")
    assert code == 1
    assert err == "Error: --weights must be an existing file. Received: --weights='missing.pth'\n"


def test_predict_takes_the_first_word_as_model_or_image(command, photo, tmp_path):
    code, _, err = command("predict", "classify", "nowhere.jpg")
    assert code == 1
    assert err == "Error: IMAGE must be an existing file. Received: nowhere.jpg\n"
    code, _, err = command("predict", "classify", "shufflenet_v2_x1_0")
    assert code == 1
    assert "IMAGE must be given after MODEL. Received: shufflenet_v2_x1_0 alone" in err
    code, _, err = command("predict", "classify", "shufflenet_v3", photo)
    assert code == 1
    assert "Received: name='shufflenet_v3'" in err
    code, _, err = command("predict", "classify", photo, "shufflenet_v2_x1_0")
    assert code == 1
    assert f"MODEL must come before IMAGE. Received: {photo} shufflenet_v2_x1_0" in err
