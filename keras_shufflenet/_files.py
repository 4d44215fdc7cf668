"""Output files: checked early and written atomically."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any


def check_output(name: str, path: Any, suffixes: Collection[str] = ("",)) -> Path:
    """Check that a file can be written, and make its folder if that is missing.

    Args:
        name: Name of the argument, for messages.
        path: Path of the file.
        suffixes: Allowed ends of its name, such as ".tflite"; by default any.

    Returns:
        The path.

    Raises:
        OSError: If the path is a folder, or its folder cannot be made or written to.
        ValueError: If it is no path, or has another suffix.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ValueError(f"`{name}` must be a string or a pathlib.Path. Received: {name}={path!r}")
    path = Path(path)
    if "\0" in str(path):
        raise ValueError(f"`{name}` must not have a null byte. Received: {name}={str(path)!r}")
    if not path.name.endswith(tuple(suffixes)):
        raise ValueError(
            f"`{name}` must end in {', '.join(suffixes)}. Received: {name}={str(path)!r}"
        )
    if path.is_dir():
        raise IsADirectoryError(f"`{name}` must not be a folder. Received: {name}={str(path)!r}")
    _check_writable(name, path, path.parent)
    return path


def check_output_dir(name: str, path: Path) -> None:
    """Check that files can be written into a folder, and make it if it is missing.

    Args:
        name: Name of the argument, for messages.
        path: The folder.

    Raises:
        OSError: If it is a file, or cannot be made or written to.
    """
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"`{name}` must be a folder. Received: {name}={str(path)!r}")
    _check_writable(name, path, path)


def _check_writable(name: str, path: Path, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(
            f"The folder of `{name}` must be writable ({error.strerror}). "
            f"Received: {name}={str(path)!r}"
        ) from error


def received_path(path: Path) -> str:
    """Return a path for messages, and whether it is there but a folder, pipe, socket or device."""
    what = ", which is no regular file" if path.exists() and not path.is_file() else ""
    return f"{str(path)!r}{what}"


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
        if error.errno and (error.filename is None or Path(error.filename) == partial):
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def remove_partial_files(directory: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    for path in directory.glob(".[0-9]*-*"):
        path.unlink()


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
