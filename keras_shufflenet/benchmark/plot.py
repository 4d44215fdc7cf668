"""Plot of published accuracy against latency.

The accuracies are the publishers', on the 50 000 images of the ImageNet validation set: accuracies
that were measured on fewer images exist for some of the networks only and are not comparable.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_shufflenet._files import atomic_write, check_output
from keras_shufflenet._requirements import check_installed

if TYPE_CHECKING:
    from keras_shufflenet.benchmark.latency import Measurement

MARKERS = {"float32": "o", "bfloat16": "^", "int8": "s"}
LINE_STYLES = {"float32": "-", "bfloat16": ":", "int8": "--"}
SIZE = (9.0, 6.0)
DPI = 150
CLOSE = 0.5  # percent of accuracy; labels of closer points would overlap
SUFFIXES = (".png", ".svg", ".pdf")

Point = tuple[float, float]
"""Latency in milliseconds, accuracy in percent."""


def check_plot(path: Path, names: Sequence[str]) -> None:
    """Check that a plot can be drawn, before hours are spent on measurements.

    Args:
        path: The image file.
        names: Names of the networks.

    Raises:
        ImportError: If matplotlib is not installed.
        OSError: If the file cannot be written.
        ValueError: If the file has another suffix, or no network has a published accuracy.
    """
    check_installed("A plot", "runtimes", ("matplotlib",))
    check_output("plot", path, SUFFIXES)
    if not any(map(_accuracy, names)):
        raise ValueError(
            "A plot needs a classifier with a published accuracy, see `keras-shufflenet models`. "
            f"Received: {', '.join(names)}"
        )


def draw(measurements: Iterable["Measurement"], path: Path) -> None:
    """Draw a line through each engine's networks, for the first number of threads.

    Args:
        measurements: Measurements; networks without a published accuracy are left out.
        path: The image file, .png, .svg or .pdf.
    """
    from matplotlib.figure import Figure

    rows = [row for row in measurements if _accuracy(row.network)]
    rows = [row for row in rows if row.threads == rows[0].threads]
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    _draw_lines(axes, rows)
    _label_networks(axes, _fastest_points(rows))
    _format(axes, rows[0].threads)
    atomic_write(path, lambda beside: figure.savefig(beside))


def _draw_lines(axes: Any, rows: Sequence["Measurement"]) -> None:
    lines: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for row in rows:
        lines[row.engine, row.precision].append(_point(row))
    engines = list(dict.fromkeys(engine for engine, _ in lines))
    for (engine, precision), points in lines.items():
        x, y = zip(*sorted(points), strict=True)
        axes.plot(
            x,
            y,
            marker=MARKERS[precision],
            color=f"C{engines.index(engine)}",
            linestyle=LINE_STYLES[precision],
            linewidth=2.5 if engine == engines[0] else 1,
            label=f"{engine} {precision}",
        )


def _fastest_points(rows: Sequence["Measurement"]) -> dict[str, Point]:
    """Return the leftmost point of each network."""
    points: dict[str, Point] = {}
    for row in rows:
        points[row.network] = min(_point(row), points.get(row.network, _point(row)))
    return points


def _format(axes: Any, threads: int) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.45, y=0.15)
    axes.set_xlabel(f"median latency of one image, ms, threads: {threads}")
    axes.set_ylabel("published top-1 accuracy, %")
    axes.grid(which="both", alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


def _label_networks(axes: Any, places: Mapping[str, tuple[float, float]]) -> None:
    """Label the fastest point of each network, from below where another label is close above."""
    ordered = sorted(places.items(), key=lambda item: item[1][1])
    above = [accuracy for _, (_, accuracy) in ordered[1:]] + [float("inf")]
    for (name, place), higher in zip(ordered, above, strict=True):
        rise = -14 if higher - place[1] < CLOSE else 6
        axes.annotate(name, place, (-8, rise), textcoords="offset points", ha="right", fontsize=8)


def _point(row: "Measurement") -> Point:
    return row.latency.median, _accuracy(row.network) or 0.0


def _accuracy(name: str) -> float | None:
    """Return the published top-1 accuracy in percent of a network's default weights."""
    from keras_shufflenet.weights import list_weights

    accuracies = (entry.top1 for entry in list_weights(name))
    return next((100 * top1 for top1 in accuracies if top1 is not None), None)
