"""`keras-shufflenet benchmark`: latency, size and memory in LiteRT and other runtimes."""

import tempfile
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_shufflenet._files import check_output
from keras_shufflenet._requirements import check_free_space, check_installed
from keras_shufflenet.cli.options import parse_weights

if TYPE_CHECKING:
    from rich.table import Table

    from keras_shufflenet.benchmark.engines import Engine
    from keras_shufflenet.benchmark.latency import Measurement

EXAMPLES = """
keras-shufflenet benchmark shufflenet_v2_x1_0 --threads 1 --threads 2
keras-shufflenet benchmark 'shufflenet_v2_x*' --engine LiteRT --results-csv latency.csv
keras-shufflenet benchmark shufflenet_v2_x0_5 shufflenet_v2_x1_0 mobilenet_v2_x1_0 \
keras.applications.MobileNetV2 --plot latency.png
"""


def benchmark(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Names of models, or shell patterns.")
    ],
    engine: Annotated[
        list[str],
        typer.Option(
            help="Shell pattern of runtime names; may be repeated. Default: all installed."
        ),
    ] = ["*"],  # noqa: B006
    threads: Annotated[
        list[int], typer.Option(min=1, help="Number of threads; may be repeated.")
    ] = [1],  # noqa: B006
    iterations: Annotated[
        int, typer.Option(min=1, help="Interleaved measurements of each file.")
    ] = 50,
    weights: Annotated[
        str, typer.Option(help="imagenet (pose: coco, mpii), or none for random weights.")
    ] = "none",
    results_csv: Annotated[
        Path | None, typer.Option(help="csv file to append the measurements to.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Plot of classifiers' accuracy against latency to write.")
    ] = None,
) -> None:
    """Measure the latency of models in LiteRT and in other installed runtimes."""
    engines = _chosen(engine)
    if results_csv is not None:
        check_output("results_csv", results_csv)
    from rich.console import Console

    from keras_shufflenet._results import append_row
    from keras_shufflenet.benchmark import latency, networks
    from keras_shufflenet.benchmark.plot import check_plot, draw

    console = Console()
    names = networks.find(models)
    if plot is not None:
        check_plot(plot, names)
    with tempfile.TemporaryDirectory() as folder:
        needed = sum(map(networks.file_size, names)) * len(engines)
        check_free_space(Path(folder), needed, "The benchmark")
        built = networks.build(names, parse_weights(weights), Path(folder))
        files = latency.make_files(built, engines, console.print)
        measured = [
            row
            for count in threads
            for row in latency.measure(files, count, iterations, console.print)
        ]
    for network, count in dict.fromkeys((row.network, row.threads) for row in measured):
        console.print(_table(measured, network, count))
    if results_csv is not None:
        for row in measured:
            append_row(results_csv, _columns(row, iterations))
    if plot is not None:
        draw(measured, plot)


def _chosen(patterns: Sequence[str]) -> "list[Engine]":
    """Return the runtimes that match any pattern, ignoring case."""
    from keras_shufflenet.benchmark.engines import DEFAULT_CONVERTER, ENGINES, OURS

    names = list(dict.fromkeys(engine.name for engine in ENGINES))
    for pattern in patterns:
        if not any(_matches(name, [pattern]) for name in names):
            raise ValueError(f"--engine must match one of {'; '.join(names)}. Received: {pattern}")
    chosen = [engine for engine in ENGINES if _matches(engine.name, patterns)]
    for engine in chosen:
        if engine.name in (OURS, *patterns):
            extra = "export" if engine.name in (OURS, DEFAULT_CONVERTER) else "runtimes"
            check_installed(engine.name, extra, engine.packages)
    return chosen


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name.lower(), pattern.lower()) for pattern in patterns)


def _table(rows: Iterable["Measurement"], network: str, threads: int) -> "Table":
    from rich.table import Table

    from keras_shufflenet.benchmark.engines import OURS

    table = Table(title=f"{network}, one image, threads: {threads}")
    for head in ("engine", "precision"):
        table.add_column(head)
    for head in ("median ms", "p90 ms", "MB", "peak MB", f"{OURS} / it"):
        table.add_column(head, justify="right")
    for row in rows:
        if (row.network, row.threads) == (network, threads):
            table.add_row(
                row.engine,
                row.precision,
                *(f"{time:.2f}" for time in row.latency),
                f"{row.size / 1e6:.2f}",
                "" if row.memory is None else f"{row.memory / 1e6:.0f}",
                "" if row.ratio is None else f"{row.ratio:.2f}",
            )
    return table


def _columns(row: "Measurement", iterations: int) -> dict[str, float | str]:
    return {
        "model": row.network,
        "engine": row.engine,
        "version": row.version,
        "precision": row.precision,
        "threads": str(row.threads),
        "rounds": iterations,
        "bytes": str(row.size),
        "peak_bytes": "" if row.memory is None else str(row.memory),
        "median_ms": row.latency.median,
        "p90_ms": row.latency.p90,
        "ratio": "" if row.ratio is None else row.ratio,
    }
