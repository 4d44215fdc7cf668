"""Convert weights in bulk: every file of the catalog that can be had, and own checkpoints.

    python weights_conversion/convert.py converted 'shufflenet_v2*' --format .keras
    python weights_conversion/convert.py converted 'detnas*' --checkpoint detnas_voc_fpn_300m=my.pkl

Files come from the cache, the mirror or the publisher, as `weights=` takes them. `--checkpoint
MODEL=PATH` adds a file of one's own; without a pattern nothing else is converted. What cannot be
had is listed at the end with what to do about it; the exit code tells whether anything else failed.
"""

import fnmatch
from pathlib import Path
from typing import Annotated, NamedTuple

import keras
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

import keras_shufflenet as ks
from keras_shufflenet.cli.options import open_model
from keras_shufflenet.weights.loading import SAVE_FORMATS

console = Console()


def convert(
    output: Annotated[Path, typer.Argument(help="Folder of the converted files.")],
    pattern: Annotated[
        str | None, typer.Argument(help="Shell pattern of published weights; default all.")
    ] = None,
    checkpoints: Annotated[
        list[str] | None, typer.Option("--checkpoint", help="MODEL=PATH of a file; repeatable.")
    ] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="May be given repeatedly; default all.")
    ] = None,
) -> None:
    """Convert published weights to Keras' formats and .safetensors."""
    wanted = tuple(formats or SAVE_FORMATS)
    if unknown := set(wanted) - set(SAVE_FORMATS):
        raise typer.BadParameter(f"formats are {', '.join(SAVE_FORMATS)}. Received: {unknown}")
    jobs = [_own(text) for text in checkpoints or []]
    if pattern is not None or not jobs:
        published = _published(pattern or "*")
        jobs += published
        if not published:
            raise typer.BadParameter(f"no published weights have such a name. Received: {pattern}")
    outcomes = {job.name: _convert(job, output, wanted) for job in track(jobs, console=console)}
    table = Table("weights", "outcome")
    for name, (_, text) in outcomes.items():
        table.add_row(name, text)
    console.print(table)
    raise typer.Exit(int(any(failed for failed, _ in outcomes.values())))


class Job(NamedTuple):
    """Weights to convert.

    Attributes:
        name: of the files that come out, without their suffix.
        model: name in the registry.
        source: what `weights=` takes.
    """

    name: str
    model: str
    source: str


def _published(pattern: str) -> list[Job]:
    entries = [entry for entry in ks.weights.list_weights() if not entry.is_bundled]
    names = fnmatch.filter([entry.name for entry in entries], pattern)
    return [Job(entry.name, entry.model, entry.name) for entry in entries if entry.name in names]


def _own(text: str) -> Job:
    model, _, path = text.partition("=")
    if not Path(path).is_file():
        raise typer.BadParameter(f"--checkpoint is MODEL=PATH of a file. Received: {text}")
    return Job(f"{model}.{Path(path).name.partition('.')[0]}", model, path)


def _convert(job: Job, output: Path, formats: tuple[str, ...]) -> tuple[bool, str]:
    """Whether something is broken, and what happened."""
    try:
        model = open_model(job.model, job.source)
    except ks.weights.WeightsUnavailableError as error:
        return False, f"not to be had: {error}"
    except ValueError as error:  # broken, or of another network
        return True, f"broken: {error}"
    published = job.source in ks.weights.catalog.CATALOG
    layout = ks.weights.get_entry(job.source).layout if published else None
    for suffix in formats:
        ks.weights.save(model, output / f"{job.name}{suffix}", layout=layout)
    keras.backend.clear_session()
    return False, "converted"


if __name__ == "__main__":
    typer.run(convert)
