"""Errors that are raised between a weights file and a model."""

import struct


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
