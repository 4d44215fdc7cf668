"""Writing files atomically: a reader sees the old file or the complete new one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def atomic_write(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a temporary file beside `path` and rename it to `path` when it is complete.

    Args:
        path: the file to write, in an existing folder. An old file stays if writing fails.
        write: function that writes the file at the path that it gets, a hidden one with the same
            suffix.
    """
    partial = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(partial)
        os.replace(partial, path)
    except OSError as error:
        if error.filename is not None and Path(error.filename) == partial:
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def remove_partial_files(directory: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    for path in directory.glob(".[0-9]*-*"):
        path.unlink()
