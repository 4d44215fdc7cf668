"""Plots of a search: scores against costs, of two scores, and of predicted latencies."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_shufflenet._files import atomic_write, check_output
from keras_shufflenet._requirements import check_installed
from keras_shufflenet.benchmark.plot import DPI, SUFFIXES
from keras_shufflenet.search.costs import LATENCY, MACS, MEASURED, PARAMS
from keras_shufflenet.search.search_result import SearchResult

if TYPE_CHECKING:
    from keras_shufflenet.search.latency_table import MeasuredTable

LABELS: Mapping[str, tuple[str, float]] = {
    MACS: ("multiply-adds, million", 1e-6),
    PARAMS: ("parameters, million", 1e-6),
    LATENCY: ("predicted latency, ms", 1.0),
    MEASURED: ("measured latency, ms", 1.0),
}
SIZE = (7.0, 5.0)
SQUARE = (5.5, 5.5)


def check_plot(name: str, path: Path) -> None:
    """Check that a plot can be drawn, before hours are spent on what it shows.

    Args:
        name: Name of the argument, for messages.
        path: The image file.

    Raises:
        ImportError: If matplotlib is not installed.
        OSError: If the file cannot be written.
        ValueError: If the file has another suffix.
    """
    check_installed("A plot", "search", ("matplotlib",))
    check_output(name, path, SUFFIXES)


def draw_front(result: SearchResult, path: Path) -> None:
    """Draw the score of all candidates against the cost, with Pareto front and winner.

    Args:
        result: The result of a search.
        path: The image file.
    """
    cost = result.cost
    label, factor = LABELS.get(cost, (cost, 1.0))
    figure, axes = _figure(SIZE)
    points = axes.scatter(
        [factor * each.costs[cost] for each in result.candidates],
        [each.score for each in result.candidates],
        c=[each.generation for each in result.candidates],
        s=16,
    )
    bar = figure.colorbar(points, label="generation")
    bar.locator = _whole_numbers()
    axes.plot(
        [factor * each.costs[cost] for each in result.front],
        [each.score for each in result.front],
        color="C3",
        drawstyle="steps-post",
        label="Pareto front",
    )
    best = result.best
    axes.plot(factor * best.costs[cost], best.score, "*", color="C3", markersize=16, label="winner")
    axes.set_xlabel(label)
    axes.set_ylabel("score")
    axes.legend(loc="lower right")
    atomic_write(path, lambda beside: figure.savefig(beside))


def kendall_tau(scores: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Return Kendall's rank correlation of two scores, and its p-value.

    Args:
        scores: Scores of architectures, at least two.
        others: Other scores of the same ones.
    """
    from scipy.stats import kendalltau

    tau, p_value = kendalltau(scores, others)
    return float(tau), float(p_value)


def draw_correlation(scores: Sequence[float], others: Sequence[float], path: Path) -> None:
    """Draw scores after training alone against scores in the supernet, with Kendall's τ.

    Args:
        scores: Scores in the supernet.
        others: Scores of the same architectures, trained alone.
        path: The image file.
    """
    tau, p_value = kendall_tau(scores, others)
    figure, axes = _figure(SQUARE)
    axes.scatter(scores, others)
    axes.set_xlabel("score in the supernet")
    axes.set_ylabel("score after training alone")
    axes.set_title(f"{len(scores)} architectures, Kendall's τ {tau:.2f} (p = {p_value:.2g})")
    atomic_write(path, lambda beside: figure.savefig(beside))


def draw_latencies(measured: "MeasuredTable", path: Path) -> None:
    """Draw predicted against measured latencies of the random architectures of a table.

    Args:
        measured: The table, and what it was tested on.
        path: The image file.
    """
    figure, axes = _figure(SQUARE)
    held_out = slice(measured.table.error.networks, None)
    x, y = measured.measured[held_out], measured.predicted[held_out]
    axes.scatter(x, y)
    every = np.concatenate([x, y])
    ends = [0.97 * every.min(), 1.03 * every.max()]
    axes.plot(ends, ends, color="gray", linewidth=1, label="equal")
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_aspect("equal")
    axes.set_xlabel("measured latency, ms")
    axes.set_ylabel("predicted latency, ms")
    error = measured.table.error
    axes.set_title(
        f"{error.held_out} random architectures, "
        f"error: median {error.median_error:.1%}, worst {error.worst_error:.1%}"
    )
    axes.legend(loc="upper left")
    atomic_write(path, lambda beside: figure.savefig(beside))


def _figure(size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def _whole_numbers() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True)
