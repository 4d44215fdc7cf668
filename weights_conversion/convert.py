"""Convert published weights in bulk: every file of the catalogue that can be had.

    python weights_conversion/convert.py converted 'shufflenet_v2*' --format .keras

Files come from the cache, the mirror or the publisher, as `weights=` takes them. What cannot be had
is listed at the end with what to do about it; the exit code tells whether anything else failed.
"""

import fnmatch
from pathlib import Path
from typing import Annotated

import keras
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

import keras_shufflenet as ks
from keras_shufflenet.cli.options import open_model
from keras_shufflenet.weights.writer import FORMATS

console = Console()


def convert(
    output: Annotated[Path, typer.Argument(help="Folder of the converted files.")],
    pattern: Annotated[str, typer.Argument(help="Shell pattern of published weights.")] = "*",
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="May be given repeatedly; default all.")
    ] = None,
) -> None:
    """Convert published weights to Keras' formats and .safetensors."""
    wanted = tuple(formats or FORMATS)
    if unknown := set(wanted) - set(FORMATS):
        raise typer.BadParameter(f"formats are {', '.join(FORMATS)}. Received: {unknown}")
    entries = [e for e in ks.weights.list_weights() if fnmatch.fnmatch(e.name, pattern)]
    if not entries:
        raise typer.BadParameter(f"no published weights have such a name. Received: {pattern}")
    outcomes = {e.name: _convert(e, output, wanted) for e in track(entries, console=console)}
    table = Table("weights", "outcome")
    for name, (_, text) in outcomes.items():
        table.add_row(name, text)
    console.print(table)
    raise typer.Exit(int(any(failed for failed, _ in outcomes.values())))


def _convert(entry: ks.weights.Weights, output: Path, formats: tuple[str, ...]) -> tuple[bool, str]:
    """Whether something is broken, and what happened."""
    try:
        model = open_model(entry.model, entry.name)
    except ks.weights.WeightsUnavailableError as error:
        return False, f"not to be had: {error}"
    except (ks.weights.CheckpointError, ks.weights.WeightsMismatchError) as error:
        return True, f"broken: {error}"
    for suffix in formats:
        ks.weights.save(model, output / f"{entry.name}{suffix}", layout=entry.layout)
    keras.backend.clear_session()
    return False, "converted"


if __name__ == "__main__":
    typer.run(convert)
