"""Interleaved timing, so that everything that is compared meets the same state of the machine."""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import NamedTuple

import numpy as np
from rich.progress import track

from keras_shufflenet._checks import check_integer


class Latency(NamedTuple):
    """Milliseconds of one run."""

    median: float
    p90: float


def measure_interleaved(
    runs: Mapping[str, Callable[[], object]],
    iterations: int,
    clock: Callable[[], float] = perf_counter,
    verbose: bool = True,
) -> dict[str, Latency]:
    """Time functions in an interleaved order.

    In each iteration every function is called twice in a row, and the second call is timed: the
    first one brings what the function needs back into the caches. The order is shuffled in each
    iteration, because the threads of some runtimes keep spinning on a core for a while and slow
    down whatever comes next.

    Args:
        runs: The functions by name.
        iterations: Number of timed calls of each function.
        clock: Returns seconds. With `time.thread_time`, functions that run in this thread are not
            charged for the time that other processes take.
        verbose: Whether to show progress.

    Returns:
        The latency of each function over all iterations, by name.

    Raises:
        ValueError: If `iterations` is not a positive integer.
    """
    check_integer("iterations", iterations)
    functions = list(runs.values())
    times = np.empty((iterations, len(runs)))
    random = np.random.default_rng(0)
    for iteration in track(range(iterations), "Timing", transient=True, disable=not verbose):
        for index in random.permutation(len(runs)):
            functions[index]()
            start = clock()
            functions[index]()
            times[iteration, index] = 1000 * (clock() - start)
    medians, p90s = np.percentile(times, (50, 90), axis=0)
    rows = zip(runs, medians, p90s, strict=True)
    return {name: Latency(float(median), float(p90)) for name, median, p90 in rows}
