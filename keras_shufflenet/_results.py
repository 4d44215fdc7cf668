"""Rows of `results/*.csv`: a measurement with its date, command, versions and processor."""

import csv
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from keras_shufflenet._files import atomic_write
from keras_shufflenet.version import __version__

CPUINFO = Path("/proc/cpuinfo")  # Linux only


def append_row(
    path: Path,
    values: Mapping[str, float | str],
    program: str = "keras-shufflenet",
    command: str | None = None,
) -> None:
    """Append a row to a results file; a new file gets a header.

    Args:
        path: The csv file. Its folder is created.
        values: Columns of the measurement, which follow those on the date, command, versions and
            processor.
        program: The command without its arguments.
        command: The whole command, if it is not that of this process.

    Raises:
        ValueError: If the file has other columns.
    """
    check_columns(path, values)
    row = (
        environment(program)
        | ({} if command is None else {"command": command})
        | {
            name: value if isinstance(value, str) else f"{value:.6g}"
            for name, value in values.items()
        }
    )
    text = path.read_text() if path.exists() else ""
    columns = list(row)
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(beside: Path) -> None:
        with beside.open("w", newline="") as file:
            file.write(text)
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            if not text:
                writer.writeheader()
            writer.writerow(row)

    atomic_write(path, write)


def check_columns(path: Path, names: Iterable[str]) -> None:
    """Check that rows of a measurement can be appended to a file, before it is made.

    Args:
        path: The csv file, which may be missing.
        names: Columns of the measurement.

    Raises:
        ValueError: If the file has other columns.
    """
    wanted = [*environment(""), *names]
    text = path.read_text() if path.exists() else ""
    columns = next(csv.reader(text.splitlines()), wanted)
    if columns != wanted:
        raise ValueError(
            f"The results file must have the columns {', '.join(wanted)}. "
            f"Received: {path} with {', '.join(columns)}"
        )


def processor_name() -> str:
    """Return the processor's model as the system reports it, such as "AMD EPYC 9R14"."""
    if CPUINFO.is_file():
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            # a Raspberry Pi has "Model" alone, which is the board's
            if key.strip() in ("model name", "Model") and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def environment(program: str = "keras-shufflenet") -> dict[str, str]:
    """Return date, command, versions and processor of a measurement.

    Args:
        program: The command without its arguments.
    """
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": f"{program} {shlex.join(sys.argv[1:])}",
        "keras_shufflenet": __version__,
        "keras": version("keras"),
        "tensorflow": version("tensorflow"),
        "cores": str(os.cpu_count()),
        "processor": processor_name(),
    }
