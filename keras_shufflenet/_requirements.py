"""What long work needs, checked before it starts: packages, memory and free disk space."""

import os
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

QAT_PACKAGES = ("tf_keras", "tensorflow_model_optimization")
MEGABYTE = 1_000_000
GIGABYTE = 1_000_000_000
FLOAT = 4  # bytes
PIXEL = 3 * FLOAT  # of RGB
CGROUP = Path("/sys/fs/cgroup/memory.max")  # limit of a container


def check_installed(purpose: str, extra: str, packages: Sequence[str]) -> None:
    """Check that optional packages are installed, without importing them.

    Args:
        purpose: What requires them, as the subject of the message.
        extra: The extra of this package that installs them.
        packages: Names of their modules.

    Raises:
        ImportError: If one is missing.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        names = " and ".join(name.replace("_", "-") for name in packages)
        raise ImportError(
            f"{purpose} requires {names}: `pip install 'keras-shufflenet[{extra}]'`. "
            f"Received: no {' and no '.join(missing)}"
        )


def check_free_space(folder: Path, needed: int, purpose: str) -> None:
    """Check that the disk of a folder has space for what is going to be written.

    Args:
        folder: A folder, which may not exist yet.
        needed: Bytes.
        purpose: What needs them, as the subject of the message.

    Raises:
        OSError: If fewer bytes are free.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise OSError(
            f"{purpose} requires {_megabytes(needed)} of free disk space. "
            f"Received: {_megabytes(free)} for {folder}"
        )


def check_memory(name: str, value: Any, needed: int) -> None:
    """Check that what an argument asks for can fit into the memory of the machine at all.

    Args:
        name: Name of the argument, for messages.
        value: Its value.
        needed: Bytes that the smallest part of the work needs at once.

    Raises:
        ValueError: If the machine does not have so much memory.
    """
    size = _memory_size()
    if size is not None and needed > size:
        raise ValueError(
            f"`{name}` must be small enough for the memory: this machine has "
            f"{size / GIGABYTE:.1f} GB, and at least {needed / GIGABYTE:.1f} GB are required. "
            f"Received: {name}={value!r}"
        )


def _memory_size() -> int | None:
    """Return the bytes of memory that this process may use at most; None where unknown."""
    if not hasattr(os, "sysconf"):
        return None
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = CGROUP.read_text().strip() if CGROUP.is_file() else ""
    return min(size, int(limit)) if limit.isdecimal() else size


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.0f} MB"
