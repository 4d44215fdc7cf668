"""Benchmark the training pipelines against the same steps elsewhere: crops per second.

    python tools/benchmark_pipeline.py --annotations train.json --image-dir train2017
    python tools/benchmark_pipeline.py --data photos/

For pose estimation, both sides produce batches of 32 crops of 256x192 with heatmaps from JPEG
files, on the same number of cores: tf.data in one process, OpenCV in one process per core. For
classification they produce batches of 32 random crops of 224x224, beside a DataLoader of PyTorch
with as many workers and the transforms of torchvision's references on Pillow. Measurements are
interleaved, and the first iteration is a warm-up. CPU time of all processes is reported as well,
because other processes on the machine affect it less than wall time.
"""

import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from keras_shufflenet._checks import check_integer
from keras_shufflenet._results import append_row

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_shufflenet.data import ClassificationDataset, KeypointDataset
    from opencv_pipeline import Workers
    from pillow_pipeline import Loader

PROGRAM = "python tools/benchmark_pipeline.py"
INPUT_SIZE = (256, 192)
CROP_SIZE = 224  # of classification
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

    workers, batches = _checked(iterations, num_samples, workers)
    samples = opencv_pipeline.samples_of(dataset.instances, dataset.paths, INPUT_SIZE)
    with opencv_pipeline.Workers(samples, workers, BATCH) as processes:
        ours, opencv = _interleave(
            iterations,
            lambda iteration: _measure_ours(dataset, batches, iteration * (batches + WARM_UP)),
            lambda iteration: _measure_workers(processes, batches),
        )
    return _summary(ours, opencv, batches * BATCH) | {"rounds": iterations, "workers": workers}


def compare_classification(
    dataset: "ClassificationDataset",
    *,
    iterations: int = 5,
    num_samples: int = 400,
    workers: int | None = None,
) -> dict[str, float | int]:
    """Measure the pipeline of classification and a DataLoader with interleaved measurements.

    Args:
        dataset: The images to crop.
        iterations: Timed iterations of each pipeline.
        num_samples: Crops per iteration; rounded up to whole batches for each worker.
        workers: Processes of the DataLoader; one per core by default.

    Returns:
        Medians over the iterations: crops per second, their ratio, and CPU milliseconds per crop.

    Raises:
        ImportError: If PyTorch is not installed.
        ValueError: If a number is not a positive integer.
    """
    import pillow_pipeline

    workers, batches = _checked(iterations, num_samples, workers)
    files = dataset.paths.tolist(), dataset.classes.tolist()
    loader = pillow_pipeline.Loader(*files, CROP_SIZE, BATCH, workers)
    ours, pillow = _interleave(
        iterations,
        lambda iteration: _measure_crops(dataset, batches, iteration * (batches + WARM_UP)),
        lambda iteration: _measure_loader(loader, batches),
    )
    loader.close()
    numbers = _summary(ours, pillow, batches * BATCH, "pillow")
    return numbers | {"rounds": iterations, "workers": workers}


def _checked(iterations: int, num_samples: int, workers: int | None) -> tuple[int, int]:
    """Check the numbers; return the number of workers and of batches per iteration."""
    workers = (os.cpu_count() or 1) if workers is None else workers
    check_integer("iterations", iterations)
    check_integer("num_samples", num_samples)
    check_integer("workers", workers)
    return workers, -(-num_samples // (BATCH * workers)) * workers


def _interleave(iterations: int, *sides: Callable[[int], Duration]) -> tuple[list[Duration], ...]:
    """Measure each side once per iteration, after a warm-up that is dropped."""
    durations = [[side(iteration) for side in sides] for iteration in range(iterations + 1)]
    return tuple(list(side) for side in zip(*durations[1:], strict=True))


def _measure_ours(dataset: "KeypointDataset", batches: int, start: int) -> Duration:
    from keras_shufflenet.data import keypoints

    pipeline = keypoints(
        dataset, input_size=INPUT_SIZE, training=True, batch_size=BATCH, start_step=start
    )
    return _measure(pipeline, batches)


def _measure_crops(dataset: "ClassificationDataset", batches: int, start: int) -> Duration:
    from keras_shufflenet.data import classification

    pipeline = classification(
        dataset, crop_size=CROP_SIZE, training=True, batch_size=BATCH, start_step=start
    )
    return _measure(pipeline, batches)


def _measure(pipeline: "tf.data.Dataset", batches: int) -> Duration:
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


def _measure_loader(loader: "Loader", batches: int) -> Duration:
    for _ in range(WARM_UP):
        loader.run(1)
    return Duration(*loader.run(batches))


def _summary(
    ours: list[Duration], other: list[Duration], crops: int, name: str = "opencv"
) -> dict[str, float | int]:
    speed, other_speed = (
        median(crops / duration.wall for duration in side) for side in (ours, other)
    )
    cpu, other_cpu = (median(duration.cpu / crops for duration in side) for side in (ours, other))
    return {
        "crops_per_second": speed,
        f"{name}_crops_per_second": other_speed,
        "ratio": median(b.wall / a.wall for a, b in zip(ours, other, strict=True)),
        "cpu_ms_per_crop": 1000 * cpu,
        f"{name}_cpu_ms_per_crop": 1000 * other_cpu,
        "cpu_ratio": median(b.cpu / a.cpu for a, b in zip(ours, other, strict=True)),
        "crops": crops,
    }


def show(numbers: dict[str, float | int]) -> None:
    """Print the result of `compare` or `compare_classification` as a table."""
    table = Table("", "crops / second", "CPU ms / crop", title="Training crops from JPEG")
    known = {"opencv_": "OpenCV", "pillow_": "DataLoader and Pillow"}
    other = next(prefix for prefix in known if f"{prefix}crops_per_second" in numbers)
    sides = {"": "keras_shufflenet", other: f"{known[other]}, {numbers['workers']} processes"}
    for prefix, name in sides.items():
        speed, cpu = numbers[f"{prefix}crops_per_second"], numbers[f"{prefix}cpu_ms_per_crop"]
        table.add_row(name, f"{speed:.0f}", f"{cpu:.2f}")
    table.add_row("ratio", f"{numbers['ratio']:.2f}", f"{numbers['cpu_ratio']:.2f}")
    table.caption = f"medians of {numbers['rounds']} iterations of {numbers['crops']} crops"
    Console().print(table)


def main(
    annotations: Annotated[
        list[Path] | None, typer.Option(help="COCO keypoint json; repeatable.")
    ] = None,
    image_dir: Annotated[
        list[Path] | None, typer.Option(help="Image folder: one for all, or one per json.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="labels.csv or a folder with a folder per class, for classification."),
    ] = None,
    iterations: Annotated[int, typer.Option(help="Timed iterations of each pipeline.")] = 5,
    num_samples: Annotated[int, typer.Option(help="Crops per iteration.")] = 400,
    workers: Annotated[
        int | None, typer.Option(help="Processes of the other side; one per core by default.")
    ] = None,
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append a row to.")] = None,
) -> None:
    """Measure how many training crops per second both pipelines produce."""
    from keras_shufflenet.data import load_classification_dataset, load_keypoint_dataset

    given: dict[str, Any] = {
        "iterations": iterations,
        "num_samples": num_samples,
        "workers": workers,
    }
    if data is not None:
        images = load_classification_dataset(data)
        numbers = compare_classification(images, **given)
        show(numbers)
        if results_csv is not None:
            append_row(results_csv, {"images": len(images), **numbers}, PROGRAM)
        return
    if not annotations or not image_dir:
        raise typer.BadParameter("--annotations and --image-dir, or --data, must be given.")
    folders = image_dir * len(annotations) if len(image_dir) == 1 else image_dir
    dataset = load_keypoint_dataset(annotations, folders)
    numbers = compare(dataset, **given)
    show(numbers)
    if results_csv is not None:
        append_row(results_csv, {"people": len(dataset), **numbers}, PROGRAM)


if __name__ == "__main__":
    typer.run(main)
