"""Crops per second of the training pipeline and of the same steps in OpenCV, side by side.

    python -m keras_shufflenet.benchmark.pipeline --annotations train.json --images train2017/

Both make batches of 32 from JPEG files in 256x192 with heatmaps, on as many cores: ours in one
process, OpenCV in a process for each core. They take turns, so that both meet the same machine;
the first turn of each is not counted. CPU time is reported too: it says more than the clock where
others use the machine.
"""

import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from keras_shufflenet._results import append_row

if TYPE_CHECKING:
    from keras_shufflenet.benchmark.opencv_people import Workers
    from keras_shufflenet.data import KeypointDataset

PROGRAM = "python -m keras_shufflenet.benchmark.pipeline"
INPUT_SIZE = (256, 192)
BATCH = 32
_WARM_UP = 5  # batches of every round that are not measured; they empty the pipeline's buffers


class Turn(NamedTuple):
    """Seconds of one round: by the clock and of CPU, of all cores together."""

    clock: float
    cpu: float


def compare(
    samples: "KeypointDataset", *, rounds: int = 5, count: int = 400, workers: int | None = None
) -> dict[str, float | int]:
    """Measure both pipelines in turns.

    Args:
        samples: people to make crops of.
        rounds: turns of each that count.
        count: crops of a turn; rounded up to whole batches for each worker.
        workers: processes of OpenCV; one for each core by default.

    Returns:
        Medians over the rounds: crops per second, their ratio, and CPU milliseconds per crop.

    Raises:
        ImportError: OpenCV is missing.
        ValueError: a number is not positive.
    """
    from keras_shufflenet.benchmark import opencv_people

    workers = workers or os.cpu_count() or 1
    if min(rounds, count, workers) < 1:
        raise ValueError(
            "rounds, samples and workers must be positive. "
            f"Received: rounds={rounds}, samples={count}, workers={workers}"
        )
    batches = -(-count // (BATCH * workers)) * workers
    rival = opencv_people.samples_of(samples.instances, samples.paths, INPUT_SIZE)
    with opencv_people.Workers(rival, workers, BATCH) as processes:
        ours, opencv = _take_turns(
            rounds,
            lambda turn: _measure_ours(samples, batches, turn * (batches + _WARM_UP)),
            lambda turn: _measure_workers(processes, batches),
        )
    return _summary(ours, opencv, batches * BATCH) | {"rounds": rounds, "workers": workers}


def _take_turns(rounds: int, *sides: Callable[[int], Turn]) -> tuple[list[Turn], ...]:
    """Measure each side once per round, and once before that does not count."""
    turns = [[side(turn) for side in sides] for turn in range(rounds + 1)]
    return tuple(list(side) for side in zip(*turns[1:], strict=True))


def _measure_ours(samples: "KeypointDataset", batches: int, start: int) -> Turn:
    from keras_shufflenet.data import keypoints

    pipeline = keypoints(
        samples, input_size=INPUT_SIZE, training=True, batch_size=BATCH, start_step=start
    )
    stream = iter(pipeline.take(_WARM_UP + batches))
    for _ in range(_WARM_UP):
        next(stream)
    clock, cpu = perf_counter(), process_time()
    for _ in stream:
        pass
    return Turn(perf_counter() - clock, process_time() - cpu)


def _measure_workers(workers: "Workers", batches: int) -> Turn:
    clock = perf_counter()
    cpu = workers.run(batches)
    return Turn(perf_counter() - clock, cpu)


def _summary(ours: list[Turn], opencv: list[Turn], crops: int) -> dict[str, float | int]:
    ours_clock, opencv_clock = (
        median(crops / turn.clock for turn in side) for side in (ours, opencv)
    )
    ours_cpu, opencv_cpu = (median(turn.cpu / crops for turn in side) for side in (ours, opencv))
    return {
        "crops_per_second": ours_clock,
        "opencv_crops_per_second": opencv_clock,
        "ratio": median(b.clock / a.clock for a, b in zip(ours, opencv, strict=True)),
        "cpu_ms_per_crop": 1000 * ours_cpu,
        "opencv_cpu_ms_per_crop": 1000 * opencv_cpu,
        "cpu_ratio": median(b.cpu / a.cpu for a, b in zip(ours, opencv, strict=True)),
        "crops": crops,
    }


def _show(numbers: dict[str, float | int]) -> None:
    table = Table("", "crops / second", "CPU ms / crop", title="Training crops from JPEG")
    sides = (("keras_shufflenet", ""), (f"OpenCV, {numbers['workers']} processes", "opencv_"))
    for name, prefix in sides:
        speed, cpu = numbers[f"{prefix}crops_per_second"], numbers[f"{prefix}cpu_ms_per_crop"]
        table.add_row(name, f"{speed:.0f}", f"{cpu:.2f}")
    table.add_row("ratio", f"{numbers['ratio']:.2f}", f"{numbers['cpu_ratio']:.2f}")
    table.caption = f"medians of {numbers['rounds']} rounds of {numbers['crops']} crops each"
    Console().print(table)


def main(
    annotations: Annotated[list[Path], typer.Option(help="COCO keypoint json; repeatable.")],
    images: Annotated[
        list[Path], typer.Option(help="Folder of the images: one, or one for each json.")
    ],
    rounds: Annotated[int, typer.Option(help="Turns of each side.")] = 5,
    samples: Annotated[int, typer.Option(help="Crops of a turn.")] = 400,
    workers: Annotated[
        int | None, typer.Option(help="Processes of OpenCV; one for each core by default.")
    ] = None,
    results: Annotated[Path | None, typer.Option(help="csv file that gets a row.")] = None,
) -> None:
    """Measure how many training crops a second both pipelines make."""
    from keras_shufflenet.data import load_keypoint_dataset

    folders = images * len(annotations) if len(images) == 1 else images
    people = load_keypoint_dataset(annotations, folders)
    numbers = compare(people, rounds=rounds, count=samples, workers=workers)
    _show(numbers)
    if results is not None:
        append_row(results, {"people": len(people), **numbers}, PROGRAM)


if __name__ == "__main__":
    typer.run(main)
