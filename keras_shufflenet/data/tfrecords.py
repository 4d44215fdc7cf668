"""Random access to TFRecord files, which have no index: offsets are read when a file is opened.

A record is its length (uint64), a checksum of the length (uint32), the data, and a checksum of the
data (uint32), in little endian.
"""

import os
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

_HEADER, _FOOTER = 12, 4  # bytes


class FilePart(NamedTuple):
    """The records of a file that a split has.

    Attributes:
        path: A TFRecord file.
        skip: Number of records before the first.
        take: Number of records.
        total: Number of records in the file.
    """

    path: str
    skip: int
    take: int
    total: int


class TFRecords:
    """The records of TFRecord files by their row.

    Args:
        parts: The files in order.

    Raises:
        ValueError: When a record is read, if its file is truncated or has another number of records
            than is stated.
    """

    def __init__(self, parts: Sequence[FilePart]) -> None:
        self._files = [_TFRecordFile(part) for part in parts]
        self._ends = np.cumsum([part.take for part in parts])

    def __len__(self) -> int:
        """Return the number of records."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, row: int) -> bytes:
        """Return the bytes of a record."""
        if not 0 <= row < len(self):
            raise IndexError(f"`row` must be below {len(self)}. Received: row={row}")
        file = int(np.searchsorted(self._ends, row, side="right"))
        first = int(self._ends[file - 1]) if file else 0
        return self._files[file].read(row - first)


class _TFRecordFile:
    """One file, opened for every read: a dataset may have more of them than can be open."""

    def __init__(self, part: FilePart) -> None:
        self._part = part
        self._lock = threading.Lock()

    def read(self, row: int) -> bytes:
        """Return a record of the part."""
        with self._lock:  # so that threads do not each look for the records
            starts = self._starts
        start, end = starts[self._part.skip + row : self._part.skip + row + 2].tolist()
        with open(self._part.path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), end - start - _HEADER - _FOOTER, start + _HEADER)

    @cached_property
    def _starts(self) -> np.ndarray:
        """Where the records start, and where the last one ends."""
        starts = [0]
        with open(self._part.path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            while starts[-1] + _HEADER <= size:
                header = os.pread(file.fileno(), 8, starts[-1])
                starts.append(starts[-1] + _HEADER + int.from_bytes(header, "little") + _FOOTER)
        if starts[-1] != size or len(starts) - 1 != self._part.total:
            raise ValueError(
                f"A TFRecord file must be complete and have {self._part.total} records. Received: "
                f"{sum(start <= size for start in starts) - 1} in {size} bytes of "
                f"{self._part.path}"
            )
        return np.array(starts, np.int64)
