"""Datasets of tensorflow-datasets on the command line, in place of files and folders."""

import csv

import keras
import numpy as np
import pytest
import tensorflow_datasets as tfds

import keras_shufflenet as ks
import keras_shufflenet.datasets
from tests.datasets.layouts import write_coco, write_mpii
from tests.shortcuts import eager_training

COCO, MPII = "tfds:coco_keypoints/custom", "tfds:mpii_pose/custom"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder of files of which datasets are prepared where tfds looks for them."""
    folder = tmp_path_factory.mktemp("tfds")
    write_coco(folder / "coco")
    write_mpii(folder / "mpii")
    for name, files in ((COCO, "coco"), (MPII, "mpii")):
        builder = tfds.builder(name.removeprefix("tfds:"), data_dir=folder / "prepared")
        downloads = tfds.download.DownloadConfig(manual_dir=folder / files)
        builder.download_and_prepare(download_config=downloads, file_format="array_record")
    tfds.core.add_data_dir(folder / "prepared")
    return folder


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def assert_same_rows(results):
    """Check the rows of an evaluation on records and on the files that they were made of."""
    from_records, from_files = rows(results)
    assert from_records.pop("data") == f"{COCO}:validation"
    assert from_files.pop("data") == "person_keypoints_val2017.json"
    assert from_records == from_files


def sources(prepared):
    """Options of the validation data: as records, as files."""
    folder = prepared / "coco"
    file = folder / "annotations" / "person_keypoints_val2017.json"
    return (
        ("--annotations", f"{COCO}:validation"),
        ("--annotations", file, "--image-dir", folder / "val2017"),
    )


def test_training_and_evaluation(command, prepared, shallow, tmp_path):
    run, results = tmp_path / "run", tmp_path / "results.csv"
    with shallow(), eager_training():
        code, _, errors = command(
            *("train", "pose", "shufflenet_v2_x0_25", "--input-size", "64x64", "--weights", "none"),
            *("--annotations", f"{COCO}:train", "--val-annotations", f"{COCO}:validation"),
            *("--epochs", 1, "--batch-size", 4, "--output-dir", run),
        )
    assert code == 0, errors
    [row] = rows(run / "log.csv")
    assert 0 <= float(row["AP"]) <= 1
    for source in sources(prepared):
        evaluation = ("evaluate", "coco", run / "model.keras", "--results-csv", results)
        code, _, errors = command(*evaluation, *source)
        assert code == 0, errors
    assert_same_rows(results)


def test_evaluation_of_boxes(command, prepared, detector_file, tmp_path):
    results = tmp_path / "results.csv"
    for source in sources(prepared):
        evaluation = ("evaluate", "detection", detector_file, "--results-csv", results)
        code, _, errors = command(*evaluation, *source)
        assert code == 0, errors
    assert_same_rows(results)


def test_mpii_trains_its_keypoints(command, prepared, shallow, tmp_path):
    with shallow(), eager_training():
        code, _, errors = command(
            *("train", "pose", "shufflenet_v2_x0_25", "--input-size", "64x64", "--weights", "none"),
            *("--annotations", f"{MPII}:train", "--epochs", 1, "--batch-size", 5),
            *("--output-dir", tmp_path),
        )
    assert code == 0, errors
    model = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert ks.models.model_skeleton(model).name == "mpii"


def test_pckh_is_that_of_the_json(prepared):
    folder = prepared / "mpii"
    persons = ks.keypoints.read_mpii(folder / "mpii_val.json")
    truth = {
        "jnt_missing": 1 - persons.keypoints_visible.T,
        "pos_gt_src": persons.keypoints.transpose(1, 2, 0) + 1,
        "headboxes_src": np.tile([[[1.0]], [[20.0]]], (1, 2, len(persons))),
    }

    def model(images):
        return np.stack([images[:, ::4, ::4, 0]] * 16, axis=-1)

    arguments = {"input_size": (64, 64), "verbose": False}
    from_records = ks.metrics.mpii(model, f"{MPII}:validation", None, truth, **arguments)
    images = folder / "images"
    from_files = ks.metrics.mpii(model, folder / "mpii_val.json", images, truth, **arguments)
    np.testing.assert_equal(from_records, from_files)


def test_accuracy_on_mocked_imagenette(command, shallow, tmp_path):
    with shallow():
        model = ks.ShuffleNetV2(0.5, weights=None, classes=10, input_shape=(64, 64, 3))
    model.save(tmp_path / "model.keras")
    with tfds.testing.mock_data(num_examples=3):
        code, output, errors = command(
            *("evaluate", "imagenet", tmp_path / "model.keras"),
            *("--data", "tfds:imagenette/320px-v2:validation"),
        )
    assert code == 0, errors
    assert "count" in output


@pytest.mark.parametrize(
    ("words", "exit_code", "message"),
    [
        (["--annotations", "tfds:coco"], 2, "as tfds:NAME:SPLIT, for example tfds:imagenette"),
        (["--annotations", "none.json"], 2, "file 'none.json' does not exist"),
        (["--annotations", f"{COCO}:train", "--image-dir", "."], 1, "not with tfds:NAME:SPLIT"),
        (["--annotations", __file__], 1, "--image-dir must be given once, or once for each"),
        (
            ["--annotations", "tfds:coco_keypoints/2017:train"],
            1,
            "must be prepared: `python -m keras_s",
        ),
    ],
)
@pytest.mark.parametrize("task", ["pose", "detect"])
def test_errors(command, tmp_path, task, words, exit_code, message):
    code, _, errors = command("train", task, *words, "--output-dir", tmp_path / "run")
    assert (code, message in errors) == (exit_code, True), errors
