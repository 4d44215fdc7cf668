"""Costs of an architecture, and the limits that a search keeps them within."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from keras_shufflenet._checks import check_number
from keras_shufflenet.search.latency_table import LatencyTable
from keras_shufflenet.search.spaces import Architecture, SearchSpace

MACS, PARAMS, LATENCY, MEASURED = "macs", "params", "latency_ms", "measured_ms"


@dataclass(frozen=True)
class Cost:
    """A number of an architecture, with limits.

    Attributes:
        name: Column of the log.
        function: Returns the cost of an architecture.
        maximum: Highest allowed value.
        minimum: Lowest allowed value.
        is_measured: Whether it takes seconds and is never the same twice: it is computed when all
            others are within their limits, and read from the log when a search is resumed.

    Raises:
        ValueError: If the limits are no numbers, or contradict each other.
    """

    name: str
    function: Callable[[Architecture], float]
    maximum: float = math.inf
    minimum: float = -math.inf
    is_measured: bool = False

    def __post_init__(self) -> None:
        """Check the limits."""
        for limit in (self.maximum, self.minimum):
            if not math.isinf(limit):
                check_number(self.name, limit)
        if self.minimum > self.maximum:
            raise ValueError(
                f"The minimum of {self.name} must not exceed its maximum. "
                f"Received: {self.minimum:g} and {self.maximum:g}"
            )

    def allows(self, value: float) -> bool:
        """Return whether a value is within the limits."""
        return self.minimum <= value <= self.maximum

    def __str__(self) -> str:
        """Return the limits, for messages."""
        above = [] if math.isinf(self.minimum) else [f"{self.minimum:g} <="]
        below = [] if math.isinf(self.maximum) else [f"<= {self.maximum:g}"]
        return " ".join([*above, self.name, *below])


def macs(
    space: SearchSpace,
    input_size: tuple[int, int] = (224, 224),
    maximum: float = math.inf,
    *,
    backbone_only: bool = False,
    classes: int = 1000,
) -> Cost:
    """Return the multiply-adds as a cost; see `SearchSpace.macs` for the arguments."""
    return Cost(
        MACS,
        lambda each: space.macs(each, input_size, backbone_only=backbone_only, classes=classes),
        maximum,
    )


def params(
    space: SearchSpace,
    maximum: float = math.inf,
    *,
    backbone_only: bool = False,
    classes: int = 1000,
) -> Cost:
    """Return the number of parameters as a cost; see `SearchSpace.params` for the arguments."""
    return Cost(
        PARAMS,
        lambda each: space.params(each, backbone_only=backbone_only, classes=classes),
        maximum,
    )


def predicted_latency(
    table: LatencyTable, maximum: float = math.inf, minimum: float = -math.inf
) -> list[Cost]:
    """Return the latency in milliseconds that a table predicts, as a cost."""
    return [Cost(LATENCY, table.predict, maximum, minimum)]


def measured_latency(
    table: LatencyTable,
    maximum: float = math.inf,
    minimum: float = -math.inf,
    *,
    iterations: int = 50,
) -> list[Cost]:
    """Return the latency in milliseconds of the exported file, as a cost.

    It is measured beside the base network, in units of the table's, so that values of different
    hours can be compared. The predicted latency precedes it: what is out of
    the limits by more than the table's worst error is not measured.

    Args:
        table: The table, which says what is exported.
        maximum: Highest allowed value.
        minimum: Lowest allowed value.
        iterations: Timed runs of each file.
    """

    def measure(architecture: Architecture) -> float:
        ratios, _ = table.deployment.measure([architecture], iterations, verbose=False)
        return float(ratios[0] * table.base_ms)

    margin = 1 + table.error.worst_error
    predicted = predicted_latency(table, maximum * margin, minimum / margin)
    return [*predicted, Cost(MEASURED, measure, maximum, minimum, is_measured=True)]
