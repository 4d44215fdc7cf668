"""Timing in turns, so that all that is compared meets the same machine."""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import NamedTuple

import numpy as np
from rich.progress import track


class Latency(NamedTuple):
    """Milliseconds of one run."""

    median: float
    p90: float


def measure_interleaved(
    runs: Mapping[str, Callable[[], object]], iterations: int
) -> dict[str, Latency]:
    """Time functions in turns; in its turn each runs twice, and the second run is timed.

    The first one brings what the function needs back into the caches. The order changes from round
    to round: threads of some engines keep a core busy for a while, at the cost of who comes next.

    Args:
        runs: what to run, by name.
        iterations: turns of each.

    Returns:
        Of each function, over its turns.

    Raises:
        ValueError: if `iterations` is not positive.
    """
    if iterations < 1:
        raise ValueError(f"`rounds` must be positive. Received: rounds={iterations}")
    functions = list(runs.values())
    times = np.empty((iterations, len(runs)))
    order = np.random.default_rng(0)
    for turn in track(range(iterations), "Timing", transient=True):
        for index in order.permutation(len(runs)):
            functions[index]()
            start = perf_counter()
            functions[index]()
            times[turn, index] = 1000 * (perf_counter() - start)
    medians, p90s = np.percentile(times, (50, 90), axis=0)
    figures = zip(runs, medians, p90s, strict=True)
    return {name: Latency(float(median), float(p90)) for name, median, p90 in figures}
