"""Tensors as torch stores them: strided views into flat storages."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_shufflenet.weights.errors import CheckpointError

Name = tuple[str, str]
MAX_AXES = 32


@dataclass(frozen=True)
class ElementType:
    """The element type of a storage.

    Attributes:
        name: Name in torch, such as "bfloat16".
        numpy: NumPy type of the same bytes; uint16 for bfloat16, which NumPy lacks.
    """

    name: str
    numpy: np.dtype[Any]

    def decode(self, raw: memoryview, big_endian: bool) -> np.ndarray:
        """Decode the numbers of a storage. bfloat16 becomes float32, which is lossless."""
        values = np.frombuffer(raw, self.numpy.newbyteorder(">" if big_endian else "<"))
        if big_endian:
            values = values.astype(self.numpy)
        if self.name == "bfloat16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values != 0 if self.name == "bool" else values


ELEMENT_TYPES = {
    name: ElementType(name, np.dtype(code))
    for name, code in {
        "float64": "f8",
        "float32": "f4",
        "float16": "f2",
        "bfloat16": "u2",
        "int64": "i8",
        "int32": "i4",
        "int16": "i2",
        "int8": "i1",
        "uint64": "u8",
        "uint32": "u4",
        "uint16": "u2",
        "uint8": "u1",
        "bool": "u1",
        "complex64": "c8",
        "complex128": "c16",
    }.items()
}


@dataclass(frozen=True)
class Storage:
    """A flat array of numbers in the file.

    Attributes:
        key: Name in the file.
        type: Element type.
        count: Number of elements.
        part: (first element, count) of a view into the storage, as in files of torch 0.3.
    """

    key: str
    type: ElementType
    count: int
    part: tuple[int, int] | None = None


@dataclass(frozen=True)
class Tensor:
    """A strided view into a storage; offset and strides count elements, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    type: ElementType


def tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, kind: ElementType | None = None
) -> Tensor:
    """Make a tensor from the unchecked arguments in a pickle."""
    if not isinstance(storage, Storage):
        raise TypeError(f"a tensor in {type(storage).__name__}")
    if not all(isinstance(n, tuple | list) and len(n) <= MAX_AXES for n in (shape, strides)):
        raise ValueError(f"a tensor whose shape or strides are not up to {MAX_AXES} numbers")
    numbers = (offset, *shape, *strides)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("a tensor whose offset, shape or strides are not non-negative integers")
    if len(shape) != len(strides):
        raise ValueError("a tensor with another number of strides than axes")
    return Tensor(storage, offset, tuple(shape), tuple(strides), kind or storage.type)


def materialize(
    tensors: Mapping[Name, Tensor], read: Callable[[Storage], memoryview], big_endian: bool = False
) -> dict[Name, np.ndarray]:
    """Return tensors as arrays.

    Args:
        tensors: Tensors by (path of the dictionary, name).
        read: Function that returns the bytes of a storage.
        big_endian: Whether the numbers are big-endian.

    Returns:
        Read-only arrays by name, which share memory where the tensors do.

    Raises:
        CheckpointError: If a tensor reaches beyond its storage.
    """
    decoded: dict[tuple[str, str], np.ndarray] = {}  # each storage once, however often it is used
    arrays = {}
    for name, view in tensors.items():
        place = (view.storage.key, view.type.name)
        if place not in decoded:
            decoded[place] = view.type.decode(read(view.storage), big_endian)
        arrays[name] = _view(name[1], view, _part(decoded[place], view.storage.part))
    return arrays


def _part(values: np.ndarray, part: tuple[int, int] | None) -> np.ndarray:
    if part is None:
        return values
    first, count = part
    return values[first : first + count]


def _view(name: str, view: Tensor, values: np.ndarray) -> np.ndarray:
    steps = zip(view.shape, view.strides, strict=True)
    last = view.offset + sum((size - 1) * stride for size, stride in steps)
    if math.prod(view.shape) and last >= values.size:
        raise CheckpointError(
            f"Tensor {name!r} of shape {view.shape} reaches beyond its storage of "
            f"{values.size} numbers."
        )
    if math.prod(view.shape):
        strides = tuple(stride * values.itemsize for stride in view.strides)
        offset = view.offset * values.itemsize
        array = np.ndarray(view.shape, values.dtype, values, offset, strides)
    else:
        array = np.empty(view.shape, values.dtype)
    array.flags.writeable = False
    return array
