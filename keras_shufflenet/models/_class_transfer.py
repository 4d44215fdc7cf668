"""From the classes of a detector's file to those of a model, by name.

The last layers of a detector have outputs for the classes, and NanoDet's also for the boxes. With
pretrained weights the boxes are those of the file, and so are the classes of the same names.
"""

import json
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_shufflenet._checks import is_line
from keras_shufflenet._layer_names import CLASS_NAMES, HEAD_PREFIX
from keras_shufflenet._read_report import LOGGER
from keras_shufflenet.detection import coco_classes
from keras_shufflenet.detection.priors import BOX_CHANNELS
from keras_shufflenet.keypoints.keypoint_names import plain_name

CONFIG = "config.json"  # in a `.keras` file
MAX_CONFIG = 64 * 2**20  # bytes
NAMED = 5  # classes that a message names


class ClassTransfer:
    """Which outputs of a file's last layers are those of a model; for `weights.load`.

    Args:
        names: Names of the model's classes; empty if it has none.
        count: Number of the model's classes.
        source: The file, or the name of published weights.
    """

    def __init__(self, names: Sequence[str], count: int, source: str | os.PathLike[str]) -> None:
        self._names = coco_classes.class_names(tuple(names), count)
        self._has_names = bool(names) or count == len(coco_classes.NAMES)
        self._source = source
        self._rows: list[int | None] | None = None

    def __call__(self, layer: str, outputs: int, saved_outputs: int) -> list[int | None]:
        """Return the index in the file of each output, None for new ones.

        Args:
            layer: Name of the layer.
            outputs: Number of its outputs in the model.
            saved_outputs: Number of its outputs in the file.
        """
        columns = BOX_CHANNELS if layer.startswith(f"{HEAD_PREFIX}level") else 0
        anchors = (outputs - columns) // len(self._names)
        saved = (saved_outputs - columns) // anchors
        self._rows = self._match(saved)
        rows = [
            None if row is None else anchor * saved + row
            for anchor in range(anchors)
            for row in self._rows
        ]
        return rows + [saved_outputs - columns + column for column in range(columns)]

    def _match(self, saved: int) -> list[int | None]:
        """Return the index of each class among the file's."""
        theirs = self._saved_names(saved)
        if not theirs or not self._has_names:
            same = saved == len(self._names)
            return [row if same else None for row in range(len(self._names))]
        index = {plain_name(name): row for row, name in enumerate(theirs)}
        return [index.get(plain_name(name)) for name in self._names]

    def _saved_names(self, count: int) -> tuple[str, ...]:
        names = saved_class_names(Path(self._source).expanduser())
        if len(names) == count:
            return names
        return coco_classes.NAMES if count == len(coco_classes.NAMES) else ()

    def report(self) -> None:
        """Say which classes are the file's: a warning if any are new."""
        if self._rows is None:
            return
        found = [name for name, row in zip(self._names, self._rows, strict=True) if row is not None]
        new = [name for name, row in zip(self._names, self._rows, strict=True) if row is None]
        if new:
            which = f"{_listed(new)} of the classes are" if self._has_names else "the classes are"
            kept = f"{_listed(found)} among them" if found else "with the boxes of the head"
            warnings.warn(
                f"The file has other classes than the model: {which} new, with random weights; all "
                f"other outputs and layers were loaded, {kept}. "
                f"Received: {os.fspath(self._source)!r}",
                stacklevel=2,
            )
        else:
            LOGGER.info("%s: loaded with the classes %s", self._source, _listed(found))


def saved_class_names(path: Path) -> tuple[str, ...]:
    """Return the names of the classes that a `.keras` file carries; empty for another file."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return ()
    with zipfile.ZipFile(path) as archive:
        if CONFIG not in archive.namelist() or archive.getinfo(CONFIG).file_size > MAX_CONFIG:
            return ()
        content = archive.read(CONFIG)
    try:
        found: Any = next(_seeds(json.loads(content)), None)
    except (ValueError, RecursionError):
        return ()
    is_names = isinstance(found, list) and all(map(is_line, found))
    return tuple(found) if is_names else ()


def _seeds(config: Any) -> Iterator[Any]:
    """Yield the data of layers that hold names of classes."""
    if isinstance(config, dict):
        if config.get("name") == CLASS_NAMES and "seed" in config:
            yield config["seed"]
        for value in config.values():
            yield from _seeds(value)
    elif isinstance(config, list):
        for value in config:
            yield from _seeds(value)


def _listed(names: Sequence[str]) -> str:
    more = ", …" if len(names) > NAMED else ""
    return ", ".join(repr(name) for name in names[:NAMED]) + more
