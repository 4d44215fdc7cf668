"""What can go wrong between a file of weights and a model."""

import struct


class CheckpointError(ValueError):
    """A file is no readable checkpoint, or tries to do more than hold tensors."""


class WeightsMismatchError(ValueError):
    """The tensors of a checkpoint are not the ones that the model needs."""


class WeightsUnavailableError(FileNotFoundError):
    """A file of the catalog is neither in the cache nor can it be fetched."""


# What reading broken bytes raises inside of Python's and NumPy's own parsers.
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
