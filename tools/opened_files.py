"""Which files of a folder are opened, as the kernel of Linux sees it: Python, HDF5, anything."""

import ctypes
import os
import struct
from pathlib import Path

OPEN = 0x20  # of a file in the folder, or of the folder itself
HEAD = struct.Struct("iIII")  # watch, what happened, cookie, length of the name


class OpenedFiles:
    """Watches folders from now on (inotify).

    Args:
        folders: Existing folders.
    """

    def __init__(self, *folders: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._stream = libc.inotify_init1(os.O_NONBLOCK)
        watches = [
            libc.inotify_add_watch(self._stream, os.fsencode(folder), OPEN) for folder in folders
        ]
        if min(self._stream, *watches) < 0:
            raise OSError(ctypes.get_errno(), "inotify cannot watch the folders")
        self._folders = dict(zip(watches, folders, strict=True))

    def __call__(self) -> list[Path]:
        """Return what was opened since the last call."""
        found: list[Path] = []
        while True:
            try:
                data = os.read(self._stream, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                watch, _, _, length = HEAD.unpack_from(data)
                name = data[HEAD.size : HEAD.size + length].rstrip(b"\0")
                found.append(self._folders[watch] / os.fsdecode(name))
                data = data[HEAD.size + length :]

    def close(self) -> None:
        """Watch no longer."""
        os.close(self._stream)
