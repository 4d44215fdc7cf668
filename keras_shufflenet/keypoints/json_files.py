"""Reading json files of others: every complaint names the file, the entry and the field."""

import json
import sys
from numbers import Real
from pathlib import Path
from typing import Any


class Entry:
    """One json object with the place it came from."""

    def __init__(self, value: Any, place: str) -> None:
        """Wrap a value.

        Raises:
            ValueError: it is not a json object.
        """
        if not isinstance(value, dict):
            raise ValueError(f"{place} must be a json object. Received: {_short(value)}")
        self.value, self.place = value, place

    def get(self, field: str) -> Any:
        """Return a field that must be there."""
        if field not in self.value:
            raise ValueError(
                f"{self.place} needs the field {field!r}. "
                f"Received: the fields {sorted(map(str, self.value))}"
            )
        return self.value[field]

    def entries(self, field: str) -> list["Entry"]:
        """Return a field that must be a list of objects."""
        return as_entries(self.get(field), f"{self.place}: {field}")

    def number(self, field: str) -> float:
        """Return a field that must be a finite number."""
        if not _is_number(value := self.get(field)):
            raise self._wrong(field, "a finite number")
        return float(value)

    def integer(self, field: str) -> int:
        """Return a field that must be a whole number."""
        if not _is_number(value := self.get(field)) or value != int(value):
            raise self._wrong(field, "a whole number")
        return int(value)

    def text(self, field: str) -> str:
        """Return a field that must be a string."""
        if not isinstance(value := self.get(field), str):
            raise self._wrong(field, "a string")
        return value

    def numbers(self, field: str, count: int) -> list[float]:
        """Return a field that must be a list of so many finite numbers."""
        value = self.get(field)
        if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
            raise self._wrong(field, f"a list of {count} finite numbers")
        return value

    def pairs(self, field: str, count: int) -> list[list[float]]:
        """Return a field that must be a list of so many pairs of finite numbers."""
        value = self.get(field)
        right = isinstance(value, list) and len(value) == count
        if not right or not all(_is_pair(pair) for pair in value):
            raise self._wrong(field, f"a list of {count} pairs of finite numbers")
        return value

    def _wrong(self, field: str, allowed: str) -> ValueError:
        received = _short(self.value[field])
        return ValueError(f"{self.place}: {field!r} must be {allowed}. Received: {received}")


def load(source: Any, what: str) -> tuple[Any, str]:
    """Return the content of a json file and its name; content in memory is called `what`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not valid json.
    """
    if not isinstance(source, str | Path):
        return source, what
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"The {what} must be a json file that exists. Received: {path}")
    try:
        return json.loads(path.read_text(encoding="utf-8")), path.name
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name} must be valid json. Received: {error}") from error


def as_entries(value: Any, place: str) -> list[Entry]:
    """Return the objects of a json list, each with its place.

    Raises:
        ValueError: it is not a list, or something in it is not an object.
    """
    if not isinstance(value, list):
        raise ValueError(f"{place} must be a list. Received: {_short(value)}")
    return [Entry(item, f"{place}[{index}]") for index, item in enumerate(value)]


def _is_number(value: Any) -> bool:
    """Tell finite numbers, NumPy's too, from all else (booleans are no numbers)."""
    is_real = isinstance(value, Real) and not isinstance(value, bool)
    return is_real and abs(value) <= sys.float_info.max


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
