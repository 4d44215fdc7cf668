"""`keras-shufflenet models`: list models and published weights."""

from typing import TYPE_CHECKING, Annotated

import typer

from keras_shufflenet.cli.options import import_tensorflow

if TYPE_CHECKING:
    from keras_shufflenet.weights import WeightsEntry

EXAMPLES = """
keras-shufflenet models
keras-shufflenet models 'shufflenet_v2*' --verbose
keras-shufflenet models shufflenet_v2_x1_0 --summary
"""

UNLIMITED = 10_000  # columns, when the output is not a terminal
SHORT = ("model", "weights", "top-1", "AP / PCKh")
LONG = ("params", "MACs", "license", "resize", "size", "source")


def models(
    pattern: Annotated[str, typer.Argument(help="Shell pattern of the names.")] = "*",
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Also list size, license, image size and source."),
    ] = False,
    summary: Annotated[
        bool,
        typer.Option(
            "--summary",
            help="Print the stages of a model instead: shapes, parameters, multiply-adds.",
        ),
    ] = False,
) -> None:
    """List models and their published weights."""
    if summary:
        _print_summary(pattern)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for heading in (*SHORT, *(LONG if verbose else ())):
        table.add_column(heading, overflow="fold")
    for row in _rows(pattern):
        table.add_row(*row[: len(table.columns)])
    if not table.rows:
        raise ValueError(
            f"PATTERN must match a model, like '{pattern.strip('*')}*'; "
            f"without one all are listed. Received: {pattern}"
            if _rows(f"{pattern.strip('*')}*")
            else f"PATTERN must match a model; '*' lists all. Received: {pattern}"
        )
    console = Console()
    if not console.is_terminal:
        console.width = UNLIMITED
    console.print(table)


def _print_summary(name: str) -> None:
    from keras_shufflenet.models import MODEL_STATS

    if name not in MODEL_STATS:
        raise ValueError(f"--summary requires the name of a model. Received: {name}")
    import_tensorflow()
    import keras_shufflenet as ks

    ks.summary(ks.create_model(name, weights=None), print_fn=typer.echo)


def _rows(pattern: str) -> list[tuple[str, ...]]:
    """Return a row for each published file, and for each model without any."""
    from fnmatch import fnmatch

    from keras_shufflenet.models import MODEL_STATS  # without Keras
    from keras_shufflenet.weights.catalog import list_weights

    files = list_weights()
    bare = set(MODEL_STATS) - {entry.model for entry in files}
    rows = [_row(entry) for entry in files] + [
        (name, "–", "–", "–", *_stats(name), *["–"] * 4) for name in bare
    ]
    return sorted(row for row in rows if fnmatch(row[0], pattern))


def _row(entry: "WeightsEntry") -> tuple[str, ...]:
    crop = "×".join(map(str, entry.crop_size))
    return (
        entry.model,
        entry.name,
        f"{100 * entry.top1:.2f} %" if entry.top1 else "–",
        f"{entry.ap or entry.pckh:.3f}" if entry.ap or entry.pckh else "–",
        *_stats(entry.model),
        entry.license,
        str(entry.resize_size or "–"),
        crop,
        entry.source,
    )


def _stats(model: str) -> tuple[str, str]:
    """Return parameters and multiply-adds in millions."""
    from keras_shufflenet.models import MODEL_STATS

    stats = MODEL_STATS.get(model)
    if stats is None:
        return "–", "–"
    return f"{stats.params / 1e6:.2f} M", f"{stats.macs / 1e6:.0f} M"
