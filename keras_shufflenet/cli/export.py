"""`keras-shufflenet export`: write a .tflite file and say what came out."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from keras_shufflenet.cli.options import ModelName, Weights, open_network, people

EXAMPLES = """
keras-shufflenet export runs/pose/model.keras pose.tflite --precision float16
keras-shufflenet export runs/pose/model.keras pose_int8.tflite --precision int8 \
--calibration-annotations train.json --calibration-images train2017/
keras-shufflenet export shufflenet_v2_x1_0 x1_0_int8.tflite --weights imagenet --precision int8 \
--calibration-data train_sample/ --input-dtype uint8
"""


def export(
    model: ModelName,
    output: Annotated[Path, typer.Argument(metavar="OUT.tflite", help="File to write.")],
    weights: Weights = "imagenet",
    precision: Annotated[str, typer.Option(help="float32, float16 or int8.")] = "int8",
    input_dtype: Annotated[str, typer.Option(help="float32, uint8 (raw pixels) or int8.")] = (
        "float32"
    ),
    calibration_annotations: Annotated[
        list[Path] | None, typer.Option(help="COCO json of people, for int8 pose estimators.")
    ] = None,
    calibration_images: Annotated[
        list[Path] | None, typer.Option(help="Folder of its images.")
    ] = None,
    calibration_data: Annotated[
        Path | None, typer.Option(help="Folder of images or labels.csv, for int8 classifiers.")
    ] = None,
    lowered: Annotated[
        bool, typer.Option(help="Rewrite the network into the form that runs fastest.")
    ] = True,
    images: Annotated[int, typer.Option("--count", help="Greatest number of images.")] = 200,
) -> None:
    """Export a model to LiteRT: float32, float16 or full-integer int8."""
    import keras_shufflenet as ks

    network = open_network(model, weights)
    if calibration_data is not None:
        calibration = ks.data.imagenet(calibration_data, batch_size=1)
    elif calibration_annotations:
        calibration = people(calibration_annotations, calibration_images or [], network)
    elif precision == "int8":
        raise ValueError(
            "int8 needs images of real life: --calibration-annotations and --calibration-images "
            "for pose estimators, --calibration-data for classifiers. Received: neither"
        )
    else:
        calibration = None
    report = ks.export.litert(
        network,
        output,
        precision,
        calibration,
        calibration_images=images,
        input_dtype=input_dtype,
        lowered=lowered,
        verbose=True,
    )
    Console().print(report)
