"""Account of what a model needs and what a file has."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import keras

from keras_shufflenet.weights.errors import WeightsMismatchError

LISTED = 8  # odd entries that an error names


@dataclass
class Account:
    """What does not add up."""

    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def settle(self, model: keras.Model, origin: str, received: str) -> None:
        """Raise WeightsMismatchError unless everything adds up."""
        entries = [
            _enumerate("missing in the checkpoint", self.missing),
            _enumerate("left over in the checkpoint", self.extra),
            _enumerate("of the wrong shape or type", self.wrong),
        ]
        if any(entries):
            raise WeightsMismatchError(
                f"The checkpoint ({origin}) does not fit the model {model.name!r}; nothing was "
                f"assigned.{''.join(entries)}\nAllowed is a checkpoint that has every variable of "
                f"the model once and nothing else. Received: {received}"
            )


def _enumerate(title: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    more = [f"... and {len(items) - LISTED} more"] if len(items) > LISTED else []
    return "".join(f"\n    {item}" for item in [f"{title} ({len(items)}):", *items[:LISTED], *more])
