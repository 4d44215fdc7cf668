"""`keras-shufflenet models`: which networks and weights there are."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from keras_shufflenet.weights import Weights

EXAMPLES = """
keras-shufflenet models
keras-shufflenet models 'shufflenet_v2*' --verbose
"""

SHORT = ("network", "weights", "top-1", "AP")
LONG = ("licence", "resize", "size", "source")


def models(
    pattern: Annotated[str, typer.Argument(help="Shell pattern of the names.")] = "*",
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell licence, protocol and source, too.")
    ] = False,
) -> None:
    """List networks and their published weights."""
    table = Table(*SHORT, *(LONG if verbose else ()))
    for row in _rows(pattern):
        table.add_row(*row[: len(table.columns)])
    if not table.rows:
        raise ValueError(f"no network has such a name; '*' lists all. Received: {pattern}")
    Console().print(table)


def _rows(pattern: str) -> list[tuple[str, ...]]:
    """One row per published file; networks without any have one, too."""
    from fnmatch import fnmatch

    import keras_shufflenet as ks

    files = ks.weights.list_weights()
    bare = set(ks.list_models()) - {entry.model for entry in files}
    rows = [_row(entry) for entry in files] + [(name, *["–"] * 7) for name in bare]
    return sorted(row for row in rows if fnmatch(row[0], pattern))


def _row(entry: "Weights") -> tuple[str, ...]:
    crop = "×".join(map(str, entry.crop))
    return (
        entry.model,
        entry.name,
        f"{entry.top1:.2f} %" if entry.top1 else "–",
        f"{entry.ap:.3f}" if entry.ap else "–",
        entry.licence,
        str(entry.resize or "–"),
        crop,
        entry.source,
    )
