"""What docs/datasets.md shows runs, on small records in place of those of the datasets."""

import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

import keras_shufflenet as ks
import keras_shufflenet.datasets
from tests import shortcuts
from tests.datasets.layouts import SIZE, write_coco, write_mpii
from tests.shortcuts import eager_training

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"
RAW = tfds.decode.DeserializeMethod.RAW_BYTES
SMALL = "--weights none --epochs 1 --batch-size 4 --input-size 64x64"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(autouse=True)
def _one_unit_for_each_stage(monkeypatch):
    monkeypatch.setattr(shortcuts, "UNITS", (1, 1, 1))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Serialized records of the datasets of the page, by name."""
    folder = tmp_path_factory.mktemp("page")
    write_coco(folder / "coco")
    write_mpii(folder / "mpii")
    found = {}
    for name, files in (("coco_keypoints", "coco"), ("mpii_pose", "mpii")):
        builder = tfds.builder(f"{name}/custom", data_dir=folder / "prepared")
        downloads = tfds.download.DownloadConfig(manual_dir=folder / files)
        builder.download_and_prepare(download_config=downloads, file_format="array_record")
        found[name] = list(builder.as_data_source("train", deserialize_method=RAW))
    return found


@pytest.fixture
def mocked(records):
    """tfds' own mocked data, of which the records are these."""
    file = io.BytesIO()
    Image.fromarray(np.full((*SIZE, 3), 99, np.uint8)).save(file, "JPEG")
    thing = {"id": 1, "area": 9, "is_crowd": False, "bbox": tfds.features.BBox(0.1, 0.1, 0.9, 0.9)}

    def as_data_source(self, split, deserialize_method=None, **_):
        if self.name in records:
            return records[self.name]
        example = {"image": io.BytesIO(file.getvalue())}
        if self.name == "coco":
            objects = [{**thing, "label": 0}]
            example |= {"image/filename": "1.jpg", "image/id": 1, "objects": objects}
        else:
            example["label"] = 3
        if "file_name" in self.info.features:
            example["file_name"] = "1.jpg"
        return [self.info.features.serialize_example(example)]

    with tfds.testing.mock_data(as_data_source_fn=as_data_source):
        yield


@pytest.mark.usefixtures("mocked")
def test_python_runs(capsys):
    names = {}
    for block in blocks("python"):
        if "ks.export" in block:  # below
            continue
        exec(compile(block, PAGE.name, "exec"), names)
    printed = capsys.readouterr().out
    assert printed.startswith("1 ('person', 'bicycle', 'car')\ncoco/2017/1.1.0:train[:50%]")
    shapes = {
        name: next(names[name].as_numpy_iterator())[0].shape
        for name in ("photos", "boxes", "people", "athletes", "worker")
    }
    assert shapes == {
        "photos": (4, 224, 224, 3),
        "boxes": (4, 320, 320, 3),
        "people": (4, 256, 192, 3),
        "athletes": (4, 256, 256, 3),
        "worker": (2, 224, 224, 3),
    }


@pytest.mark.usefixtures("mocked")
def test_commands_run(command, shallow, pose_file, detector_file, tmp_path, monkeypatch, subtests):
    with shallow():
        classifier = ks.ShuffleNetV2(0.25, weights=None, input_shape=(64, 64, 3))
    classifier.save(tmp_path / "classifier.keras")
    instead = {
        "classify shufflenet_v2_x1_0": f"classify shufflenet_v2_x0_25 {SMALL}",
        "pose shufflenet_v2_x1_0": f"pose shufflenet_v2_x0_25 {SMALL}",
        "detect nanodet_plus_m": f"detect nanodet_m_x0_5 {SMALL}",
        "imagenet shufflenet_v2_x1_0": f"imagenet {tmp_path / 'classifier.keras'}",
        "nanodet_plus_m_416": str(detector_file),
        "pose.keras": str(pose_file),
    }
    monkeypatch.chdir(tmp_path)
    lines = blocks("console")[0].replace("\\\n", " ").splitlines()
    with shallow(), eager_training():
        for line in lines:
            words = line.removeprefix("$ keras-shufflenet ")
            for shown, run in instead.items():
                words = words.replace(f"{shown} ", f"{run} ")
            with subtests.test(line):
                code, _, errors = command(*shlex.split(words))
                assert code == 0, errors


SMALLER = {
    "shufflenet_v2_x1_0": "shufflenet_v2_x0_25",
    "(224, 224, 3)": "(64, 64, 3)",
    ', weights="imagenet"': "",
    "training=True,": "training=True, crop_size=64,",
    "classification(train)": "classification(train, crop_size=64)",
    "epochs=5": "epochs=1, verbose=0",
    "batch_size=32": "batch_size=2",
    "// 32": "// 2",
    '"nanodet_plus_m", weights="coco"': '"nanodet_m_x0_5", input_shape=(64, 64, 3)',
    "finetune(epochs=3)": "finetune(epochs=1, batch_size=2)",
}


@pytest.fixture
def mocked_by_tfds():
    """The images that tfds itself makes up; its boxes do not make records."""
    with tfds.testing.mock_data(num_examples=4):
        yield


@pytest.mark.parametrize(("name", "data"), [("imagenette", "mocked_by_tfds"), ("coco", "mocked")])
def test_ten_lines_fine_tune_evaluate_and_export(
    name, data, shallow, tmp_path, monkeypatch, capsys, request
):
    request.getfixturevalue(data)
    [block] = [each for each in blocks("python") if "ks.export" in each and name in each]
    for shown, run in SMALLER.items():
        block = block.replace(shown, run)
    monkeypatch.chdir(tmp_path)
    with shallow(), eager_training():
        exec(compile(block, PAGE.name, "exec"), {"ks": ks})
    assert (tmp_path / f"{name}.tflite").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert ("'count': 4" if name == "imagenette" else "'AP': ") in printed


def test_commands_that_prepare_are_those_of_the_module():
    lines = blocks("console")[1].splitlines()
    assert all(line.startswith("$ python -m keras_shufflenet.datasets ") for line in lines)
    names = [shlex.split(line)[4] for line in lines]
    for name in names:
        tfds.builder(name)
