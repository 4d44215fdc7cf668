"""The allow list of the unpickler: the globals a checkpoint may name, and their stand-ins.

Nothing is imported or called by its name in the pickle: every stand-in is defined here and is built
from plain data.
"""

import collections
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_shufflenet.weights import _tensors
from keras_shufflenet.weights._tensors import ELEMENT_TYPES, ElementType
from keras_shufflenet.weights._unpickler import Builder, ForeignClass, ForeignObject, hashable
from keras_shufflenet.weights.errors import CheckpointError

BUILTINS = ("builtins", "__builtin__")
NUMPY_CORES = ("numpy.core", "numpy._core")
NUMBER_TYPE = re.compile(r"[<>|=]?([biufc]\d{1,2}|\?)")


class PickledType:
    """A NumPy number type while it is unpickled."""

    def __init__(self, code: Any, *_: Any) -> None:
        """Start from the type code; the state may change the byte order."""
        known = isinstance(code, str) and NUMBER_TYPE.fullmatch(code)
        self.numpy = np.dtype(code) if known else None

    def set_pickled_state(self, state: Any) -> None:
        """Take the byte order from the state of a NumPy dtype."""
        if self.numpy is not None and state[1] == ">":
            self.numpy = self.numpy.newbyteorder(">")


class PickledArray:
    """A NumPy array while it is unpickled. Arrays of objects stay empty (None)."""

    def __init__(self, array: np.ndarray | None = None) -> None:
        """Start empty unless the array is given."""
        self.array = array

    def set_pickled_state(self, state: Any) -> None:
        """Take shape and bytes from the state (version, shape, type, Fortran order, bytes)."""
        _, shape, kind, fortran, data = state
        if kind.numpy is not None and isinstance(data, bytes | bytearray):
            values = np.frombuffer(data, kind.numpy)
            self.array = values.reshape(shape, order="F" if fortran else "C")


def _empty_array(*_: Any) -> PickledArray:
    return PickledArray()


def _array_from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> PickledArray:
    if kind.numpy is None:
        return PickledArray()
    return PickledArray(np.frombuffer(data, kind.numpy).reshape(shape, order=order))


def _scalar(kind: Any, data: Any = b"") -> Any:
    if kind.numpy is None or not isinstance(data, bytes):
        return None
    return np.frombuffer(data, kind.numpy, count=1)[0].item()


def _latin_bytes(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("text in another encoding than latin1")
    return text.encode("latin1")


def _mapping(items: Any = ()) -> dict[Any, Any]:
    if not all(isinstance(key, str | int) for key, _ in items):
        raise TypeError("a mapping whose keys are not strings")
    return collections.OrderedDict((hashable(key), value) for key, value in items)


def _default_mapping(*_: Any) -> dict[Any, Any]:
    return {}


def _items(items: Any = ()) -> tuple[Any, ...]:
    """Return a tuple for a set or a `torch.Size`; weights need no difference."""
    return tuple(items)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _tensors.Tensor:
    return _tensors.tensor(storage, offset, shape, strides)


def _tensor_of_type(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    _gradient: Any,
    _hooks: Any,
    kind: Any,
    *_: Any,
) -> _tensors.Tensor:
    if isinstance(kind, ForeignClass):
        raise unsupported_type(kind)
    if not isinstance(kind, ElementType):
        raise TypeError(f"a tensor of {type(kind).__name__}")
    return _tensors.tensor(storage, offset, shape, strides, kind)


def unsupported_type(kind: ForeignClass) -> CheckpointError:
    """Return the error for tensors of a type that NumPy lacks, such as 8-bit floats."""
    return CheckpointError(
        f"The type of a tensor is not supported: `{kind.name}`; save float32, float16 or bfloat16."
    )


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _subclass(function: Any, _type: Any, arguments: Any, *_: Any) -> Any:
    """Return the tensor inside of one with attributes or of a subclass."""
    if not isinstance(function, Builder) or function.name not in REBUILT:
        raise TypeError("a tensor of a subclass that is built by no tensor's builder")
    return function.build(*arguments)


def _inert(name: str) -> Builder:
    return Builder(name, lambda *_: ForeignObject(name))


STORAGE_TYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}

_TENSORS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_type,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
}
REBUILT = frozenset(_TENSORS)

_BUILDERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _default_mapping,
    "_codecs.encode": _latin_bytes,
    "torch.Size": _items,
    **_TENSORS,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "numpy.dtype": PickledType,
    **{f"{module}.set": _items for module in BUILTINS},
    **{f"{module}.frozenset": _items for module in BUILTINS},
    **{f"{core}.multiarray.scalar": _scalar for core in NUMPY_CORES},
    **{f"{core}.multiarray._reconstruct": _empty_array for core in NUMPY_CORES},
    **{f"{core}.numeric._frombuffer": _array_from_buffer for core in NUMPY_CORES},
}

# What describes how a network was trained: classes of the standard library, states of generators.
_INERT = (
    "argparse.Namespace",
    "collections.Counter",
    "collections.deque",
    "datetime.date",
    "datetime.datetime",
    "datetime.time",
    "datetime.timedelta",
    "datetime.timezone",
    "decimal.Decimal",
    "fractions.Fraction",
    "functools.partial",
    "types.SimpleNamespace",
    "uuid.UUID",
    "torch.device",
    *(
        f"numpy.random._pickle.__{kind}_ctor"
        for kind in ("bit_generator", "generator", "randomstate")
    ),
    *(
        f"{module}.{kind}"
        for module in ("pathlib", "pathlib._local")
        for kind in ("PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath")
    ),
)

# Types that are named, for example as the factory of a `defaultdict`, but never called.
_TYPES = "bool bytes complex dict float int list long object str tuple unicode"
_TYPING = "Any Callable Dict List Literal Mapping Optional Sequence Tuple Type Union"

ALLOWED: dict[str, Any] = {
    **{name: Builder(name, build) for name, build in _BUILDERS.items()},
    **{name: _inert(name) for name in _INERT},
    **{f"torch.{name}": ELEMENT_TYPES[kind] for name, kind in STORAGE_TYPES.items()},
    **{f"torch.{name}": kind for name, kind in ELEMENT_TYPES.items()},
    **{
        f"{module}.{name}": ForeignClass(f"{module}.{name}")
        for module in BUILTINS
        for name in _TYPES.split()
    },
    **{f"typing.{name}": ForeignClass(f"typing.{name}") for name in _TYPING.split()},
    "torch.storage.UntypedStorage": ELEMENT_TYPES["uint8"],
}
