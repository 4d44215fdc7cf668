"""Inputs of classifiers against the reference, and errors about invalid files."""

import csv
import hashlib
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_shufflenet as ks
from keras_shufflenet.data import resizing
from keras_shufflenet.data.class_folders import read_labeled_images
from keras_shufflenet.data.elements import elements
from keras_shufflenet.data.pipeline import file_errors


def write_labels(path, rows, columns=("filename", "class_index")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture(scope="module")
def golden_images(golden_pose, synth, tmp_path_factory):
    """The reference's images as lossless files, each with the sizes that it is prepared in."""
    folder = tmp_path_factory.mktemp("golden")
    numbers = golden_pose("resize")["images"]
    for n, (seed, height, width, _, _) in enumerate(numbers):
        pixels = np.floor(synth.synth_input(seed, (3, height, width), 0, 256)).astype(np.uint8)
        Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(folder / f"{n}.png")
    return folder, numbers


def transformed(golden_images, n, resize_method):
    folder, numbers = golden_images
    labels = write_labels(folder / f"{n}.csv", [(f"{n}.png", 7)])
    _, _, _, resize, crop = (int(number) for number in numbers[n])
    data = ks.data.classification(
        labels, folder, resize_size=resize, crop_size=crop, resize_method=resize_method
    )
    [(image, label)] = data.as_numpy_iterator()
    assert (image.dtype, image.shape, label.tolist()) == (np.float32, (1, crop, crop, 3), [7])
    return image[0]


@pytest.mark.parametrize("n", range(12))
def test_torchvision_preparation(golden_pose, golden_images, n):
    image = transformed(golden_images, n, "torchvision")
    digest = hashlib.sha256(image.astype(np.uint8).tobytes()).hexdigest()
    assert digest == str(golden_pose("resize")[f"torchvision_{n}_sha256"])


@pytest.mark.parametrize("resize", [resizing.resize_and_crop, resizing.resize_and_crop_megvii])
@pytest.mark.parametrize("size", [(200_000, 1), (1, 20_000)])
def test_of_very_long_images_only_the_center_is_resized(resize, size):
    """All of it would be 39 GB."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[size[1] // 2 :, size[0] // 2 :] = 200  # an edge in the center
    crop = resize(Image.fromarray(pixels), 256, (224, 224))
    assert crop.shape == (224, 224, 3)  # less than a pixel of the image
    found = [crop[0, 0].tolist(), crop[112, 112].tolist(), crop[-1, -1].tolist()]
    np.testing.assert_allclose(found, [[12] * 3, [100] * 3, [188] * 3], atol=2)


@pytest.mark.parametrize("size", [(90, 31), (23, 60), (40, 40)])
def test_the_center_alone_is_what_is_cropped(size, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    whole = resizing.resize_and_crop(Image.fromarray(pixels), 28, (24, 32))
    monkeypatch.setattr(resizing, "MOST_PIXELS", 0)
    center = resizing.resize_and_crop(Image.fromarray(pixels), 28, (24, 32))
    assert np.abs(whole.astype(int) - center).max() <= 2  # both passes round


@pytest.mark.parametrize("n", range(12))
def test_megvii_preparation(golden_pose, golden_images, n):
    golden, image = golden_pose("resize"), transformed(golden_images, n, "megvii")
    if f"megvii_{n}_index" in golden:
        row, column = golden[f"megvii_{n}_index"].T
        sampled = image[row, column]
    else:
        sampled = image
    expected = golden[f"megvii_{n}_pixels"].astype(np.float32)
    np.testing.assert_allclose(sampled, expected, atol=1)
    assert (sampled == expected).mean() > 0.99
    # a hundredth of the pixels may be off by 1
    np.testing.assert_allclose(image.mean((0, 1)), golden[f"megvii_{n}_mean"], atol=0.01)


@pytest.fixture
def classes(tmp_path):
    """Two class folders with two images of one color each."""
    for index, name in enumerate(("n01", "n02")):
        (tmp_path / name).mkdir()
        for number in range(2):
            color = (100 * index, 50 * number, 9)
            Image.new("RGB", (50, 40), color).save(tmp_path / name / f"{number}.png")
    (tmp_path / "n01" / "notes.txt").write_text("not an image")
    return tmp_path


def test_folders_of_classes(classes):
    data = ks.data.classification(classes, resize_size=36, crop_size=(32, 24), batch_size=3)
    batches = list(data.as_numpy_iterator())
    assert [len(images) for images, _ in batches] == [3, 1]
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert images.shape == (4, 32, 24, 3)
    assert labels.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(
        images[:, 5, 5], [[0, 0, 9], [0, 50, 9], [100, 0, 9], [100, 50, 9]]
    )


def test_grayscale_and_cmyk_images(tmp_path):
    for name, mode, color in (("a.jpg", "L", 90), ("b.jpg", "CMYK", (0, 0, 0, 165))):
        Image.new(mode, (40, 40), color).save(tmp_path / name)
    labels = write_labels(tmp_path / "labels.csv", [("a.jpg", 0), ("b.jpg", 1)])
    data = ks.data.classification(labels, tmp_path, resize_size=32, crop_size=32)
    [(images, _)] = data.as_numpy_iterator()
    # half a step of the DC coefficient is 0.5, conversion to and from YCbCr rounds twice
    np.testing.assert_allclose(images, 90, atol=1.5)


@pytest.mark.parametrize("contents", [b"", b"<html></html>", "cut"])
def test_broken_images_are_named(classes, contents):
    file = classes / "n02" / "1.png"
    file.write_bytes(file.read_bytes()[:-30] if contents == "cut" else contents)
    with pytest.raises(tf.errors.OpError, match=r"Received: [^\n]*1\.png"):
        list(ks.data.classification(classes, resize_size=36, crop_size=32))


def test_fit_and_export_name_a_broken_image_in_one_line(classes):
    (classes / "n02" / "1.png").write_bytes(b"<html></html>")
    data = ks.data.classification(classes, resize_size=36, crop_size=32)
    inputs = keras.Input((32, 32, 3))
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    reason = r"^An image must be [^\n]* Received: [^\n]*1\.png$"
    with pytest.raises(ValueError, match=reason), file_errors():
        model.fit(data, shuffle=False, verbose=0)
    with pytest.raises(ValueError, match=reason):
        list(elements(data))


def test_missing_files(classes, tmp_path):
    with pytest.raises(FileNotFoundError, match="csv file, or a folder"):
        ks.data.classification(tmp_path / "nowhere.csv")
    labels = write_labels(tmp_path / "labels.csv", [("a.jpg", 0)])
    with pytest.raises(FileNotFoundError, match=r"1 of 1 are missing, first \S*a\.jpg"):
        ks.data.classification(labels)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ([("a.png", 1)], ("file", "class_index")),
        ([("a.png", 1)], ("filename", "label")),
        ([("a.png", "cat")], ("filename", "class_index")),
        ([("a.png",)], ("filename", "class_index")),
    ],
)
def test_csv_with_missing_fields(tmp_path, rows, columns):
    labels = write_labels(tmp_path / "labels.csv", rows, columns)
    with pytest.raises(ValueError, match=r"columns `filename` and `class_index`.*Received: "):
        ks.data.classification(labels)


def test_no_images(tmp_path):
    with pytest.raises(ValueError, match="at least one image"):
        ks.data.classification(write_labels(tmp_path / "labels.csv", []))
    (tmp_path / "folders").mkdir()
    with pytest.raises(ValueError, match="at least one image"):
        ks.data.classification(tmp_path / "folders")


@pytest.mark.parametrize("wrong", [{"resize_size": 0}, {"crop_size": 0}, {"crop_size": (8, -1)}])
def test_wrong_sizes(classes, wrong):
    with pytest.raises(ValueError, match=rf"must be .*positive.*Received: {next(iter(wrong))}="):
        ks.data.classification(classes, **wrong)


def test_unknown_resize_method(classes):
    with pytest.raises(
        ValueError, match=r"'torchvision', 'megvii'.*Received: resize_method='best'"
    ):
        ks.data.classification(classes, resize_method="best")


def test_images_without_classes_are_for_calibration_only(tmp_path):
    for name in "ab":
        Image.new("RGB", (40, 40)).save(tmp_path / f"{name}.png")
    _, classes = next(iter(ks.data.classification(tmp_path, crop_size=32)))
    assert classes.numpy().tolist() == [-1, -1]
    with pytest.raises(ValueError, match=r"one subfolder per class.*Received: source="):
        ks.data.classification(tmp_path, training=True)


def test_folders_that_are_no_classes(tmp_path, caplog):
    """Folders of notebooks and systems do not shift labels; pictures in subfolders are found."""
    for name in ("cat/1.JPG", "cat/deep/er/2.tif", "cat/@eaDir/1.jpg", "dog/1.GIF", "dog/._1.gif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        suffix = name.rpartition(".")[2].upper()
        kind = {"JPG": "JPEG", "TIF": "TIFF"}.get(suffix, suffix)
        Image.new("RGB", (40, 40)).save(tmp_path / name, kind)
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"")
    for name in ("dog/notes.txt", "dog/model.bin", "readme.md"):
        (tmp_path / name).write_text("no image")
    with caplog.at_level("INFO", "keras_shufflenet"):
        data = ks.data.classification(tmp_path, crop_size=32)
    assert data.class_names == ("cat", "dog")
    assert np.concatenate([classes for _, classes in data]).tolist() == [0, 0, 1]
    assert (data.report.read, data.report.total) == (3, 11)
    assert data.report.left_out == {
        "hidden (dog/._1.gif)": 1,
        "with a suffix that is not of an image (dog/model.bin, dog/notes.txt)": 2,
        "beside the class folders (readme.md)": 1,
        "in hidden folders (cat/@eaDir, .ipynb_checkpoints, @eaDir, …)": 4,
    }
    [record] = [record for record in caplog.records if record.name == "keras_shufflenet"]
    assert record.getMessage() == str(data.report)
    assert record.levelname == "WARNING"


def test_a_class_without_images_is_an_error(classes):
    (classes / "n03").mkdir()
    with pytest.raises(ValueError, match=r"must contain an image\. Received: \S*n03 without"):
        ks.data.classification(classes)


def test_a_folder_of_splits_is_no_folder_of_classes(tmp_path):
    for name in ("train/cat", "val/cat"):
        (tmp_path / name).mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(tmp_path / name / "1.png")
    with pytest.raises(ValueError, match=r"pass one of them\. Received: .*folders train, val"):
        ks.data.classification(tmp_path)


@pytest.mark.parametrize(
    "contents",
    [
        b"\xef\xbb\xbffilename,class_index\r\na.png,5\r\n",
        b"filename;class_index\na.png;5\n",
        b"filename\tclass_index\na.png\t5\n",
        b"filename, class_index\na.png, 5\n",
        b"sep=;\r\nfilename;class_index;note\r\na.png;5.0;\r\n;;\r\n;;\r\n",
        b" Filename ,class_index \na.png,5\n",
        "filename\tclass_index\na.png\t5\n".encode("utf-16"),
        b"filename,class_index\rphotos\\a.png,5\r",
        b'filename,class_index,note\na.png,5,"a ""quoted"" note, with a comma"\n',
    ],
)
def test_csv_files_of_spreadsheets(tmp_path, contents):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_bytes(contents)
    [(_, classes)] = ks.data.classification(tmp_path, crop_size=32)  # there is no folder `images`
    assert classes.numpy().tolist() == [5]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (b'a.png,0,"5 inch\na.png,1,x\na.png,1,6" tall\n', "in line 2 of"),
        (b'a.png,0,"5 inch\na.png,0,6 inch"\n', "closed in another line, in line 3 of"),
        (b"a.png,0,\na.png,1,\n", r"'a\.png' with the classes 0 and 1 in line 3 of"),
        (b"a.png,-3,\n", "`class_index` -3 in line 2 of"),
        (b"a.png,1_0,\n", "`class_index` '1_0' in line 2 of"),
        ("a.png,٣,\n".encode(), "`class_index` '٣' in line 2 of"),
        (b"a.png,0.5,\n", r"`class_index` '0\.5' in line 2 of"),
        (b"a.png\n", "`class_index` None in line 2 of"),
        (b" ,1,\n", "no `filename` in line 2 of"),
    ],
)
def test_rows_that_cannot_be_meant(tmp_path, rows, reason):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_bytes(b"filename,class_index,note\n" + rows)
    with pytest.raises(ValueError, match=rf"integer >= 0 .* Received: .*{reason} \S*labels\.csv"):
        ks.data.classification(tmp_path, tmp_path, crop_size=32)


@pytest.mark.parametrize("contents", [b"\xff\xd8\xff\xe0\0\x10JFIF", b"PK\3\4\x90xlsx"])
def test_other_files_are_no_csv(tmp_path, contents):
    (tmp_path / "cat.jpg").write_bytes(contents)
    with pytest.raises(ValueError, match=r"csv file in UTF-8 with .* Received: \S*cat\.jpg"):
        ks.data.classification(tmp_path / "cat.jpg")


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 40)).save(path)


def test_a_class_of_heic_files_says_so(tmp_path):
    picture(tmp_path / "cat" / "1.png")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "IMG_1.HEIC").write_bytes(b"")
    with pytest.raises(ValueError, match=r"dog without images, 1 HEIC, which must be converted"):
        ks.data.classification(tmp_path)


@pytest.mark.parametrize(
    "folders",
    [("train2017/cat", "train2017/dog", "val2017/cat"), ("train/cat", "train/dog")],
)
def test_folders_of_splits_are_refused(tmp_path, folders):
    for folder in folders:
        picture(tmp_path / folder / "1.png")
    with pytest.raises(ValueError, match=r"pass one of them\. Received: .* folders train"):
        ks.data.classification(tmp_path)


def test_a_folder_around_the_class_folders_is_said(tmp_path, caplog):
    for name in ("cat", "dog"):
        picture(tmp_path / "photos" / name / "1.png")
    assert ks.data.classification(tmp_path, crop_size=32).class_names == ("photos",)
    assert "all images are in subfolders of the class folders photos; if" in caplog.text


def test_names_are_composed(tmp_path):
    """macOS writes accents as characters of their own."""
    for name in ("Ga\u0308nse", "Rose"):
        picture(tmp_path / name / "1.png")
    assert ks.data.classification(tmp_path, crop_size=32).class_names == ("G\u00e4nse", "Rose")


def test_a_name_in_another_encoding_is_shown(tmp_path):
    picture(tmp_path / "cat" / "1.png")
    other = os.fsdecode(os.fsencode(tmp_path / "cat") + b"/\xe9.png")
    Path(tmp_path / "cat" / "1.png").rename(other)
    with pytest.raises(ValueError, match=r"must be UTF-8\. Received: b'.*cat/\\xe9\.png'"):
        ks.data.classification(tmp_path)


def test_a_subfolder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    picture(tmp_path / "cat" / "1.png")
    picture(tmp_path / "cat" / "more" / "2.png")
    scan = os.scandir

    def refuse(path):  # as without permission; root has every permission
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="more"):
        read_labeled_images(tmp_path, None)
