"""Records of annotated or detected persons, and checked access to annotation files in JSON."""

import gzip
import json
import math
import re
import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Real
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np

from keras_shufflenet._read_report import ReadReport
from keras_shufflenet._types import Size
from keras_shufflenet.keypoints.boxes import BBOX_PADDING, box_to_center_scale
from keras_shufflenet.keypoints.skeletons import Skeleton

_SHOWN = 80  # characters of a value in a message
MAX_COORDINATE = 1e5  # pixels; no image is larger
_INTEGERS = range(-(2**63), 2**63)  # those of NumPy's int64
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


@dataclass(frozen=True, eq=False)
class PoseInstances:
    """N persons with K keypoints each, as arrays with one row per person.

    Attributes:
        skeleton: The K keypoints.
        image_id: (N,) int64.
        file_name: (N,) strings, relative to the image folder.
        image_size: (N, 2) int64 as (height, width); 0 where the annotation file does not state it.
        bboxes: (N, 4) float64 as (x, y, width, height), without padding.
        bbox_scores: (N,) float64, the detector's scores; 1 for annotated persons.
        keypoints: (N, K, 2) float32, 0-based image pixels; 0 for detections.
        keypoints_visible: (N, K) float32, 1 for labeled keypoints (occluded ones too), else 0;
            between 0 and 1 for keypoints that a network predicted, as sure as it is.
        areas: (N,) float64, the annotated areas in square pixels, or those of the bounding boxes.
        report: How many entries of the file were read, and which were left out.
    """

    skeleton: Skeleton
    image_id: np.ndarray
    file_name: np.ndarray
    image_size: np.ndarray
    bboxes: np.ndarray
    bbox_scores: np.ndarray
    keypoints: np.ndarray
    keypoints_visible: np.ndarray
    areas: np.ndarray
    report: ReadReport = field(default_factory=lambda: ReadReport("", 0))

    def __len__(self) -> int:
        """Return N."""
        return len(self.image_id)

    def select(self, rows: np.ndarray | slice) -> Self:
        """Return the instances of some rows, given as indices, a mask or a slice."""
        columns = {name: getattr(self, name)[rows] for name in self._columns()}
        return type(self)(skeleton=self.skeleton, report=self.report, **columns)

    @classmethod
    def concatenate(cls, parts: Iterable[Self]) -> Self:
        """Return the instances of several files, which must have the same skeleton."""
        parts = list(parts)
        if len(parts) == 1:
            return parts[0]
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in cls._columns()
        }
        report = ReadReport.merge(part.report for part in parts)
        return cls(skeleton=parts[0].skeleton, report=report, **columns)

    @classmethod
    def _columns(cls) -> list[str]:
        return [column.name for column in fields(cls) if column.name not in ("skeleton", "report")]

    def center_scale(
        self, input_size: Size, padding: float = BBOX_PADDING
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return center (N, 2) and scale (N, 2) of the padded boxes for a network's input."""
        return box_to_center_scale(self.bboxes, input_size, padding)


@runtime_checkable
class AnnotationSource(Protocol):
    """What stands for a JSON file: a dataset of tensorflow-datasets, from `data.tfds`.

    Attributes:
        place: What it is called in messages.
    """

    place: str

    @property
    def annotations(self) -> Any:
        """The content of a JSON file, whose names of images are paths."""


class JSONObject:
    """A JSON object and where it was found, with checked access to its fields.

    Every method that reads a field raises a ValueError with file, entry and field if the field is
    missing or has another type.
    """

    def __init__(self, value: Any, place: str) -> None:
        """Wrap a value.

        Raises:
            ValueError: If the value is not a JSON object.
        """
        if not isinstance(value, dict):
            raise ValueError(f"{place} must be a JSON object. Received: {_shorten(value)}")
        self.value, self.place = value, place

    def get(self, field: str) -> Any:
        """Return a required field."""
        if field not in self.value:
            raise ValueError(
                f"{self.place} must have the field {field!r}. "
                f"Received: fields {sorted(map(str, self.value))}"
            )
        return self.value[field]

    def has(self, field: str) -> bool:
        """Return whether an optional field is there and not null."""
        return self.value.get(field) is not None

    def objects(self, field: str) -> list["JSONObject"]:
        """Return a list of objects."""
        return as_objects(self.get(field), f"{self.place}: {field}")

    def number(self, field: str, limit: float = sys.float_info.max) -> float:
        """Return a finite number of absolute value up to a limit."""
        if not _is_number(value := self.get(field)):
            raise self.error(field, "a finite number")
        if abs(value) > limit:
            raise self.error(field, f"a number {_between(limit)}")
        return float(value)

    def integer(self, field: str, minimum: int = _INTEGERS[0]) -> int:
        """Return an integer of 64 bits, which may be written as 7, 7.0 or "7"."""
        number = as_integer(self.get(field))
        if number is None:
            raise self.error(field, "an integer")
        if number not in _INTEGERS:
            raise self.error(field, "an integer of 64 bits")
        if number < minimum:
            raise self.error(field, "a positive integer" if minimum == 1 else "an integer >= 0")
        return number

    def flag(self, field: str) -> bool:
        """Return an optional 0 or 1, by default 0."""
        if not self.has(field):
            return False
        value = self.get(field)
        if isinstance(value, bool):
            return value
        if value not in (0, 1, "0", "1"):
            raise self.error(field, "0 or 1")
        return bool(int(value))

    def text(self, field: str) -> str:
        """Return a string that is not empty."""
        if not isinstance(value := self.get(field), str) or not value:
            raise self.error(field, "a string that is not empty")
        if "\0" in value:
            raise self.error(field, "a string without NUL characters")
        return value

    def numbers(self, field: str, count: int, limit: float = sys.float_info.max) -> list[float]:
        """Return a list of `count` finite numbers of absolute value up to a limit."""
        value = self.get(field)
        numbers = list(value) if isinstance(value, tuple | np.ndarray) else value
        if not isinstance(numbers, list) or len(numbers) != count or not _are_numbers(numbers):
            allowed = f"a list of {count} finite numbers"
            raise self.error(field, allowed, _describe_list(numbers, count))
        if max(map(abs, numbers)) > limit:
            raise self.error(field, f"a list of {count} numbers {_between(limit)}")
        return numbers

    def pairs(self, field: str, count: int, limit: float = sys.float_info.max) -> list[list[float]]:
        """Return a list of `count` pairs of finite numbers of absolute value up to a limit."""
        value = self.get(field)
        is_valid = isinstance(value, list) and len(value) == count
        if not is_valid or not all(_is_pair(pair) for pair in value):
            raise self.error(field, f"a list of {count} pairs of finite numbers")
        if any(abs(number) > limit for pair in value for number in pair):
            raise self.error(field, f"a list of {count} pairs of numbers {_between(limit)}")
        return value

    def error(self, field: str, allowed: str, received: str | None = None) -> ValueError:
        """Return the error about a field that has another value than those allowed."""
        received = received or _shorten(self.value.get(field))
        return ValueError(f"{self.place}: {field!r} must be {allowed}. Received: {received}")


def read_json(source: Any, name: str) -> tuple[Any, str]:
    """Return the content of a JSON file and a name for error messages.

    Args:
        source: Path of a JSON file, its content, or an object with the content. A file may be
            compressed by gzip, and may begin with a byte order mark.
        name: What content in memory is called in error messages; a file has its own name.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not valid JSON, or an object in it has two fields of one name.
    """
    if isinstance(source, AnnotationSource):
        return source.annotations, source.place
    if not isinstance(source, str | Path):
        if isinstance(source, Iterable) and not isinstance(source, Mapping | list | tuple):
            raise ValueError(
                f"`{name}` must be the path of a json or its content, or a dataset of `data.tfds`. "
                f"Received: a {type(source).__name__}"
            )
        return source, name
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"`{name}` must be an existing JSON file. Received: {path}")
    content = path.read_bytes()
    if content.startswith(_ZIP):
        raise ValueError(f"{path.name} must be JSON, unpacked. Received: a ZIP archive")
    try:
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
        return json.loads(content, object_pairs_hook=_object), path.name
    except (ValueError, RecursionError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path.name} must be valid JSON. Received: {error}") from error


def as_objects(value: Any, place: str) -> list[JSONObject]:
    """Return the objects of a JSON list.

    Raises:
        ValueError: If the value is not a list of objects.
    """
    if not isinstance(value, list):
        raise ValueError(f"{place} must be a list. Received: {_shorten(value)}")
    return [JSONObject(item, f"{place}[{index}]") for index, item in enumerate(value)]


def as_integer(value: Any) -> int | None:
    """Return an integer that is written as 7, 7.0 or "7"; None for other values."""
    is_text = isinstance(value, str) and re.fullmatch("[+-]?[0-9]{1,30}", value)
    return int(value) if is_text or (_is_number(value) and value == int(value)) else None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields_ = dict(pairs)
    if len(fields_) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object with two fields {twice!r}")
    return fields_


def _is_number(value: Any) -> bool:
    """Return whether a value is a finite number of Python or NumPy and not a boolean."""
    is_real = isinstance(value, Real) and not isinstance(value, bool)
    return is_real and abs(value) <= sys.float_info.max


def _are_numbers(values: list[Any]) -> bool:
    if not set(map(type, values)) <= {float, int}:
        return all(map(_is_number, values))
    try:
        return all(map(math.isfinite, values))  # ten times as fast
    except OverflowError:  # an integer beyond the floats
        return False


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _are_numbers(value)


def _between(limit: float) -> str:
    return f"between {-limit:.0f} and {limit:.0f}"


def _describe_list(value: Any, count: int) -> str:
    """Return what is wrong with a long list: its length, or the first item that is no number."""
    if not isinstance(value, list) or len(repr(value)) <= _SHOWN:
        return _shorten(value)
    if len(value) != count:
        return f"a list of {len(value)}"
    index = next(i for i, item in enumerate(value) if not _is_number(item))
    return f"{_shorten(value[index])} as number {index}"


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
