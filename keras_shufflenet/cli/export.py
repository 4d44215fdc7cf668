"""`keras-shufflenet export`: write a .tflite file and say what came out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from keras_shufflenet.cli.options import ModelName, Weights, open_network, people, photographs

if TYPE_CHECKING:
    from collections.abc import Callable

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
    weights: Weights = None,
    precision: Annotated[
        str, typer.Option(help="float32, float16, int8, int16x8 or dynamic.")
    ] = "int8",
    input_dtype: Annotated[
        str, typer.Option(help="float32, uint8 (raw pixels), int8 or int16.")
    ] = "float32",
    per_channel: Annotated[
        bool, typer.Option(help="A scale for each channel of a kernel, or for each kernel.")
    ] = True,
    calibration_method: Annotated[
        str, typer.Option(help="How ranges are found: mse, min_max or moving_average.")
    ] = "mse",
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
    labels: Annotated[
        Path | None,
        typer.Option(help="Text file with a line for each class, to be put into the file."),
    ] = None,
    evaluate_annotations: Annotated[
        Path | None, typer.Option(help="COCO json of people, for the AP in the report.")
    ] = None,
    evaluate_images: Annotated[Path | None, typer.Option(help="Folder of its images.")] = None,
    evaluate_data: Annotated[
        Path | None,
        typer.Option(help="Folder of images or labels.csv, for the accuracy in the report."),
    ] = None,
) -> None:
    """Export a model to LiteRT: float32, float16, int8, int16x8 or dynamic range.

    The report is printed and lies beside the file, as OUT.tflite.json and OUT.tflite.md.
    """
    import keras_shufflenet as ks
    from keras_shufflenet.inference.pose import is_pose_output

    if calibration_data is not None and calibration_annotations:
        raise ValueError(
            "--calibration-data is for classifiers, --calibration-annotations for pose estimators. "
            f"Received: {calibration_data} and {calibration_annotations[0]}"
        )
    names = _read_labels(labels) if labels else None
    evaluate = _evaluation(evaluate_annotations, evaluate_images, evaluate_data)
    network = open_network(model, weights)
    if evaluate_annotations is not None and len(network.output_shape) != 4:
        raise ValueError(
            "--evaluate-annotations is for pose estimators; classifiers take --evaluate-data. "
            f"Received: {model}"
        )
    poses = is_pose_output(network.output_shape[1:])
    if poses and (calibration_data is not None or evaluate_data is not None):
        raise ValueError(
            "--calibration-data and --evaluate-data are for classifiers; pose estimators take "
            "--calibration-annotations and --evaluate-annotations, with their folders of images. "
            f"Received: {calibration_data or evaluate_data}"
        )
    if calibration_data is not None:
        calibration = photographs(calibration_data, network, batch_size=1)
    elif calibration_annotations:
        calibration = people(calibration_annotations, calibration_images or [], network)
    elif precision in ("int8", "int16x8"):
        raise ValueError(
            f"{precision} needs images of real life: --calibration-annotations and "
            "--calibration-images for pose estimators, --calibration-data for classifiers. "
            "Received: neither"
        )
    else:
        calibration = None
    report = ks.export.litert(
        network,
        output,
        precision,
        calibration,
        num_calibration_samples=images,
        calibration_method=calibration_method,
        per_channel=per_channel,
        input_dtype=input_dtype,
        optimize=lowered,
        labels=names,
        evaluate=evaluate,
        verbose=True,
    )
    Console().print(report)


def _read_labels(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"--labels is a text file, a line a class. Received: {path}") from error


def _evaluation(
    annotations: Path | None, images: Path | None, data: Path | None
) -> "Callable[[Path], dict[str, float]] | None":
    """What measures the file, if there is data to measure it with."""
    import keras_shufflenet as ks

    if (annotations is None) != (images is None):
        raise ValueError(
            "--evaluate-annotations and --evaluate-images go together. "
            f"Received: {annotations or images}"
        )
    for path in (annotations, images, data):
        if path is not None and not path.exists():
            raise FileNotFoundError(f"there is no such data to evaluate with. Received: {path}")
    if annotations is not None and images is not None:
        return lambda file: ks.metrics.coco(file, annotations, images)
    return None if data is None else lambda file: ks.metrics.imagenet(file, data)
