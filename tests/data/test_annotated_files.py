"""Names of images in annotation files of other machines and tools."""

import unicodedata
from pathlib import Path

import pytest
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.data.annotated_files import resolve_image_files


@pytest.fixture
def images(tmp_path):
    """Images in a folder and in two subfolders."""
    for name in ("0.jpg", "a b.jpg", "50%25.jpg", "caf\u00e9.jpg", "left/1.jpg", "right/1.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (160, 120)).save(path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("images\\0.jpg", "0.jpg"),
        ("..\\label\\0.jpg", "0.jpg"),
        ("C:\\data\\left\\1.jpg", "left/1.jpg"),
        ("left\\1.jpg", "left/1.jpg"),
        ("/home/someone/data/right/1.jpg", "right/1.jpg"),
        ("/data/local-files/?d=set/0.jpg", "0.jpg"),
        ("images\\\\1/0.jpg", "0.jpg"),
        ("a%20b.jpg", "a b.jpg"),
        ("images/a%20b.jpg", "a b.jpg"),
        ("50%25.jpg", "50%25.jpg"),
        (unicodedata.normalize("NFD", "caf\u00e9.jpg"), "caf\u00e9.jpg"),
        ("caf%C3%A9.jpg", "caf\u00e9.jpg"),
        ("./0.jpg", "0.jpg"),
    ],
)
def test_names_of_other_machines(images, name, file):
    assert resolve_image_files([name], images, "a.json") == [str(images / file)]


def test_absolute_paths_of_this_machine(images):
    path = str(images / "left" / "1.jpg")
    assert resolve_image_files([path], images / "right", "a.json") == [path]


def test_names_that_are_not_those_of_the_files_are_reported(images, caplog):
    resolve_image_files(["0.jpg", "left/1.jpg"], images, "a.json")
    assert caplog.text == ""
    resolve_image_files(["0.jpg", "x\\left\\1.jpg"], images, "a.json")
    assert "a.json: 1 of 2 images were found under other names than stated" in caplog.text
    assert repr("x\\left\\1.jpg") in caplog.text


def test_two_names_are_not_taken_for_one_file(images):
    with pytest.raises(ValueError, match=r"a\.json: every 'file_name' must .*'x/0\.jpg' and 'y/0"):
        resolve_image_files(["x/0.jpg", "y/0.jpg"], images, "a.json")


@pytest.mark.parametrize("name", ["2.jpg", "left", "..", "x" * 5000, "\ud800.jpg", "1.jpg", "/"])
def test_missing_files_are_named_with_the_file_of_annotations(images, name):
    message = r"Received: .*, 1 of 2 are missing, first .*'file_name' .* in a\.json\)$"
    with pytest.raises(FileNotFoundError, match=message):
        resolve_image_files(["0.jpg", name], images, "a.json")


def test_datasets_of_such_files(make_people, tmp_path, caplog):
    content = make_people(tmp_path, 3)
    expected = ks.data.load_keypoint_dataset(content, tmp_path)
    for image in content["images"]:
        image["file_name"] = "images\\" + image["file_name"]
    dataset = ks.data.load_keypoint_dataset(content, tmp_path)
    assert dataset.paths.tolist() == expected.paths.tolist()
    assert "3 of 3 images were found" in caplog.text
    both = ks.data.load_keypoint_dataset([content, content], tmp_path)
    assert (both.report.total, both.report.read, len(both)) == (6, 6, 6)
    assert Path(both.paths[0]).name == Path(both.paths[3]).name


@pytest.mark.parametrize("size", [(160, 120), (240, 320), (121, 160)])
def test_sizes_that_are_not_those_of_the_images(make_people, tmp_path, size):
    content = make_people(tmp_path, 3)
    for image in content["images"]:
        image["height"], image["width"] = size
    for person in content["annotations"]:
        person["bbox"] = [10, 10, 80, 80]
    message = rf"size that its annotations state, {size[1]} × {size[0]} pixels\. Received: "
    with pytest.raises(ValueError, match=message):
        ks.data.load_keypoint_dataset(content, tmp_path)
