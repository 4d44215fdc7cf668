"""The builders for tensorflow-datasets, by tfds' own test case, on files in official layouts."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.scripts.cli import build, cli_utils

from keras_shufflenet.datasets import CocoKeypoints, MpiiPose
from keras_shufflenet.datasets.__main__ import main
from keras_shufflenet.datasets.coco_keypoints import coco_keypoints_dataset_builder as coco
from tests.datasets.layouts import (
    COCO_IMAGES,
    SIZE,
    pack_mpii,
    write_coco,
    write_mpii,
    zip_coco,
)

ROOT = Path(__file__).parents[2]
SPLITS = ("train", "validation")


class _BuilderTest(tfds.testing.DatasetBuilderTestCase):
    """tfds' test case on files that are written for it."""

    BUILDER_CONFIG_NAMES_TO_TEST = ("custom",)

    @property
    def test_session(self):
        """That of TensorFlow, which is no test."""
        return super().test_session

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.write(Path(folder.name))
        cls.EXAMPLE_DIR = folder.name
        super().setUpClass()


class CocoKeypointsTest(_BuilderTest):
    DATASET_CLASS = CocoKeypoints
    SPLITS: ClassVar = dict(zip(SPLITS, COCO_IMAGES.values(), strict=True))
    write = staticmethod(write_coco)


class MpiiPoseTest(_BuilderTest):
    DATASET_CLASS = MpiiPose
    SPLITS: ClassVar = {"train": 3, "validation": 2}  # images
    write = staticmethod(write_mpii)


del _BuilderTest  # it has no dataset


def prepare(builder_class, manual_dir, data_dir, config="custom"):
    builder = builder_class(config=config, data_dir=data_dir)
    downloads = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=downloads)
    return builder


def test_records_of_coco_are_complete(tmp_path):
    write_coco(tmp_path)
    packed = tmp_path / "packed"
    packed.mkdir()
    zip_coco(tmp_path, packed)
    builder = prepare(CocoKeypoints, packed, tmp_path / "tfds")
    file = tmp_path / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(file.read_text())
    records = list(tfds.as_numpy(builder.as_dataset("train")))
    assert [record["image/id"] for record in records] == [i["id"] for i in content["images"]]
    persons = [
        {name: values[row] for name, values in record["objects"].items()}
        for record in records
        for row in range(len(record["objects"]["id"]))
    ]
    for person, expected in zip(persons, content["annotations"], strict=True):
        assert person["id"] == expected["id"]
        assert person["area"] == expected["area"]
        assert person["is_crowd"] == expected["iscrowd"]
        assert person["num_keypoints"] == expected["num_keypoints"]
        assert person["keypoints"].ravel().tolist() == expected["keypoints"]
        assert person["bbox_xywh"].tolist() == expected["bbox"]
        top, left, bottom, right = person["bbox"] * (SIZE * 2)
        np.testing.assert_allclose((left, top, right - left, bottom - top), expected["bbox"], 1e-5)
    for record, image in zip(records, content["images"], strict=True):
        assert (record["image/height"], record["image/width"]) == SIZE
        assert record["image/license"] == image["license"]
        for name in ("coco_url", "flickr_url", "date_captured"):
            assert record[f"image/{name}"].decode() == image[name]
        assert record["image/filename"].decode() == image["file_name"]


def test_records_of_mpii_are_complete(tmp_path):
    write_mpii(tmp_path)
    packed = tmp_path / "packed"
    packed.mkdir()
    pack_mpii(tmp_path, packed)
    builder = prepare(MpiiPose, packed, tmp_path / "tfds")
    found = {}
    for record in tfds.as_numpy(builder.as_dataset("validation")):
        persons = record["persons"]
        for row, number in enumerate(persons["id"].tolist()):
            fields = {name: persons[name][row].tolist() for name in persons if name != "id"}
            found[number] = {"image": record["image/filename"].decode(), **fields}
    expected = json.loads((tmp_path / "mpii_val.json").read_text())
    assert [found[number] for number in range(len(found))] == expected


@pytest.mark.parametrize(
    ("builder_class", "config", "write", "message"),
    [
        (CocoKeypoints, "2017", write_coco, "must have 118287 images.*Received: 5 images"),
        (MpiiPose, "v1", write_mpii, "must have 22246 persons.*Received: 5 persons"),
    ],
)
def test_official_files_have_official_numbers(tmp_path, builder_class, config, write, message):
    write(tmp_path / "files")
    with pytest.raises(ValueError, match=message):
        prepare(builder_class, tmp_path / "files", tmp_path / "tfds", config)


def test_other_numbers_of_instances_are_a_warning(caplog):
    coco.check_numbers("validation", 5_000, 6_352)
    assert not caplog.records
    coco.check_numbers("validation", 5_000, 6_351)
    assert "6351 persons with keypoints, officially 6352" in caplog.text


@pytest.mark.parametrize(
    ("builder_class", "message"),
    [
        (CocoKeypoints, "must contain train2017 or train2017.zip"),
        (MpiiPose, "must contain mpii_human_pose_v1.tar.gz, or the folder images"),
    ],
)
def test_missing_files_are_named(tmp_path, builder_class, message):
    (tmp_path / "other.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=message):
        prepare(builder_class, tmp_path, tmp_path / "tfds")


def test_other_categories_are_refused(tmp_path):
    write_coco(tmp_path)
    file = tmp_path / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["category_id"] = 18
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"must have persons alone.*categories \[1, 18\]"):
        prepare(CocoKeypoints, tmp_path, tmp_path / "tfds")


def test_tfds_build_from_the_command_line(tmp_path):
    """The command of tfds, without the other commands of its program, which need more packages."""
    write_mpii(tmp_path / "files")
    command = [
        *(sys.executable, "-m", "keras_shufflenet.datasets", "mpii_pose/custom"),
        *("--manual_dir", tmp_path / "files", "--data_dir", tmp_path / "tfds"),
        *("--file_format", "array_record"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tfds" / "mpii_pose" / "custom" / "1.0.0" / "dataset_info.json").is_file()


def test_the_command_line_says_in_a_line_what_is_missing(tmp_path):
    parse = cli_utils.make_flags_parser(build.Args, description="")
    words = ["mpii_pose", "--manual_dir", str(tmp_path), "--data_dir", str(tmp_path / "tfds")]
    with pytest.raises(SystemExit, match=r"^Error: `manual_dir` must contain .*Received: neither"):
        main(parse(["", *words]))
