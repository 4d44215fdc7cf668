"""`keras-shufflenet qat`: train a network for int8 and write the .tflite file."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from keras_shufflenet.cli.options import ModelName, Weights, open_network, people, photographs

EXAMPLES = """
keras-shufflenet qat runs/pose/model.keras pose_int8.tflite --annotations train.json \
--images train2017/
keras-shufflenet qat shufflenet_v2_x1_0 x1_0_int8.tflite --weights imagenet --data train_sample/ \
--steps 500 --lr 3e-5 --input-dtype uint8
"""


def qat(
    model: ModelName,
    output: Annotated[Path, typer.Argument(metavar="OUT.tflite", help="File to write.")],
    weights: Weights = None,
    annotations: Annotated[
        list[Path] | None,
        typer.Option(help="COCO json of people to train pose estimators on; may be repeated."),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of its images: one for each json, or one for all."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of images or labels.csv to train classifiers on."),
    ] = None,
    loss: Annotated[
        Literal["distillation", "labels"],
        typer.Option(help="Learn what the float network says, or the annotations."),
    ] = "distillation",
    steps: Annotated[int | None, typer.Option(help="Batches to train on.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images in a batch.")] = 32,
    learning_rate: Annotated[
        float | None,
        typer.Option("--lr", help="Greatest learning rate."),
    ] = None,
    input_dtype: Annotated[str, typer.Option(help="float32, uint8 (raw pixels) or int8.")] = (
        "float32"
    ),
    seed: Annotated[int, typer.Option(help="Of order and augmentation.")] = 0,
    count: Annotated[
        int, typer.Option(help="Greatest number of images that ranges are learned from.")
    ] = 200,
) -> None:
    """Quantization-aware training of a trained model, exported to LiteRT in int8."""
    import keras_shufflenet as ks

    network = open_network(model, weights)
    given: dict[str, Any] = {"steps": steps, "learning_rate": learning_rate}
    report = ks.export.quantization_aware_training(
        network,
        output,
        _dataset(network, data, annotations, images, loss, batch_size, seed),
        loss=loss,
        num_calibration_samples=count,
        input_dtype=input_dtype,
        verbose=True,
        **{key: value for key, value in given.items() if value is not None},
    )
    Console().print(report)


def _dataset(
    network: Any,
    data: Path | None,
    annotations: list[Path] | None,
    images: list[Path] | None,
    loss: str,
    batch_size: int,
    seed: int,
) -> Any:
    if annotations:
        return people(annotations, images or [], network, batch_size=batch_size, seed=seed)
    if data is None:
        raise ValueError(
            "quantization-aware training needs --annotations and --images for pose estimators, "
            "--data for classifiers. Received: neither"
        )
    return photographs(data, network, training=loss == "labels", batch_size=batch_size, seed=seed)
