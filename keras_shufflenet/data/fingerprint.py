"""A hash of a dataset, by which a training that is resumed knows that its data have not changed."""

import dataclasses
import os
from hashlib import sha256
from typing import Any

import numpy as np

from keras_shufflenet.data.records import is_record

PATHS = "paths"
LEFT_OUT = ("report",)  # says how the data were read
DIGITS = 16


def fingerprint(dataset: Any) -> str:
    """Return a hash of the annotations of a dataset, and of the names and sizes of its images.

    The folder of the images does not count, nor what is in a file of the same size.

    Args:
        dataset: A dataclass of arrays, as `data.load_keypoint_dataset` returns it.
    """
    digest = sha256()
    _update(digest, dataset)
    return digest.hexdigest()[:DIGITS]


def _update(digest: Any, value: Any) -> None:
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            each = getattr(value, field.name)
            if field.name == PATHS:
                _update_files(digest, each)
            elif field.name not in LEFT_OUT:
                digest.update(field.name.encode())
                _update(digest, each)
    elif isinstance(value, np.ndarray) and value.dtype.kind not in "OU":
        digest.update(f"{value.shape} {value.dtype}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, (list, tuple)):
        for each in value:
            _update(digest, each)
    else:
        text = value.tolist() if isinstance(value, np.ndarray) else value
        digest.update(repr(text).encode())


def _update_files(digest: Any, paths: np.ndarray) -> None:
    sizes: dict[str, int] = {}
    for path in paths.tolist():
        if path not in sizes:
            sizes[path] = -1 if is_record(path) else os.stat(path).st_size
        digest.update(f"{os.path.basename(path)} {sizes[path]}\n".encode())
