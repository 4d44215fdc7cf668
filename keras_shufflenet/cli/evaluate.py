"""Measure the accuracy of a Keras model, a .keras file or a .tflite file."""

from pathlib import Path
from typing import Annotated

import typer

from keras_shufflenet.cli.options import (
    MODEL_FILES,
    ModelName,
    Resize,
    ResizeMethod,
    Results,
    Weights,
    open_model,
)
from keras_shufflenet.cli.results import report

IMAGENET_EXAMPLES = """
keras-shufflenet evaluate imagenet shufflenet_v2_x1_0 --weights imagenet --data val/labels.csv
keras-shufflenet evaluate imagenet x1_0_int8.tflite --data val/ --results results/imagenet.csv
"""
COCO_EXAMPLES = """
keras-shufflenet evaluate coco runs/pose/best.keras --annotations val.json --images val2017/
keras-shufflenet evaluate coco pose_int8.tflite --annotations val.json --images val2017/ \
--detections boxes.json --results results/coco.csv
"""


def imagenet(
    model: ModelName,
    data: Annotated[
        Path, typer.Option("--data", help="labels.csv, or a folder of folders of images.")
    ],
    weights: Weights = None,
    resize: Resize = None,
    protocol: ResizeMethod = "torchvision",
    batch_size: Annotated[int, typer.Option(help="Images at a time.")] = 32,
    results: Results = None,
) -> None:
    """Measure the top-1 and top-5 accuracy of a classifier."""
    import keras_shufflenet as ks

    numbers = ks.metrics.imagenet(
        open_model(model, weights),
        data,
        resize_size=resize,
        resize_method=protocol,
        batch_size=batch_size,
    )
    subject = {"model": Path(model).name, "weights": _named(model, weights), "data": data.name}
    report(subject, numbers, results)


def coco(
    model: ModelName,
    annotations: Annotated[
        Path, typer.Option("--annotations", help="COCO keypoint json of the people.")
    ],
    images: Annotated[Path, typer.Option("--images", help="Folder of the images.")],
    weights: Weights = None,
    detections: Annotated[
        Path | None,
        typer.Option(help="json of a detector's boxes; annotated boxes are used without it."),
    ] = None,
    flip_test: Annotated[
        bool, typer.Option(help="Average the heatmaps with those of the mirrored image.")
    ] = True,
    batch_size: Annotated[int, typer.Option(help="PoseInstances at a time.")] = 32,
    results: Results = None,
) -> None:
    """Measure COCO's ten keypoint numbers of a pose estimator."""
    import keras_shufflenet as ks

    numbers = ks.metrics.coco(
        open_model(model, weights, default=None),
        annotations,
        images,
        detections=detections,
        flip_test=flip_test,
        batch_size=batch_size,
    )
    subject = {"model": Path(model).name, "data": annotations.name}
    report(subject, numbers, results)


def _named(model: str, weights: str | None) -> str:
    """What a row of results calls the weights: nothing for a file."""
    return "" if model.endswith(MODEL_FILES) else Path(weights or "imagenet").name
