"""Labeled images of a classifier: folders of classes, or a csv file. No TensorFlow."""

import csv
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_shufflenet._files import IMAGE_SUFFIXES
from keras_shufflenet._read_report import ReadReport

LABELS_FILE = "labels.csv"
UNKNOWN = -1  # class of an image without a label
NO_CLASS = (".", "__", "@")  # names of folders of systems and notebooks begin with these
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
COLUMNS = ("filename", "class_index")
_NAMED = 3  # files that a report names for each reason


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


def class_folders(source: Path) -> list[Path]:
    """Return the class folders in the order of the classes; none if a csv file lists the images."""
    if not source.is_dir() or (source / LABELS_FILE).is_file():
        return []
    return sorted(path for path in source.iterdir() if path.is_dir() and _is_class(path.name))


def _is_class(name: str) -> bool:
    return not name.startswith(NO_CLASS)


def _read_folders(root: Path) -> LabeledImages:
    folders = class_folders(root)
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
        images = [path for path in _files(folder) if _is_image(path, root, left_out)]
        if not images and index != UNKNOWN:
            raise ValueError(
                f"Every class folder must contain an image. Received: {folder} without images"
            )
        files += map(str, images)
        classes += [index] * len(images)
    beside = sorted(path for path in root.iterdir() if path.is_file()) if folders else []
    for path in beside:
        left_out.setdefault("beside the class folders", []).append(path.name)
    for path in sorted(root.iterdir()):
        if path.is_dir() and path not in folders:
            count = sum(1 for _ in _files(path))
            left_out.setdefault("in hidden folders", []).extend([path.name] * count)
    report = _report(root, len(files), left_out, "files")
    return LabeledImages(_checked(files, root), np.array(classes, np.int64), names, report)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders, in the order of their names."""
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = {name: os.path.realpath(os.path.join(parent, name)) for name in folders}
        folders[:] = sorted(n for n in folders if _is_class(n) and real[n] not in seen)
        seen.update(real[name] for name in folders)
        yield from (Path(parent, name) for name in sorted(names))


def _is_image(path: Path, root: Path, left_out: dict[str, list[str]]) -> bool:
    hidden = path.name.startswith(".")
    if path.suffix.lower() in IMAGE_SUFFIXES and not hidden:
        return True
    reason = "hidden" if hidden else "no images by their suffix"
    left_out.setdefault(reason, []).append(path.relative_to(root).as_posix())
    return False


def _report(source: Path, read: int, left_out: dict[str, list[str]], unit: str) -> ReadReport:
    counts = {}
    for reason, names in left_out.items():
        if names:
            some = list(Counter(names))
            more = ", …" if len(some) > _NAMED else ""
            counts[f"{reason} ({', '.join(some[:_NAMED])}{more})"] = len(names)
    unexpected = frozenset(name for name in counts if not name.startswith(("hidden", "in hidden")))
    report = ReadReport(str(source), read + sum(counts.values()), counts, unexpected, unit)
    report.log()
    return report


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
    return LabeledImages(
        _checked(files, source), classes, (), _report(source, len(rows), {}, "rows")
    )


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
