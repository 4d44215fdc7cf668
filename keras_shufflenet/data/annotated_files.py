r"""Image files by the names that annotation files give them, written in many ways.

A name is first taken as it is. If there is no such file in the image folder, separators of Windows,
escapes of URLs and the two Unicode forms of accents are tried, then the ends of paths of another
machine: of `C:\data\train\1.jpg` first `train/1.jpg`, then `1.jpg`.
"""

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from keras_shufflenet._read_report import LOGGER
from keras_shufflenet.data.image_files import displayed_and_stored_size
from keras_shufflenet.data.records import image_exists, is_record

Folder = str | Path | None  # None for images in records
CHECKED_IMAGES = 16  # whose sizes are compared with those of the annotations before all are read
_NAMED = 3  # names that a message lists


def pair_with_folders(
    annotations: Any, image_dir: Folder | Sequence[Folder]
) -> list[tuple[Any, Folder]]:
    """Return each of one or several annotation files with its image folder.

    Args:
        annotations: A file, or a list of them.
        image_dir: A folder or None for all files, or a list with one for each.

    Raises:
        ValueError: If there is no file, or another number of folders.
    """
    files = list(annotations) if isinstance(annotations, list | tuple) else [annotations]
    folders: list[Folder]
    if image_dir is None or isinstance(image_dir, str | Path):
        folders = [image_dir] * len(files)
    else:
        folders = list(image_dir)
    if not files or len(folders) != len(files):
        raise ValueError(
            "`image_dir` must be a folder, or a list with one folder for each annotation file. "
            f"Received: {len(files)} annotation files, {len(folders)} folders"
        )
    return list(zip(files, folders, strict=True))


def check_image_sizes(paths: Sequence[str], sizes: np.ndarray) -> None:
    """Compare the sizes of a few images with those that the annotations state.

    Args:
        paths: N image files.
        sizes: (N, 2) as (height, width) in pixels.

    Raises:
        ValueError: If a size differs.
    """
    for index in range(0, len(paths), max(1, len(paths) // CHECKED_IMAGES)):
        _check_size(paths[index], sizes[index])


def _check_size(path: str, size: np.ndarray) -> None:
    try:
        allowed = displayed_and_stored_size(path)
    except ValueError:
        return  # the error comes when the image is read
    if tuple(size) not in allowed:
        raise ValueError(
            f"An image must have the size that its annotations state, {size[1]} × {size[0]} "
            f"pixels. Received: {allowed[0][1]} × {allowed[0][0]} pixels in {path}"
        )


def resolve_image_files(
    names: Sequence[str], image_dir: Folder, source: str, field: str = "file_name"
) -> list[str]:
    """Return the path of the image file for each of N different names.

    The log says which names are not those of the files.

    Args:
        names: Names in the annotation file.
        image_dir: Image folder; None if all images are in records.
        source: Name of the annotation file, for messages.
        field: Its field of the names, for messages.

    Raises:
        FileNotFoundError: If files do not exist.
        ValueError: If two names lead to the same file, or there is no folder.
    """
    if image_dir is None:
        _check_records(names, source)
    folder = Path(image_dir or "")
    paths = [_find(name, folder) for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if path is None]
    if missing:
        raise FileNotFoundError(
            f"`image_dir` must contain every image of the annotations. Received: {image_dir}, "
            f"{len(missing)} of {len(names)} are missing, first {str(folder / missing[0])!r} "
            f"({field!r} {missing[0]!r} in {source})"
        )
    found = [path for path in paths if path is not None]
    renamed = [
        (name, path)
        for name, path in zip(names, found, strict=True)
        if path not in (name, str(folder / name))
    ]
    if renamed:
        _check_different(names, found, source, field)
        listed = ", ".join(f"{name!r} is {path}" for name, path in renamed[:_NAMED])
        LOGGER.warning(
            "%s: %d of %d images were found under other names than stated: %s%s",
            *(source, len(renamed), len(names), listed, ", …" if len(renamed) > _NAMED else ""),
        )
    return found


def _check_records(names: Sequence[str], source: str) -> None:
    if files := [name for name in names if not is_record(name)]:
        raise ValueError(
            f"`image_dir` must be the image folder of the annotations. Received: image_dir=None, "
            f"{len(files)} image files in {source}"
        )


def _check_different(names: Sequence[str], paths: Sequence[str], source: str, field: str) -> None:
    """Raise ValueError if the ends of different names are the same."""
    first: dict[str, str] = {}
    for name, path in zip(names, paths, strict=True):
        other = first.setdefault(path, name)
        if other != name:
            raise ValueError(
                f"{source}: every {field!r} must lead to a file of its own in `image_dir`. "
                f"Received: {other!r} and {name!r}, both of which are {path}"
            )


def _find(name: str, image_dir: Path) -> str | None:
    if is_record(name):
        return name if image_exists(name) else None
    for candidate in _candidates(name):
        path = str(image_dir / candidate)
        if os.path.isfile(path):
            return path
    return None


def _candidates(name: str) -> Iterator[str]:
    yield name
    spellings = dict.fromkeys(
        unicodedata.normalize(form, spelling)
        for spelling in (name.replace("\\", "/"), unquote(name).replace("\\", "/"))
        for form in ("NFC", "NFD")
    )
    for spelling in spellings:
        yield spelling
        parts = [part for part in re.split("/+", spelling) if part not in ("", ".", "..")]
        for start in range(len(parts)):
            yield "/".join(parts[start:])
