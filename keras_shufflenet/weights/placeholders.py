"""What stands in a pickle's objects for the globals that it names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Builder:
    """A global that may be called, and what stands in for it.

    Attributes:
        name: of the global, with its module.
        build: makes the object from the pickle's arguments; trusts none of them.
    """

    name: str
    build: Callable[..., Any]


@dataclass(frozen=True)
class ForeignClass:
    """Placeholder of a global that is unknown here. It was not imported and cannot be called."""

    name: str


class ForeignObject(dict[Any, Any]):
    """Placeholder of an instance of a foreign class; holds the items if that was a mapping."""

    def __init__(self, name: str) -> None:
        """Make a placeholder.

        Args:
            name: of the class, with its module.
        """
        super().__init__()
        self.name = name
