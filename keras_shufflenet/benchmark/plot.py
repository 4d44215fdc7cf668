"""Accuracy against latency, as a picture.

The accuracies are the publishers', on ImageNet's 50 000 validation images: what is measured here on
some of them cannot be compared with figures that exist for other networks only.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_shufflenet._files import write_whole

if TYPE_CHECKING:
    from keras_shufflenet.benchmark.latency import Measured

MARKERS = {"float32": "o", "bfloat16": "^", "int8": "s"}
SIZE = (9.0, 6.0)
DPI = 150
CLOSE = 0.5  # per cent between names that would touch
SUFFIXES = (".png", ".svg", ".pdf")


def check_plot(path: Path, names: Sequence[str]) -> None:
    """Say what is missing for a picture before hours are spent on its numbers.

    Raises:
        ImportError: without matplotlib.
        FileNotFoundError: if there is no such folder.
        ValueError: if the file has another suffix, or no network has a published accuracy.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "a plot needs matplotlib: pip install 'keras-shufflenet[peers]'"
        ) from error
    if path.suffix not in SUFFIXES:
        raise ValueError(f"a plot's file ends in {', '.join(SUFFIXES)}. Received: {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no such folder. Received: {path.parent}")
    if not any(map(_accuracy, names)):
        raise ValueError(
            "a plot shows classifiers with a published accuracy, see `keras-shufflenet models`. "
            f"Received: {', '.join(names)}"
        )


def draw(measured: Iterable["Measured"], path: Path) -> None:
    """Draw a line through each engine's networks, for the first number of threads.

    Args:
        measured: figures.
        path: of the picture, .png, .svg or .pdf.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    rows = [(row, accuracy) for row in measured if (accuracy := _accuracy(row.network))]
    threads = rows[0][0].threads
    lines: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    names: dict[str, tuple[float, float]] = {}
    for row, accuracy in rows:
        if row.threads == threads:
            lines[row.engine, row.precision].append((row.latency.median, accuracy))
            fastest = min(row.latency.median, names.get(row.network, (row.latency.median, 0))[0])
            names[row.network] = fastest, accuracy
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    engines = list(dict.fromkeys(engine for engine, _ in lines))
    for (engine, precision), points in lines.items():
        x, y = zip(*sorted(points), strict=True)
        ours = engine == engines[0]
        axes.plot(
            x,
            y,
            marker=MARKERS[precision],
            color=f"C{engines.index(engine)}",
            linestyle={"float32": "-", "bfloat16": ":", "int8": "--"}[precision],
            linewidth=2.5 if ours else 1,
            label=f"{engine} {precision}",
        )
    _write_names(axes, names)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.35, y=0.15)
    axes.set_xlabel(f"median latency of one image, ms, threads: {threads}")
    axes.set_ylabel("published top-1 accuracy, %")
    axes.grid(which="both", alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    write_whole(path, lambda beside: figure.savefig(beside))


def _write_names(axes: Any, places: Mapping[str, tuple[float, float]]) -> None:
    """Write networks' names left of their fastest points, below where another is close above."""
    ordered = sorted(places.items(), key=lambda item: item[1][1])
    above = [accuracy for _, (_, accuracy) in ordered[1:]] + [float("inf")]
    for (name, place), higher in zip(ordered, above, strict=True):
        rise = -14 if higher - place[1] < CLOSE else 6
        axes.annotate(name, place, (-8, rise), textcoords="offset points", ha="right", fontsize=8)


def _accuracy(name: str) -> float | None:
    """Published top-1 accuracy of a network's default weights."""
    from keras_shufflenet.weights import list_weights

    return next((entry.top1 for entry in list_weights(name)), None)
