"""`keras-shufflenet models`: which networks and weights there are."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from keras_shufflenet.weights import WeightsEntry

EXAMPLES = """
keras-shufflenet models
keras-shufflenet models 'shufflenet_v2*' --verbose
"""

UNLIMITED = 10_000  # a file has no width
SHORT = ("model", "weights", "top-1", "AP / PCKh")
LONG = ("params", "MACs", "license", "resize", "size", "source")


def models(
    pattern: Annotated[str, typer.Argument(help="Shell pattern of the names.")] = "*",
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell size, license, protocol and source, too.")
    ] = False,
) -> None:
    """List networks and their published weights."""
    table = Table()
    for heading in (*SHORT, *(LONG if verbose else ())):
        table.add_column(heading, overflow="fold")
    for row in _rows(pattern):
        table.add_row(*row[: len(table.columns)])
    if not table.rows:
        raise ValueError(f"no network has such a name; '*' lists all. Received: {pattern}")
    console = Console()
    if not console.is_terminal:
        console.width = UNLIMITED
    console.print(table)


def _rows(pattern: str) -> list[tuple[str, ...]]:
    """One row per published file; networks without any have one, too."""
    from fnmatch import fnmatch

    import keras_shufflenet as ks

    files = ks.weights.list_weights()
    names = ks.list_models() + ks.list_models(task="pose")
    bare = set(names) - {entry.model for entry in files}
    rows = [_row(entry) for entry in files] + [
        (name, "–", "–", "–", *_cost(name), *["–"] * 4) for name in bare
    ]
    return sorted(row for row in rows if fnmatch(row[0], pattern))


def _row(entry: "WeightsEntry") -> tuple[str, ...]:
    crop = "×".join(map(str, entry.crop_size))
    return (
        entry.model,
        entry.name,
        f"{100 * entry.top1:.2f} %" if entry.top1 else "–",
        f"{entry.ap or entry.pckh:.3f}" if entry.ap or entry.pckh else "–",
        *_cost(entry.model),
        entry.license,
        str(entry.resize_size or "–"),
        crop,
        entry.source,
    )


def _cost(model: str) -> tuple[str, str]:
    """Millions of parameters and of multiply-adds."""
    from keras_shufflenet.models import MODEL_STATS

    cost = MODEL_STATS.get(model)
    if cost is None:
        return "–", "–"
    return f"{cost.params / 1e6:.2f} M", f"{cost.macs / 1e6:.0f} M"
