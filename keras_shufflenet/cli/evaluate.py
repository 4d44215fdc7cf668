"""Evaluate a Keras model, or a .keras, .tflite or .onnx file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_shufflenet._files import check_output
from keras_shufflenet.cli.data_arguments import (
    OR_DATASET,
    check_image_dir,
    data_name,
    file_or_dataset,
    path_or_dataset,
)
from keras_shufflenet.cli.options import (
    Model,
    ResizeMethod,
    ResizeSize,
    ResultsCsv,
    Weights,
    check_model,
    import_tensorflow,
    is_model_file,
    open_model,
    report,
)

if TYPE_CHECKING:
    import keras

IMAGENET_EXAMPLES = """
keras-shufflenet evaluate imagenet shufflenet_v2_x1_0 --data val/labels.csv
keras-shufflenet evaluate imagenet x1_0_int8.tflite --data val/ --results-csv imagenet.csv
"""
MPII_EXAMPLES = """
keras-shufflenet evaluate mpii pose_shufflenet_v2_x1_0_mpii_256x256 --annotations mpii_val.json \
--image-dir images/ --ground-truth mpii_gt_val.mat
"""
DETECTION_EXAMPLES = """
keras-shufflenet evaluate detection nanodet_plus_m_416 --annotations instances_val2017.json \
--image-dir val2017/
keras-shufflenet evaluate detection detector.keras --annotations person_keypoints_val2017.json \
--image-dir val2017/ --category person --output-json bboxes.json
"""

Annotations = Annotated[
    Path,
    typer.Option(
        "--annotations", parser=file_or_dataset, metavar="FILE", help=f"COCO json, {OR_DATASET}."
    ),
]
ImageDir = Annotated[
    Path | None,
    typer.Option(
        "--image-dir",
        exists=True,
        file_okay=False,
        help="Folder of the images; none for a dataset of tfds.",
    ),
]
FlipTest = Annotated[
    bool, typer.Option(help="Average the heatmaps with those of the mirrored image.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images or instances per batch.")]


def imagenet(
    model: Model,
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            parser=path_or_dataset,
            metavar="PATH",
            help=f"labels.csv, a folder with a folder per class, {OR_DATASET}.",
        ),
    ],
    weights: Weights = None,
    resize_size: ResizeSize = None,
    resize_method: ResizeMethod = "torchvision",
    batch_size: BatchSize = 32,
    results_csv: ResultsCsv = None,
) -> None:
    """Compute the top-1 and top-5 accuracy of a classifier (0..1)."""
    network = open_checked(model, weights, results_csv)
    import keras_shufflenet as ks

    metrics = ks.metrics.imagenet(
        network,
        data,
        resize_size=resize_size,
        resize_method=resize_method,
        batch_size=batch_size,
    )
    report(_subject(model, weights, data), metrics, results_csv)


def detection(
    model: Model,
    annotations: Annotations,
    image_dir: ImageDir = None,
    weights: Weights = None,
    category: Annotated[
        str | None,
        typer.Option("--category", help="Name or id of the only category to evaluate."),
    ] = None,
    score_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Minimum score of a detection.")
    ] = 0.05,
    output_json: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="json to write the detections to, for `evaluate coco --detections`.",
        ),
    ] = None,
    batch_size: BatchSize = 8,
    results_csv: ResultsCsv = None,
) -> None:
    """Compute the twelve COCO box metrics of a detector (0..1), and the AP of each class."""
    check_image_dir([annotations], [image_dir] if image_dir else None)
    if output_json is not None:
        check_output("output_json", output_json, (".json",))
    network = open_checked(model, weights, results_csv)
    import keras_shufflenet as ks
    from keras_shufflenet.detection.coco_boxes import METRICS

    metrics = ks.metrics.detection(
        network,
        annotations,
        image_dir,
        category=category,
        score_threshold=score_threshold,
        batch_size=batch_size,
        results_path=output_json,
    )
    subject = _subject(model, weights, annotations)
    if len(metrics) > len(METRICS) + 1:  # several classes
        classes = {name: ap for name, ap in metrics.items() if name not in METRICS}
        report(subject, classes, None)
    report(subject, {name: metrics[name] for name in METRICS}, results_csv)


def mpii(
    model: Model,
    annotations: Annotated[
        Path,
        typer.Option(
            "--annotations",
            parser=file_or_dataset,
            metavar="FILE",
            help=f"MPII json of mmpose, {OR_DATASET} (mpii_pose).",
        ),
    ],
    ground_truth: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, help="mpii_gt_val.mat of the same instances."),
    ],
    image_dir: ImageDir = None,
    weights: Weights = None,
    flip_test: FlipTest = True,
    batch_size: BatchSize = 32,
    results_csv: ResultsCsv = None,
) -> None:
    """Compute the PCKh of a pose estimator (0..1)."""
    check_image_dir([annotations], [image_dir] if image_dir else None)
    network = open_checked(model, weights, results_csv)
    import keras_shufflenet as ks

    metrics = ks.metrics.mpii(
        network,
        annotations,
        image_dir,
        ground_truth,
        flip_test=flip_test,
        batch_size=batch_size,
    )
    report(_subject(model, weights, annotations), metrics, results_csv)


def open_checked(model: str, weights: str | None, results_csv: Path | None) -> "keras.Model | str":
    """Check the arguments that all evaluations have, and open the model."""
    if results_csv is not None:
        check_output("results_csv", results_csv)
    check_model(model, weights)
    import_tensorflow()
    return open_model(model, weights)


def _subject(model: str, weights: str | None, data: Path) -> dict[str, str]:
    """Return model, weights (nothing for a file) and data."""
    from keras_shufflenet.weights.catalog import default_dataset

    named = "" if is_model_file(model) else Path(weights or default_dataset(model)).name
    return {"model": Path(model).name, "weights": named, "data": data_name(data)}
