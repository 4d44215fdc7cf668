"""Rows of `results/*.csv`, and cells of Markdown tables made of them."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

from keras_shufflenet.benchmark.engines import DEFAULT_CONVERTER, OURS

FORMER_NAMES = {"LiteRT, stock export": DEFAULT_CONVERTER}  # of engines, in rows of version 0.1

Row = Mapping[str, str]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a results file; none if there is no such file."""
    if not path.is_file():
        return []
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    for row in rows:
        if "engine" in row:
            row["engine"] = FORMER_NAMES.get(row["engine"], row["engine"])
    return rows


def one_thread(path: Path) -> list[dict[str, str]]:
    """Return the rows of a results file that were measured on one thread."""
    return [row for row in read_rows(path) if row["threads"] == "1"]


def our_rows(path: Path) -> list[dict[str, str]]:
    """Return those of this package's engine, on one thread."""
    return [row for row in one_thread(path) if row["engine"] == OURS]


def latest(rows: Iterable[Row], **wanted: str) -> Row | None:
    """Return the last row with the wanted values in its columns."""
    return next((row for row in reversed(list(rows)) if wanted.items() <= row.items()), None)


def matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that match patterns, in the order of the patterns, without duplicates."""
    known = list(names)
    return list(
        dict.fromkeys(name for pattern in patterns for name in known if fnmatch(name, pattern))
    )


def values(row: Row, columns: Sequence[str]) -> list[str]:
    """Return the numbers of some columns with three digits."""
    return [f"{float(row[column]):.3f}" for column in columns]


def ms(row: Row | None) -> str:
    """Return the median milliseconds; nothing without a row."""
    return f"{float(row['median_ms']):.1f}" if row else ""


def megabytes(row: Row | None) -> str:
    """Return the size of the file in MB; nothing without a row."""
    return f"{int(row['bytes']) / 1e6:.2f}" if row else ""


def processor(rows: Iterable[Row], cores: str = "one thread") -> str:
    """Name the processors that rows were measured on."""
    names = dict.fromkeys(row.get("processor") or "" for row in rows)
    known = " or ".join(name or "an unrecorded processor" for name in names)
    return f"{cores} of {known}" if any(names) else f"{cores} (processor not recorded)"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
