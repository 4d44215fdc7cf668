"""Labeled images of a classifier: folders of classes, or a csv file. No TensorFlow."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_shufflenet._read_report import LOGGER, ReadReport
from keras_shufflenet.data.annotated_files import resolve_image_files
from keras_shufflenet.data.image_files import (
    HIDDEN,
    IN_HIDDEN_FOLDERS,
    SYSTEM_FOLDERS,
    count_files,
    find_image_files,
)
from keras_shufflenet.data.labels_csv import FILENAME, UNKNOWN, read_labels_csv

LABELS_FILE = "labels.csv"
_SPLIT = re.compile(r"(train(ing)?|val(id|idation)?|test(ing)?|dev|eval|unlabell?ed)[-_ ]?[0-9]*")


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
        image_dir: Image folder of the csv file; by default the folder `images` beside it, or if
            there is none, the one that the file is in.

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
    if image_dir is None:
        beside = source.parent / "images"
        image_dir = beside if beside.is_dir() else source.parent
    return _read_csv(source, Path(image_dir))


def _class_folders(source: Path) -> list[Path]:
    """Return the class folders in the order of the classes."""
    return sorted(
        path
        for path in source.iterdir()
        if path.is_dir() and not path.name.startswith(SYSTEM_FOLDERS)
    )


def _read_folders(root: Path) -> LabeledImages:
    folders = _class_folders(root)
    names = tuple(unicodedata.normalize("NFC", folder.name) for folder in folders)
    _check_splits(root, folders)
    left_out: dict[str, list[str]] = {}
    files: list[str] = []
    classes: list[int] = []
    for index, folder in list(enumerate(folders)) or [(UNKNOWN, root)]:
        images, others = find_image_files(folder)
        if not images and index != UNKNOWN:
            seen = "".join(f", {len(paths)} {reason}" for reason, paths in others.items())
            raise ValueError(
                f"Every class folder must contain an image. Received: {folder} without images{seen}"
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
    _check_any(files, root)
    _warn_of_depth(root, folders, files)
    report = ReadReport.of_files(str(root), len(files), left_out, (HIDDEN, IN_HIDDEN_FOLDERS))
    report.log()
    return LabeledImages(files, np.array(classes, np.int64), names, report)


def _check_splits(root: Path, folders: Sequence[Path]) -> None:
    """Refuse folders of splits, which hold the folders of the classes."""
    are_splits = [_SPLIT.fullmatch(folder.name.lower()) is not None for folder in folders]
    deep = len(folders) > 1 or any(len(_class_folders(folder)) > 1 for folder in folders)
    if folders and all(are_splits) and deep:
        raise ValueError(
            "`source` must be a folder with one subfolder per class, not with one per split: pass "
            f"one of them. Received: {root} with the folders "
            f"{', '.join(folder.name for folder in folders)}"
        )


def _warn_of_depth(root: Path, folders: Sequence[Path], files: Sequence[str]) -> None:
    """Warn if no image lies in a class folder itself, but in subfolders, which may be the classes.

    Archives that are unpacked into a folder of their name are an example.
    """
    parents = {Path(file).parent for file in files}
    if folders and parents.isdisjoint(folders) and len(parents) > len(folders):
        LOGGER.warning(
            "%s: all images are in subfolders of the class folders %s; if those are the classes, "
            "pass the folder that they are in",
            root,
            ", ".join(folder.name for folder in folders[:3]) + (", …" if len(folders) > 3 else ""),
        )


def _read_csv(source: Path, folder: Path) -> LabeledImages:
    names, classes, empty = read_labels_csv(source)
    unique = list(dict.fromkeys(names))
    found = resolve_image_files(unique, folder, str(source), FILENAME)
    paths = dict(zip(unique, found, strict=True))
    _check_any(names, source)
    left_out = {"empty": empty} if empty else {}
    report = ReadReport(str(source), len(names) + empty, left_out, unit="rows")
    report.log()
    return LabeledImages([paths[name] for name in names], classes, (), report)


def _check_any(files: Sequence[Any], source: Path) -> None:
    if not files:
        raise ValueError(
            f"`source` must contain at least one image. Received: {source} without images"
        )
