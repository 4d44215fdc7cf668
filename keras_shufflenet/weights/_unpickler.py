"""A restricted unpickler that executes nothing.

A pickle is a program for a small stack machine, and the standard library's machine imports and
calls whatever the program asks for. This one looks globals up in an allow list, calls only the
builders of that list, and replaces everything else by placeholders without behavior.

The standard library's `pickle.Unpickler` with a restricted `find_class` is not enough for damaged
files: one flipped bit in a memo index makes it allocate tens of gigabytes.
"""

import io
import pickletools
import sys
import warnings
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from typing import Any

from keras_shufflenet.weights.errors import MALFORMED, BrokenPickleError, CheckpointError

SCALARS = (str, bytes, int, float, type(None))
LARGE = 1 << 63
# What the largest checkpoints need a tenth of; without the bounds a hostile file takes minutes.
MAX_OPCODES = 1_000_000
MAX_MARKS = 1_000  # that are open at a time
PYTHON_2_LIBRARY = frozenset({"__builtin__", "copy_reg", "commands", "exceptions"})


@dataclass(frozen=True)
class Builder:
    """The stand-in of a global that may be called.

    Attributes:
        name: Name of the global with its module.
        build: Function that makes the object from the pickle's arguments and trusts none of them.
    """

    name: str
    build: Callable[..., Any]


@dataclass(frozen=True)
class ForeignClass:
    """Placeholder of an unknown global. It was not imported.

    If its name is that of a class, a call of it makes a placeholder of an instance, as the members
    of enumerations need; other calls are refused.
    """

    name: str

    @property
    def is_class(self) -> bool:
        """Return whether the name is that of a class, by the conventions of Python."""
        return self.name.rpartition(".")[2].lstrip("_")[:1].isupper()


class ForeignObject(dict[Any, Any]):
    """Placeholder of an instance of a foreign class; holds the items if that was a mapping.

    Attributes:
        name: Name of the class with its module.
        attributes: Attributes of the instance, as plain data: no class gives them a meaning.
    """

    def __init__(self, name: str) -> None:
        """Make a placeholder.

        Args:
            name: Name of the class with its module.
        """
        super().__init__()
        self.name = name
        self.attributes: dict[Any, Any] = {}


class Unpickler:
    """A restricted unpickler that reads one pickle after the other."""

    def __init__(
        self,
        data: bytes,
        allowed: Mapping[str, Any],
        persistent_load: Callable[[Any], Any] | None = None,
    ) -> None:
        """Prepare to read pickles.

        Args:
            data: Bytes that begin with a pickle.
            allowed: Stand-ins by dotted name of the global: `Builder`s or plain values.
            persistent_load: Function from the persistent ID of an object outside of the pickle to
                that object.
        """
        self._stream = io.BytesIO(data)
        self._allowed = allowed
        self._persistent_load = persistent_load
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._opcodes = 0
        # A builder may copy its arguments. Together they are not longer than the file unless the
        # same ones are copied again and again to exhaust the memory.
        self._allowance = len(data)

    @property
    def position(self) -> int:
        """Offset in the data of the end of the last pickle."""
        return self._stream.tell()

    def load(self) -> Any:
        """Read the next pickle.

        Raises:
            CheckpointError: If it is malformed or uses a global that is not allowed.
        """
        self._stack, self._outer, self._memo = [], [], {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python warns of invalid escapes in damaged files
                return self._run()
        except CheckpointError:
            raise
        except MALFORMED as error:
            reason = f"{type(error).__name__}: {error}"
            raise BrokenPickleError(
                f"The pickle is broken or truncated ({reason[:200]})."
            ) from error

    def _run(self) -> Any:
        for opcode, argument, _ in pickletools.genops(self._stream):
            if opcode.name == "STOP":
                return self._stack.pop()
            self._opcodes += 1
            if self._opcodes > MAX_OPCODES:
                raise CheckpointError(f"The pickle has more than {MAX_OPCODES} instructions.")
            OPCODES[opcode.name](self, argument)
        raise EOFError("no end")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop_two(self) -> tuple[Any, Any]:
        second = self._stack.pop()
        return self._stack.pop(), second

    def _pop_to_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._outer.pop()
        return items

    def _mark(self, _: Any) -> None:
        if len(self._outer) == MAX_MARKS:
            raise CheckpointError(f"The pickle is nested deeper than {MAX_MARKS} levels.")
        self._outer.append(self._stack)
        self._stack = []

    def _pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_to_mark()

    def _tuple_of(self, count: int) -> None:
        items = tuple(self._stack[-count:])
        if len(items) != count:
            raise IndexError("stack underflow")
        self._stack[-count:] = [items]

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, ForeignObject):
            raise TypeError(f"items appended to {type(target).__name__}")

    def _set_items(self, items: list[Any]) -> None:
        _fill(self._stack[-1], items)

    def _add_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, set):
            raise TypeError(f"items added to {type(target).__name__}")
        target.update(hashable(item) for item in items)

    def _put(self, index: Any) -> None:
        if index is not None and index >= LARGE:
            raise ValueError("an index of the memo beyond 64 bits")
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._push(self._memo[index])

    def _stack_global(self, _: Any) -> None:
        module, name = self._pop_two()
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a global whose name is not a text")
        self._push(self._find(f"{module}.{name}"))

    def _find(self, name: str) -> Any:
        """Return the stand-in of a global; those of the standard library must be allowed."""
        if name in self._allowed:
            return self._allowed[name]
        package = name.partition(".")[0]
        if package in sys.stdlib_module_names or package in PYTHON_2_LIBRARY:
            raise _refusal(name)
        return ForeignClass(name)

    def _reduce(self, _: Any) -> None:
        function, arguments = self._pop_two()
        self._push(self._call(function, arguments))

    def _call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        if not isinstance(arguments, tuple):
            raise TypeError(f"{type(arguments).__name__} as the arguments of a call")
        if isinstance(function, ForeignClass) and function.is_class:
            return ForeignObject(function.name)
        if not isinstance(function, Builder):
            raise _refusal(getattr(function, "name", type(function).__name__))
        self._allowance -= sum(len(item) for item in arguments if isinstance(item, Sized))
        if self._allowance < 0:
            raise CheckpointError("The pickle expands to much more than its own size.")
        return function.build(*arguments)

    def _new_object(self, _: Any) -> None:
        kind, arguments = self._pop_two()
        if isinstance(kind, ForeignClass):
            self._push(ForeignObject(kind.name))
        else:
            self._push(self._call(kind, arguments))

    def _new_object_with_keywords(self, _: Any) -> None:
        self._stack.pop()
        self._new_object(None)

    def _build(self, _: Any) -> None:
        """Set the state of an array, or the attributes of a placeholder."""
        target, state = self._pop_two()
        self._push(target)
        if hasattr(target, "set_pickled_state"):
            target.set_pickled_state(state)
        elif isinstance(target, ForeignObject):
            target.attributes = state if isinstance(state, dict) else {}
        elif not isinstance(target, dict | set):
            raise TypeError(f"a state for {type(target).__name__}")

    def _persistent(self, _: Any) -> None:
        if self._persistent_load is None:
            raise CheckpointError("The pickle refers to storages outside of it, which are missing.")
        self._push(self._persistent_load(self._stack.pop()))

    def _refuse_old_instance(self, name: Any) -> None:
        raise _refusal(name.replace(" ", ".") if name else "a class on the stack")


def _refusal(name: str) -> CheckpointError:
    return CheckpointError(
        f"The pickle uses `{name}`, which is not allowed in a checkpoint; only tensors, arrays, "
        "numbers, strings and containers are. Nothing was executed."
    )


def hashable(key: Any) -> Any:
    """Return a dictionary's key that it is harmless to hash.

    A deep tuple would overflow the C stack. Tuples and large integers can be chosen to have all the
    same hash, with which a dictionary takes quadratic time; they become texts.
    """
    parts = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(part, SCALARS) for part in parts):
        raise TypeError(f"a key of type {type(key).__name__}")
    if isinstance(key, int) and not isinstance(key, bool) and abs(key) >= LARGE:
        return hex(key)
    return repr(key) if isinstance(key, tuple) else key


def _fill(target: Any, items: list[Any]) -> Any:
    if not isinstance(target, dict) or len(items) % 2:
        raise TypeError(f"{len(items)} keys and values for {type(target).__name__}")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[hashable(key)] = value
    return target


def _constant(value: Any) -> Callable[[Unpickler, Any], None]:
    return lambda machine, _: machine._push(value)


def _nothing(machine: Unpickler, _: Any) -> None:
    """Skip protocol and frame, which do not matter here."""


_LITERALS = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
)  # fmt: skip

OPCODES: dict[str, Callable[[Unpickler, Any], None]] = {
    **dict.fromkeys(_LITERALS, Unpickler._push),
    "PROTO": _nothing,
    "FRAME": _nothing,
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_TUPLE": _constant(()),
    "EMPTY_LIST": lambda machine, _: machine._push([]),
    "EMPTY_DICT": lambda machine, _: machine._push({}),
    "EMPTY_SET": lambda machine, _: machine._push(set()),
    "MARK": Unpickler._mark,
    "POP": Unpickler._pop,
    "POP_MARK": lambda machine, _: machine._pop_to_mark().clear(),
    "DUP": lambda machine, _: machine._push(machine._stack[-1]),
    "TUPLE1": lambda machine, _: machine._tuple_of(1),
    "TUPLE2": lambda machine, _: machine._tuple_of(2),
    "TUPLE3": lambda machine, _: machine._tuple_of(3),
    "TUPLE": lambda machine, _: machine._push(tuple(machine._pop_to_mark())),
    "LIST": lambda machine, _: machine._push(machine._pop_to_mark()),
    "DICT": lambda machine, _: machine._push(_fill({}, machine._pop_to_mark())),
    "FROZENSET": lambda machine, _: machine._push(frozenset(map(hashable, machine._pop_to_mark()))),
    "APPEND": lambda machine, _: machine._append([machine._stack.pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._pop_to_mark()),
    "SETITEM": lambda machine, _: machine._set_items(list(machine._pop_two())),
    "SETITEMS": lambda machine, _: machine._set_items(machine._pop_to_mark()),
    "ADDITEMS": lambda machine, _: machine._add_items(machine._pop_to_mark()),
    "PUT": Unpickler._put,
    "BINPUT": Unpickler._put,
    "LONG_BINPUT": Unpickler._put,
    "MEMOIZE": Unpickler._put,
    "GET": Unpickler._get,
    "BINGET": Unpickler._get,
    "LONG_BINGET": Unpickler._get,
    "GLOBAL": lambda machine, name: machine._push(machine._find(name.replace(" ", ".", 1))),
    "STACK_GLOBAL": Unpickler._stack_global,
    "REDUCE": Unpickler._reduce,
    "NEWOBJ": Unpickler._new_object,
    "NEWOBJ_EX": Unpickler._new_object_with_keywords,
    "INST": Unpickler._refuse_old_instance,
    "OBJ": Unpickler._refuse_old_instance,
    "BUILD": Unpickler._build,
    "BINPERSID": Unpickler._persistent,
}
