"""`keras-shufflenet evaluate coco`: keypoint AP with annotated boxes, and with a detector."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from keras_shufflenet._files import check_output
from keras_shufflenet.cli.data_arguments import check_image_dir, data_name, is_dataset, opened
from keras_shufflenet.cli.detectors import DetectorWeights, check_detector, open_detector
from keras_shufflenet.cli.evaluate import Annotations, BatchSize, FlipTest, open_checked
from keras_shufflenet.cli.options import (
    Category,
    Keypoints,
    ResultsCsv,
    Weights,
    open_network,
    parse_keypoints,
)

EXAMPLES = """
keras-shufflenet evaluate coco runs/pose/best.keras --annotations val.json --image-dir val2017/
keras-shufflenet evaluate coco pose_int8.tflite --annotations val.json --image-dir val2017/ \
--detections bboxes.json --results-csv coco.csv
keras-shufflenet evaluate coco pose_int8.tflite --annotations val.json --image-dir val2017/ \
--detector nanodet_plus_m_416
keras-shufflenet evaluate coco --results poses.json --annotations val.json
"""
ANNOTATED = "annotated"  # boxes
SCORE_THRESHOLD, IOU_THRESHOLD = 0.05, 0.6  # those of detection.decoding, which help must not load


def coco(
    annotations: Annotations,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A .keras, .tflite or .onnx file, or a name of `keras-shufflenet models`; none "
            "with --results.",
        ),
    ] = None,
    image_dir: Annotated[
        Path | None,
        typer.Option(
            "--image-dir",
            exists=True,
            file_okay=False,
            help="Folder of the images; none for a dataset of tfds.",
        ),
    ] = None,
    weights: Weights = None,
    detections: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="json of a detector's boxes. Default: the annotated boxes.",
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="Detector to find the persons with, beside the evaluation with annotated boxes: "
            "a .keras, .tflite or .onnx file, or a name of `keras-shufflenet models`."
        ),
    ] = None,
    detector_weights: DetectorWeights = None,
    detector_score_threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help=f"Minimum score of a detected person. Default: {SCORE_THRESHOLD}."
        ),
    ] = None,
    detector_iou_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Maximum overlap (IoU) of two detected persons that are both kept. "
            f"Default: {IOU_THRESHOLD}.",
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="json of poses in COCO's results format, to score instead of a model.",
        ),
    ] = None,
    category: Category = None,
    keypoints: Keypoints = None,
    flip_test: FlipTest = True,
    batch_size: BatchSize = 32,
    output_json: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="json to write the poses to, in COCO's results format: those in detected boxes, "
            "if there are some.",
        ),
    ] = None,
    results_csv: ResultsCsv = None,
) -> None:
    """Compute the ten COCO keypoint metrics of a pose estimator (AP and AR, 0..1).

    With --detector, two columns: with annotated boxes, and of both networks end to end.
    """
    of_detector = {
        "--detector-weights": detector_weights,
        "--detector-score-threshold": detector_score_threshold,
        "--detector-iou-threshold": detector_iou_threshold,
    }
    others = {
        **{"MODEL": model, "--image-dir": image_dir, "--weights": weights},
        **{"--detections": detections, "--detector": detector, "--output-json": output_json},
        **of_detector,
    }
    if results is not None:
        if _given(others):
            raise ValueError(
                f"--results must be given without {', '.join(others)}. "
                f"Received: {results} and {_given(others)}"
            )
        metrics = _score(annotations, results, category, keypoints, results_csv)
        _report(results.name, {"": metrics}, annotations, results_csv)
        return
    if model is None or (image_dir is None and not is_dataset(annotations)):
        raise ValueError(
            "MODEL and --image-dir must be given together, or --results instead. "
            f"Received: {_given(others) or 'neither'}"
        )
    check_image_dir([annotations], [image_dir] if image_dir else None)
    if detector is None and _given(of_detector):
        raise ValueError(
            f"{', '.join(of_detector)} must be given with --detector. "
            f"Received: {_given(of_detector)}"
        )
    if detector is not None:
        if detections is not None:
            raise ValueError(
                "--detections and --detector must not be given together. "
                f"Received: {detections} and {detector}"
            )
        check_detector(detector, detector_weights)
    if output_json is not None:
        check_output("output_json", output_json, (".json",))
    _check_csv(results_csv)
    network = open_checked(model, weights, results_csv)
    if isinstance(network, str) and network.endswith(".keras"):
        network = open_network(network, None)  # once for both evaluations
    import keras_shufflenet as ks

    evaluate = partial(
        ks.metrics.coco,
        network,
        annotations,
        image_dir,
        skeleton=parse_keypoints(keypoints, category),
        category=category,
        flip_test=flip_test,
        batch_size=batch_size,
    )
    if detector is None:
        boxes = detections.name if detections else ANNOTATED
        columns = {boxes: evaluate(detections=detections, results_path=output_json)}
    else:
        found = evaluate(
            detector=open_detector(detector, detector_weights),
            detector_score_threshold=_or(detector_score_threshold, SCORE_THRESHOLD),
            detector_iou_threshold=_or(detector_iou_threshold, IOU_THRESHOLD),
            results_path=output_json,
        )
        has_truth = any(value >= 0 for value in found.values())
        columns = {ANNOTATED: evaluate()} if has_truth else {}
        columns[Path(detector).name] = found
    _report(Path(model).name, columns, annotations, results_csv)


def _given(options: Mapping[str, object]) -> str:
    """Return the options that have a value, as text."""
    return " and ".join(str(value) for value in options.values() if value is not None)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _check_csv(results_csv: Path | None) -> None:
    """Check that the rows will have the columns of the file."""
    from keras_shufflenet._results import check_columns
    from keras_shufflenet.keypoints.coco import METRICS

    if results_csv is not None:
        check_output("results_csv", results_csv)
        check_columns(results_csv, ("model", "boxes", "data", *METRICS))


def _report(
    model: str,
    columns: Mapping[str, Mapping[str, float]],
    annotations: Path,
    results_csv: Path | None,
) -> None:
    """Print the metrics of a model by its boxes as one table, and append a row for each."""
    from rich.console import Console
    from rich.table import Table

    from keras_shufflenet._results import append_row

    several = len(columns) > 1
    table = Table("", *(columns if several else [model]), title=model if several else None)
    for name in next(iter(columns.values())):
        table.add_row(name, *(f"{metrics[name]:.4f}" for metrics in columns.values()))
    Console(markup=False).print(table)  # names may have brackets
    for boxes, metrics in columns.items():
        if results_csv is not None:
            row = {"model": model, "boxes": boxes, "data": data_name(annotations)}
            append_row(results_csv, {**row, **metrics})


def _score(
    annotations: Path,
    results: Path,
    category: str | None,
    keypoints: str | None,
    results_csv: Path | None,
) -> dict[str, float]:
    """Score poses that were predicted elsewhere, without TensorFlow."""
    from keras_shufflenet.keypoints import evaluate_keypoints

    _check_csv(results_csv)
    return evaluate_keypoints(
        opened(annotations), results, parse_keypoints(keypoints, category), category
    )
