"""What long work needs, checked before it starts: installed packages and free disk space."""

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

QAT_PACKAGES = ("tf_keras", "tensorflow_model_optimization")
MEGABYTE = 1_000_000


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


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.0f} MB"
