"""Files that appear whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file beside `path` and move it there when it is complete.

    Args:
        path: of the file, in a folder that exists. What was there stays if writing fails.
        write: gets a hidden path with the same suffix, which tells Keras the format.
    """
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(beside)
        os.replace(beside, path)
    except OSError as error:
        if error.filename is not None and Path(error.filename) == beside:  # a name nobody gave
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        beside.unlink(missing_ok=True)


def sweep(directory: Path) -> None:
    """Remove what was being written in a folder when an earlier process was killed."""
    for path in directory.glob(".[0-9]*-*"):
        path.unlink()
