"""Checks of arguments. Every message reads "`x` must be …. Received: x=…"."""

import math
import numbers
from collections.abc import Collection, Sequence
from typing import Any, TypeGuard

import numpy as np


def check_choice(name: str, value: Any, allowed: Collection[Any]) -> None:
    """Raise ValueError unless a value is one of those allowed."""
    if not any(value == choice for choice in allowed):
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"`{name}` must be one of {choices}. Received: {name}={value!r}")


def check_bool(name: str, value: Any) -> None:
    """Raise ValueError unless a value is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")


def check_positive(name: str, value: Any) -> None:
    """Raise ValueError unless a value is a finite number above 0."""
    if not is_positive(value):
        raise ValueError(f"`{name}` must be a positive number. Received: {name}={value!r}")


def check_number(name: str, value: Any) -> None:
    """Raise ValueError unless a value is a finite number."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(f"`{name}` must be a finite number. Received: {name}={value!r}")


def check_fraction(name: str, value: Any) -> None:
    """Raise ValueError unless a value is a number between 0 and 1."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:
        raise ValueError(f"`{name}` must be a number between 0 and 1. Received: {name}={value!r}")


def check_integer(name: str, value: Any, minimum: int = 1) -> None:
    """Raise ValueError unless a value is an integer that is not below a minimum."""
    if not is_integer(value) or value < minimum:
        what = {0: "a non-negative integer", 1: "a positive integer"}
        allowed = what.get(minimum, f"an integer of at least {minimum}")
        raise ValueError(f"`{name}` must be {allowed}. Received: {name}={value!r}")


def check_names(name: str, value: Any, what: str, *, may_repeat: bool = False) -> tuple[str, ...]:
    """Return a list of names as a tuple.

    Args:
        name: Name of the argument, for messages.
        value: The names.
        what: What the argument must be, for messages.
        may_repeat: Whether a name may stand twice, as "crane" does in short names of ImageNet.

    Raises:
        ValueError: If it is no list, an element is no line of text, or one stands there twice.
    """
    if isinstance(value, str) or not isinstance(value, (Sequence, np.ndarray)) or not len(value):
        raise ValueError(f"`{name}` must be {what}. Received: {name}={value!r}")
    wrong = [each for each in value if not is_line(each)]
    if wrong:
        raise ValueError(
            f"`{name}` must be lines of text, not empty. Received: {wrong[0]!r} in {name}"
        )
    names = tuple(map(str, value))
    repeated = sorted({each for each in names if names.count(each) > 1})
    if repeated and not may_repeat:
        raise ValueError(
            f"`{name}` must differ from each other. Received: {', '.join(repeated)} twice"
        )
    return names


def check_size(name: str, value: Any, multiple_of: int = 1) -> tuple[int, int]:
    """Return (height, width) as integers.

    Raises:
        ValueError: If the value is not a pair of positive integers that `multiple_of` divides.
    """
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    if not pair or not all(is_integer(n) and n > 0 and n % multiple_of == 0 for n in value):
        what = "integers" if multiple_of == 1 else f"multiples of {multiple_of}"
        raise ValueError(
            f"`{name}` must be (height, width), both positive {what}. Received: {name}={value!r}"
        )
    return int(value[0]), int(value[1])


def is_positive(value: Any) -> bool:
    """Return whether a value is a finite number above 0."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and 0 < value < math.inf


def is_integer(value: Any) -> TypeGuard[int]:
    """Return whether a value is an integer of Python or NumPy, and no bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_line(value: Any) -> bool:
    """Return whether a value is a line of text that is not empty, and can be written in UTF-8."""
    if not isinstance(value, str) or not value.strip() or len(value.splitlines()) != 1:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)
