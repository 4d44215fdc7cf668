"""Latency and size of exported models, side by side.

    python -m keras_shufflenet.benchmark.latency 'shufflenet_v2_x*' 'mobilenet*' --results out.csv

Every model is built, exported as float32 and as int8, and run in LiteRT with one image at a time.
The files take turns, so that all of them meet the same machine; in its turn a file runs twice and
the second run is timed, with its weights in the cache. The weights are drawn at random, so that
nothing has to be downloaded, and keep the size of activations: with ranges that vanish, int8 files
would hold more operators than those of trained networks.
"""

import tempfile
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from keras_shufflenet.benchmark.results import append_row

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from keras_shufflenet.data import SyntheticPeople

PROGRAM = "python -m keras_shufflenet.benchmark.latency"
PRECISIONS = ("float32", "int8")
CALIBRATION_IMAGES = 8


class Latency(NamedTuple):
    """Milliseconds of one run."""

    median: float
    p90: float


class Measured(NamedTuple):
    """A file, its bytes, and how fast it runs."""

    file: str
    size: int
    latency: Latency


def take_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Latency]:
    """Time functions in turns.

    Args:
        runs: what to run, by name.
        rounds: turns of each.

    Returns:
        Of each function, over its turns.

    Raises:
        ValueError: if `rounds` is not positive.
    """
    if rounds < 1:
        raise ValueError(f"`rounds` has to be positive. Received: rounds={rounds}")
    times = np.empty((rounds, len(runs)))
    for turn in track(range(rounds), "Timing", transient=True):
        for index, run in enumerate(runs.values()):
            run()
            start = perf_counter()
            run()
            times[turn, index] = 1000 * (perf_counter() - start)
    medians, p90s = np.percentile(times, (50, 90), axis=0)
    figures = zip(runs, medians, p90s, strict=True)
    return {name: Latency(float(median), float(p90)) for name, median, p90 in figures}


def export_all(names: list[str], folder: Path) -> dict[str, Path]:
    """Export models of the registry in both precisions; files that are there already stay.

    Returns:
        Paths by names such as "shufflenet_v2_x1_0_int8.tflite".
    """
    import keras_shufflenet as ks

    people = ks.data.synthetic_people(folder / "people", CALIBRATION_IMAGES, progress=False)
    paths = {}
    for name in track(names, "Exporting", transient=True):
        model = None
        for precision in PRECISIONS:
            file = f"{name}.tflite" if precision == "float32" else f"{name}_{precision}.tflite"
            paths[file] = folder / file
            if not paths[file].is_file():
                model = model or _drawn(ks.create_model(name))
                ks.export.litert(model, paths[file], precision, calibration(model, people))
    return paths


def _drawn(model: "keras.Model") -> "keras.Model":
    """The model with random kernels that keep the variance of what goes through."""
    draw = np.random.default_rng(0)
    for layer in model.layers:
        if not hasattr(layer, "kernel"):
            continue
        *area, inputs, outputs = layer.kernel.shape
        depthwise = type(layer).__name__ == "DepthwiseConv2D"
        variance = (1.3 if depthwise else 4 / (inputs + outputs)) / np.prod(area)
        layer.kernel.assign(draw.normal(0, np.sqrt(variance), layer.kernel.shape))
    return model


def calibration(model: "keras.Model", people: "SyntheticPeople") -> "tf.data.Dataset":
    """Batches of images that a model is made for, cut out of drawings."""
    import keras_shufflenet as ks
    from keras_shufflenet.models.pose import PREFIX

    if model.name.startswith(PREFIX):
        return ks.data.keypoints(*people, model=model, training=True)
    return ks.data.imagenet(people.images, batch_size=1)


def measure(names: list[str], folder: Path, rounds: int, threads: int) -> list[Measured]:
    """Export and time models.

    Args:
        names: of the registry.
        folder: of the exported files, which are kept.
        rounds: turns of each file.
        threads: of the interpreters.
    """
    from keras_shufflenet.inference.runtime import open_interpreter

    paths = export_all(names, folder)
    runs = {name: open_interpreter(path, threads).invoke for name, path in paths.items()}
    return [
        Measured(name, paths[name].stat().st_size, latency)
        for name, latency in take_turns(runs, rounds).items()
    ]


def main(
    patterns: Annotated[list[str], typer.Argument(help="Names of models, or shell patterns.")],
    rounds: Annotated[int, typer.Option(help="Turns of each file.")] = 50,
    threads: Annotated[int, typer.Option(help="Of each interpreter.")] = 1,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the exported files here, for the next time.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="csv file that gets a row for each.")] = None,
) -> None:
    """Measure latency and size of exported models."""
    from keras_shufflenet.models import list_models

    known = list_models() + list_models(task="pose")
    names = [name for name in known if any(fnmatch(name, pattern) for pattern in patterns)]
    if not names:
        raise typer.BadParameter(f"no model has such a name. Received: {' '.join(patterns)}")
    with tempfile.TemporaryDirectory() as temporary:
        figures = measure(names, folder or Path(temporary), rounds, threads)
    table = Table("file", "MB", "median ms", "p90 ms", title=f"LiteRT, threads: {threads}")
    for file, size, (median, p90) in figures:
        table.add_row(file, f"{size / 1e6:.2f}", f"{median:.2f}", f"{p90:.2f}")
        if results is not None:
            row: dict[str, float | str] = {"model": file, "threads": str(threads)}
            row |= {"rounds": rounds, "bytes": str(size), "median_ms": median, "p90_ms": p90}
            append_row(results, row, PROGRAM)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
