"""A lock between processes that vanishes with the process that holds it."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file, waiting for it as long as it takes.

    Args:
        path: of the file, which is made if need be and stays: removing it would be a race.
    """
    with path.open("a+b") as stream:
        _acquire(stream)
        yield


if sys.platform == "win32":
    import msvcrt
    import time

    def _acquire(stream: IO[bytes]) -> None:
        while True:
            stream.seek(0)
            with contextlib.suppress(OSError):
                msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
                return
            time.sleep(0.2)

else:
    import fcntl

    def _acquire(stream: IO[bytes]) -> None:
        fcntl.flock(stream, fcntl.LOCK_EX)
