"""Labeled images of a classifier: folders of classes, or a csv file. No TensorFlow."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.data.image_files import (
    HIDDEN,
    IN_HIDDEN_FOLDERS,
    SYSTEM_FOLDERS,
    count_files,
    find_image_files,
)

LABELS_FILE = "labels.csv"
UNKNOWN = -1  # class of an image without a label
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
COLUMNS = ("filename", "class_index")


class LabeledImages(NamedTuple):
    """N image files and their classes.

    Attributes:
        files: N paths.
        classes: (N,) int64, -1 for images without a class.
        names: Names of the classes, where folders give them.
        report: How many files were read, and which were left out.
    """

    files: list[str]
    classes: np.ndarray
    names: tuple[str, ...]
    report: ReadReport


def read_labeled_images(source: Path, image_dir: str | Path | None) -> LabeledImages:
    """Read the files and classes of a folder of class folders, a folder of images, or a csv file.

    Folders whose names begin with ".", "__" or "@" are left out. Images are found in subfolders of
    class folders, by suffixes in any case.

    Args:
        source: The folder or csv file; a folder with a file labels.csv stands for that file.
        image_dir: Image folder of the csv file; by default the folder `images` beside it.

    Raises:
        FileNotFoundError: If `source` or an image does not exist.
        ValueError: If the csv file is invalid, or a class or the folder has no image.
    """
    if (source / LABELS_FILE).is_file():
        source = source / LABELS_FILE
    if source.is_dir():
        return _read_folders(source)
    if not source.is_file():
        raise FileNotFoundError(
            "`source` must be an existing csv file, or a folder of images or of class folders. "
            f"Received: {source}"
        )
    return _read_csv(source, Path(image_dir) if image_dir is not None else source.parent / "images")


def _class_folders(source: Path) -> list[Path]:
    """Return the class folders in the order of the classes."""
    return sorted(
        path
        for path in source.iterdir()
        if path.is_dir() and not path.name.startswith(SYSTEM_FOLDERS)
    )


def _read_folders(root: Path) -> LabeledImages:
    folders = _class_folders(root)
    names = tuple(folder.name for folder in folders)
    if len(names) > 1 and {name.lower() for name in names} <= SPLITS:
        raise ValueError(
            "`source` must be a folder with one subfolder per class, not with one per split: pass "
            f"one of them. Received: {root} with the folders {', '.join(names)}"
        )
    left_out: dict[str, list[str]] = {}
    files: list[str] = []
    classes: list[int] = []
    for index, folder in list(enumerate(folders)) or [(UNKNOWN, root)]:
        images, others = find_image_files(folder)
        if not images and index != UNKNOWN:
            raise ValueError(
                f"Every class folder must contain an image. Received: {folder} without images"
            )
        files += map(str, images)
        classes += [index] * len(images)
        for reason, names_left in others.items():
            prefix = folder.relative_to(root)
            left_out.setdefault(reason, []).extend((prefix / n).as_posix() for n in names_left)
    for path in sorted(root.iterdir()):
        if path.is_dir() and folders and path not in folders:
            left_out.setdefault(IN_HIDDEN_FOLDERS, []).extend([path.name] * count_files(path))
        elif path.is_file() and folders:
            left_out.setdefault("beside the class folders", []).append(path.name)
    left_out = {reason: some for reason, some in left_out.items() if some}
    report = ReadReport.of_files(str(root), len(files), left_out, (HIDDEN, IN_HIDDEN_FOLDERS))
    report.log()
    return LabeledImages(_checked(files, root), np.array(classes, np.int64), names, report)


def _read_csv(source: Path, folder: Path) -> LabeledImages:
    rows = _rows(source)
    try:
        files = [str(folder / row["filename"]) for row in rows]
        classes = np.array([int(row["class_index"]) for row in rows], np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            "Every row of a csv file must have the columns `filename` and `class_index` (an "
            f"integer). Received: {source} ({error!r})"
        ) from error
    report = ReadReport(str(source), len(rows), unit="rows")
    report.log()
    return LabeledImages(_checked(files, source), classes, (), report)


def _rows(source: Path) -> list[dict[str, str]]:
    """Read a csv file with commas, semicolons or tabs, with or without a byte order mark."""
    try:
        with source.open(newline="", encoding="utf-8-sig") as stream:
            header = stream.readline()
            stream.seek(0)
            delimiter = max(",;\t", key=header.count)
            return list(csv.DictReader(stream, delimiter=delimiter, skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            "`source` must be a folder, or a csv file in UTF-8 with the columns `filename` and "
            f"`class_index`. Received: {source} ({error})"
        ) from error


def _checked(files: list[str], source: Path) -> list[str]:
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"Every image of {source} must exist. Received: {len(missing)} of {len(files)} are "
            f"missing, first {missing[0]}"
        )
    if not files:
        raise ValueError(
            f"`source` must contain at least one image. Received: {source} without images"
        )
    return files
