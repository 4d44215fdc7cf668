"""Read csv files of labeled images, as people and spreadsheets write them."""

import csv
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

UNKNOWN = -1  # class of an image without a label
FILENAME, CLASS_INDEX = COLUMNS = ("filename", "class_index")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
_SEPARATOR_LINE = re.compile(r"\ufeff?sep=(.)\r?\n")  # which Excel writes before the header
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Rows(NamedTuple):
    """The rows of a csv file.

    Attributes:
        names: N names of image files.
        classes: (N,) int64, -1 for images without a class.
        empty: Number of rows without any value, which spreadsheets leave.
    """

    names: list[str]
    classes: np.ndarray
    empty: int


def read_labels_csv(source: Path) -> Rows:
    """Read the columns `filename` and `class_index`; others are ignored.

    The file is UTF-8 or, with a byte order mark, UTF-16. Commas, semicolons or tabs separate its
    columns. Classes may be written as 7 or 7.0.

    Args:
        source: The csv file.

    Raises:
        ValueError: If it is malformed or lists an image with two classes; the message names the
            line.
    """
    text = _decode(source)
    separator = _SEPARATOR_LINE.match(text)
    skipped = separator.group() if separator else ""
    stream = io.StringIO(text.removeprefix(skipped), newline="")
    header = stream.readline()
    stream.seek(0)
    delimiter = separator[1] if separator else max(",;\t", key=header.count)
    reader = csv.DictReader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
    names: list[str] = []
    classes: list[int] = []
    empty = 0
    first: dict[str, int] = {}
    try:
        reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        if not set(COLUMNS) <= set(reader.fieldnames):
            raise ValueError(f"the columns {', '.join(reader.fieldnames) or 'none'}")
        for row in reader:
            cells = [cell for cell in row.values() if isinstance(cell, str)]
            if not any(cell.strip() for cell in cells):
                empty += 1
                continue
            name, index = _parse(row)
            if first.setdefault(name, index) != index:
                raise ValueError(f"{name!r} with the classes {first[name]} and {index}")
            names.append(name)
            classes.append(index)
    except (ValueError, csv.Error) as error:
        line = reader.line_num + skipped.count("\n") + isinstance(error, csv.Error)
        raise ValueError(
            "A csv file must have the columns `filename` and `class_index`, an integer >= 0 (-1 "
            f"for no class), the same for an image that is listed twice. "
            f"Received: {error} in line {line} of {source}"
        ) from error
    return Rows(names, np.array(classes, np.int64), empty)


def _decode(source: Path) -> str:
    data = source.read_bytes()
    try:
        return data.decode("utf-16" if data.startswith(_BYTE_ORDER_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            "`source` must be a folder, or a csv file in UTF-8 with the columns `filename` and "
            f"`class_index`. Received: {source} ({error})"
        ) from error


def _parse(row: Mapping[str, str | None]) -> tuple[str, int]:
    """Return the name and class of a row."""
    name, index = (row[column] for column in COLUMNS)
    if name is None or not name.strip():
        raise ValueError("no `filename`")
    if any("\n" in cell or "\r" in cell for cell in row.values() if isinstance(cell, str)):
        raise ValueError("a quotation mark that is closed in another line,")
    if index is None or not _INTEGER.fullmatch(index.strip()):
        raise ValueError(f"`class_index` {index!r}")
    number = int(float(index))
    if number < UNKNOWN:
        raise ValueError(f"`class_index` {number}")
    return name.strip(), number
