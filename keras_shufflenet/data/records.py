"""Encoded images by the paths of files, or of records in a prepared dataset.

An image in a record has a path like that of a file, "tfds:…/coco/2017/1.1.0:train#17", so that
pipelines, evaluations and error messages treat both alike. Such paths are known in the process that
opened the dataset. No TensorFlow here.
"""

import os
from collections.abc import Callable
from pathlib import Path

SCHEME = "tfds:"
_ROW = "#"

_readers: dict[str, Callable[[int], bytes]] = {}


def open_records(name: str, read: Callable[[int], bytes]) -> None:
    """Let the paths of a dataset be read.

    Args:
        name: Name of a split; it replaces an open one of this name.
        read: Function from a row to the encoded image in it.
    """
    _readers[name] = read


def record_path(name: str, row: int) -> str:
    """Return the path of the image in a row of a split."""
    return f"{SCHEME}{name}{_ROW}{row}"


def is_record(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is that of an image in a record."""
    return os.fspath(path).startswith(SCHEME) and _ROW in os.fspath(path)


def image_exists(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is that of a file, or of a record in an open dataset."""
    if is_record(path):
        return _parse(os.fspath(path))[0] in _readers
    return os.path.isfile(path)


def absolute_path(path: str | os.PathLike[str]) -> str:
    """Return the absolute path of a file; that of a record is absolute."""
    return os.fspath(path) if is_record(path) else str(Path(path).absolute())


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of an image file, or of an image in a record.

    Raises:
        OSError: If they cannot be read.
    """
    if not is_record(path):
        return Path(path).read_bytes()
    name, row = _parse(os.fspath(path))
    if name not in _readers:
        raise FileNotFoundError(
            f"An image in a record must be of an open dataset, `data.tfds`. Received: {path}"
        )
    return _readers[name](row)


def _parse(path: str) -> tuple[str, int]:
    name, _, row = path.removeprefix(SCHEME).rpartition(_ROW)
    return name, int(row) if row.isdecimal() else -1
