"""Errors that are raised between a weights file and a model."""

import struct
from collections.abc import Sequence

MAX_LISTED = 8  # keys that a message lists per kind


class CheckpointError(ValueError):
    """A file is not a readable checkpoint, or contains more than tensors."""


class BrokenPickleError(CheckpointError):
    """A pickle breaks the rules of its format, or the file is no pickle at all."""


class WeightsMismatchError(ValueError):
    """The tensors of a checkpoint do not match the variables of the model."""


class WeightsUnavailableError(FileNotFoundError):
    """A file of the catalog is not in the cache and cannot be downloaded."""


# What Python's and NumPy's own parsers raise on malformed bytes.
MALFORMED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    struct.error,
    MemoryError,
    RecursionError,
    NotImplementedError,
)


def list_names(names: Sequence[str]) -> str:
    """Return the first names of a list for a message, and how many there are if it is long."""
    more = f", ... ({len(names)} in all)" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more
