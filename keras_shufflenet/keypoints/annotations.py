"""Records of annotated or detected persons, and checked access to annotation files in JSON."""

import json
import sys
from dataclasses import dataclass, fields
from numbers import Real
from pathlib import Path
from typing import Any, Self

import numpy as np

from keras_shufflenet._types import Size
from keras_shufflenet.keypoints.boxes import BBOX_PADDING, box_to_center_scale
from keras_shufflenet.keypoints.skeletons import Skeleton


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
        keypoints_visible: (N, K) float32, 1 for labeled keypoints (occluded ones too), else 0.
        areas: (N,) float64, the annotated areas in square pixels, or those of the bounding boxes.
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

    def __len__(self) -> int:
        """Return N."""
        return len(self.image_id)

    def select(self, rows: np.ndarray | slice) -> Self:
        """Return the instances of some rows, given as indices, a mask or a slice."""
        arrays = [getattr(self, field.name)[rows] for field in fields(self)[1:]]
        return type(self)(self.skeleton, *arrays)

    def center_scale(
        self, input_size: Size, padding: float = BBOX_PADDING
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return center (N, 2) and scale (N, 2) of the padded boxes for a network's input."""
        return box_to_center_scale(self.bboxes, input_size, padding)


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

    def objects(self, field: str) -> list["JSONObject"]:
        """Return a list of objects."""
        return as_objects(self.get(field), f"{self.place}: {field}")

    def number(self, field: str) -> float:
        """Return a finite number."""
        if not _is_number(value := self.get(field)):
            raise self._error(field, "a finite number")
        return float(value)

    def integer(self, field: str) -> int:
        """Return an integer."""
        if not _is_number(value := self.get(field)) or value != int(value):
            raise self._error(field, "an integer")
        return int(value)

    def text(self, field: str) -> str:
        """Return a string."""
        if not isinstance(value := self.get(field), str):
            raise self._error(field, "a string")
        return value

    def numbers(self, field: str, count: int) -> list[float]:
        """Return a list of `count` finite numbers."""
        value = self.get(field)
        if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
            raise self._error(field, f"a list of {count} finite numbers")
        return value

    def pairs(self, field: str, count: int) -> list[list[float]]:
        """Return a list of `count` pairs of finite numbers."""
        value = self.get(field)
        is_valid = isinstance(value, list) and len(value) == count
        if not is_valid or not all(_is_pair(pair) for pair in value):
            raise self._error(field, f"a list of {count} pairs of finite numbers")
        return value

    def _error(self, field: str, allowed: str) -> ValueError:
        received = _shorten(self.value[field])
        return ValueError(f"{self.place}: {field!r} must be {allowed}. Received: {received}")


def read_json(source: Any, name: str) -> tuple[Any, str]:
    """Return the content of a JSON file and a name for error messages.

    Args:
        source: Path of a JSON file, or its content.
        name: What content in memory is called in error messages; a file has its own name.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not valid JSON.
    """
    if not isinstance(source, str | Path):
        return source, name
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"`{name}` must be an existing JSON file. Received: {path}")
    try:
        return json.loads(path.read_text(encoding="utf-8")), path.name
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name} must be valid JSON. Received: {error}") from error


def as_objects(value: Any, place: str) -> list[JSONObject]:
    """Return the objects of a JSON list.

    Raises:
        ValueError: If the value is not a list of objects.
    """
    if not isinstance(value, list):
        raise ValueError(f"{place} must be a list. Received: {_shorten(value)}")
    return [JSONObject(item, f"{place}[{index}]") for index, item in enumerate(value)]


def _is_number(value: Any) -> bool:
    """Return whether a value is a finite number of Python or NumPy and not a boolean."""
    is_real = isinstance(value, Real) and not isinstance(value, bool)
    return is_real and abs(value) <= sys.float_info.max


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
