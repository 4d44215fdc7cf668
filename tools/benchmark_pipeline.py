"""Benchmark the training pipeline against the same steps in OpenCV: crops per second.

    python tools/benchmark_pipeline.py --annotations train.json --image-dir train2017

Both produce batches of 32 crops of 256x192 with heatmaps from JPEG files, on the same number of
cores: tf.data in one process, OpenCV in one process per core. Measurements are interleaved, and the
first iteration is a warm-up. CPU time is reported as well, because other processes on the machine
affect it less than wall time.
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

from keras_shufflenet._checks import check_integer
from keras_shufflenet._results import append_row

if TYPE_CHECKING:
    from keras_shufflenet.data import KeypointDataset
    from opencv_pipeline import Workers

PROGRAM = "python tools/benchmark_pipeline.py"
INPUT_SIZE = (256, 192)
BATCH = 32
WARM_UP = 5  # batches of each iteration that are not timed; they empty the pipeline's buffers


class Duration(NamedTuple):
    """Seconds of one iteration: wall time, and CPU time of all cores together."""

    wall: float
    cpu: float


def compare(
    dataset: "KeypointDataset",
    *,
    iterations: int = 5,
    num_samples: int = 400,
    workers: int | None = None,
) -> dict[str, float | int]:
    """Measure both pipelines with interleaved measurements.

    Args:
        dataset: The instances to crop.
        iterations: Timed iterations of each pipeline.
        num_samples: Crops per iteration; rounded up to whole batches for each worker.
        workers: Processes of OpenCV; one per core by default.

    Returns:
        Medians over the iterations: crops per second, their ratio, and CPU milliseconds per crop.

    Raises:
        ImportError: If OpenCV is not installed.
        ValueError: If a number is not a positive integer.
    """
    import opencv_pipeline

    workers = (os.cpu_count() or 1) if workers is None else workers
    check_integer("iterations", iterations)
    check_integer("num_samples", num_samples)
    check_integer("workers", workers)
    batches = -(-num_samples // (BATCH * workers)) * workers
    samples = opencv_pipeline.samples_of(dataset.instances, dataset.paths, INPUT_SIZE)
    with opencv_pipeline.Workers(samples, workers, BATCH) as processes:
        ours, opencv = _interleave(
            iterations,
            lambda iteration: _measure_ours(dataset, batches, iteration * (batches + WARM_UP)),
            lambda iteration: _measure_workers(processes, batches),
        )
    return _summary(ours, opencv, batches * BATCH) | {"rounds": iterations, "workers": workers}


def _interleave(iterations: int, *sides: Callable[[int], Duration]) -> tuple[list[Duration], ...]:
    """Measure each side once per iteration, after a warm-up that is dropped."""
    durations = [[side(iteration) for side in sides] for iteration in range(iterations + 1)]
    return tuple(list(side) for side in zip(*durations[1:], strict=True))


def _measure_ours(dataset: "KeypointDataset", batches: int, start: int) -> Duration:
    from keras_shufflenet.data import keypoints

    pipeline = keypoints(
        dataset, input_size=INPUT_SIZE, training=True, batch_size=BATCH, start_step=start
    )
    stream = iter(pipeline.take(WARM_UP + batches))
    for _ in range(WARM_UP):
        next(stream)
    wall, cpu = perf_counter(), process_time()
    for _ in stream:
        pass
    return Duration(perf_counter() - wall, process_time() - cpu)


def _measure_workers(workers: "Workers", batches: int) -> Duration:
    wall = perf_counter()
    cpu = workers.run(batches)
    return Duration(perf_counter() - wall, cpu)


def _summary(ours: list[Duration], opencv: list[Duration], crops: int) -> dict[str, float | int]:
    ours_speed, opencv_speed = (
        median(crops / duration.wall for duration in side) for side in (ours, opencv)
    )
    ours_cpu, opencv_cpu = (
        median(duration.cpu / crops for duration in side) for side in (ours, opencv)
    )
    return {
        "crops_per_second": ours_speed,
        "opencv_crops_per_second": opencv_speed,
        "ratio": median(b.wall / a.wall for a, b in zip(ours, opencv, strict=True)),
        "cpu_ms_per_crop": 1000 * ours_cpu,
        "opencv_cpu_ms_per_crop": 1000 * opencv_cpu,
        "cpu_ratio": median(b.cpu / a.cpu for a, b in zip(ours, opencv, strict=True)),
        "crops": crops,
    }


def show(numbers: dict[str, float | int]) -> None:
    """Print the result of `compare` as a table."""
    table = Table("", "crops / second", "CPU ms / crop", title="Training crops from JPEG")
    sides = (("keras_shufflenet", ""), (f"OpenCV, {numbers['workers']} processes", "opencv_"))
    for name, prefix in sides:
        speed, cpu = numbers[f"{prefix}crops_per_second"], numbers[f"{prefix}cpu_ms_per_crop"]
        table.add_row(name, f"{speed:.0f}", f"{cpu:.2f}")
    table.add_row("ratio", f"{numbers['ratio']:.2f}", f"{numbers['cpu_ratio']:.2f}")
    table.caption = f"medians of {numbers['rounds']} iterations of {numbers['crops']} crops"
    Console().print(table)


def main(
    annotations: Annotated[list[Path], typer.Option(help="COCO keypoint json; repeatable.")],
    image_dir: Annotated[
        list[Path], typer.Option(help="Image folder: one for all, or one per json.")
    ],
    iterations: Annotated[int, typer.Option(help="Timed iterations of each pipeline.")] = 5,
    num_samples: Annotated[int, typer.Option(help="Crops per iteration.")] = 400,
    workers: Annotated[
        int | None, typer.Option(help="Processes of OpenCV; one per core by default.")
    ] = None,
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append a row to.")] = None,
) -> None:
    """Measure how many training crops per second both pipelines produce."""
    from keras_shufflenet.data import load_keypoint_dataset

    folders = image_dir * len(annotations) if len(image_dir) == 1 else image_dir
    dataset = load_keypoint_dataset(annotations, folders)
    numbers = compare(dataset, iterations=iterations, num_samples=num_samples, workers=workers)
    show(numbers)
    if results_csv is not None:
        append_row(results_csv, {"people": len(dataset), **numbers}, PROGRAM)


if __name__ == "__main__":
    typer.run(main)
