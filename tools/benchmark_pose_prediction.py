"""Benchmark pose estimation of photographs, from the file to skeletons: milliseconds per picture.

    python tools/benchmark_pose_prediction.py one.jpg three.jpg ten.jpg \
        --detector detector.tflite --pose pose.tflite

Both models run with one thread. Pictures are measured one after the other, and each row has the
number of persons that the detector found.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from keras_shufflenet._checks import check_integer
from keras_shufflenet._results import append_row

if TYPE_CHECKING:
    from keras_shufflenet.inference.pose import PosePredictor

PROGRAM = "python tools/benchmark_pose_prediction.py"
WARM_UP = 2  # predictions that are not timed
PARTS = ("read", "detect", "crop", "pose")


def measure(predictor: "PosePredictor", image: Any, iterations: int = 20) -> dict[str, float]:
    """Measure a picture.

    Args:
        predictor: A pose estimator with a detector.
        image: As for `PosePredictor.predict`.
        iterations: Timed predictions.

    Returns:
        The number of persons, and medians in milliseconds: of the whole prediction, and of its
        parts, which are reading the file, detection, cropping, and the pose estimator with the
        decoding of its heatmaps.

    Raises:
        ValueError: If `iterations` is not a positive integer, the image cannot be decoded, or the
            detector finds no person in it.
    """
    check_integer("iterations", iterations)
    if not len(predictor.predict(image).scores):
        raise ValueError(f"`image` must show persons that the detector finds. Received: {image}")
    whole, parts = [], []
    for number in range(WARM_UP + iterations):
        start = perf_counter()
        found = predictor.predict(image)
        seconds = perf_counter() - start
        each = _parts(predictor, image)
        if number >= WARM_UP:
            whole.append(seconds)
            parts.append(each)
    split = zip(PARTS, zip(*parts, strict=True), strict=True)
    return {
        "persons": len(found.scores),
        "median_ms": 1000 * median(whole),
        **{f"{part}_ms": 1000 * median(times) for part, times in split},
    }


def _parts(predictor: "PosePredictor", image: Any) -> list[float]:
    """Return the seconds of each part of a prediction."""
    from keras_shufflenet.inference.image_io import to_array
    from keras_shufflenet.keypoints.boxes import box_to_center_scale

    assert predictor.detector is not None
    seconds = []

    def timed(function: Callable[[], Any]) -> Any:
        start = perf_counter()
        result = function()
        seconds.append(perf_counter() - start)
        return result

    detect, size = predictor.detector.detect, predictor.codec.input_size
    pixels = timed(lambda: to_array(image))
    (boxes,) = timed(lambda: detect([pixels]))
    centers, scales = box_to_center_scale(boxes.bboxes, size)
    crops = timed(lambda: predictor.crop(pixels, centers, scales))
    timed(lambda: predictor.predict_crops(crops, centers, scales))
    return seconds


def show(rows: Sequence[dict[str, float]]) -> None:
    """Print results of `measure` as a table."""
    table = Table("persons", "ms per picture", *(f"{part}, ms" for part in PARTS))
    for row in rows:
        columns = ("median_ms", *(f"{part}_ms" for part in PARTS))
        table.add_row(f"{row['persons']:.0f}", *(f"{row[name]:.1f}" for name in columns))
    Console().print(table)


def main(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", exists=True, dir_okay=False)],
    detector: Annotated[str, typer.Option(help="Detector: a file, or a published model.")],
    pose: Annotated[str, typer.Option(help="Pose estimator: a file, or a published model.")],
    flip_test: Annotated[bool, typer.Option(help="Average with the mirrored crops.")] = False,
    iterations: Annotated[int, typer.Option(min=1, help="Timed predictions per picture.")] = 20,
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append rows to.")] = None,
) -> None:
    """Measure pose estimation of photographs with one thread."""
    from keras_shufflenet.inference.pose import PosePredictor

    predictor = PosePredictor.load(pose, detector=detector, flip_test=flip_test)
    rows = [measure(predictor, image, iterations) for image in images]
    show(rows)
    if results_csv is not None:
        names = {"detector": Path(detector).name, "pose": Path(pose).name}
        for row in rows:
            append_row(results_csv, {**names, "rounds": iterations, **row}, PROGRAM)


if __name__ == "__main__":
    typer.run(main)
