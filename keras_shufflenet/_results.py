"""Rows of numbers for `results/*.csv`: the command, when, with which versions, what came out."""

import csv
import os
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from keras_shufflenet._files import write_whole
from keras_shufflenet.version import __version__


def append_row(
    path: Path, numbers: Mapping[str, float | str], program: str = "keras-shufflenet"
) -> None:
    """Add a row to a results file; a new file gets a header.

    Args:
        path: The csv file. Its folder is made.
        numbers: Columns of their own, after date, command and versions: figures, and what they
            are of.
        program: What the command was started with, before its arguments.

    Raises:
        ValueError: If the file has other columns.
    """
    row = _circumstances(program) | {
        name: value if isinstance(value, str) else f"{value:.6g}" for name, value in numbers.items()
    }
    text = path.read_text() if path.exists() else ""
    columns = next(csv.reader(text.splitlines()), list(row))
    if columns != list(row):
        raise ValueError(
            f"{path} has other columns than {', '.join(row)}; give another file. "
            f"Received: {', '.join(columns)}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(beside: Path) -> None:
        with beside.open("w", newline="") as file:
            file.write(text)
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            if not text:
                writer.writeheader()
            writer.writerow(row)

    write_whole(path, write)


def _circumstances(program: str) -> dict[str, str]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": f"{program} {shlex.join(sys.argv[1:])}",
        "keras_shufflenet": __version__,
        "keras": version("keras"),
        "tensorflow": version("tensorflow"),
        "cores": str(os.cpu_count()),
    }
