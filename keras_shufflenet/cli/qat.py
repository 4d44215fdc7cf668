"""`keras-shufflenet qat`: quantization-aware training."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from keras_shufflenet._files import check_output
from keras_shufflenet._requirements import QAT_PACKAGES, check_installed
from keras_shufflenet.cli.detection_images import annotated_images, find_detector, folder_images
from keras_shufflenet.cli.options import (
    Category,
    Keypoints,
    Network,
    NumCalibrationSamples,
    Output,
    Weights,
    check_model,
    classification_data,
    import_tensorflow,
    keypoint_data,
    open_network,
    parse_keypoints,
)

EXAMPLES = """
keras-shufflenet qat runs/pose/model.keras pose_int8.tflite --annotations train.json \
--image-dir train2017/
keras-shufflenet qat shufflenet_v2_x1_0 x1_0_int8.tflite --data photos/ --steps 500 \
--learning-rate 3e-5 --input-dtype uint8
keras-shufflenet qat nanodet_m_416 detector_int8.tflite --data photos/ --batch-size 8
"""


def qat(
    model: Network,
    output: Output,
    weights: Weights = None,
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="Folder of images for classifiers and detectors, or labels.csv."
        ),
    ] = None,
    annotations: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="COCO json, for pose estimators and detectors; may be repeated.",
        ),
    ] = None,
    image_dir: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder of its images: one for each json, or one for all.",
        ),
    ] = None,
    loss: Annotated[
        Literal["distillation", "labels"],
        typer.Option(help="Targets: the outputs of the float network, or the annotations."),
    ] = "distillation",
    steps: Annotated[int, typer.Option(min=0, help="Batches to train on.")] = 300,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per batch.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-4,
    input_dtype: Annotated[str, typer.Option(help="float32, uint8 (pixels 0..255) or int8.")] = (
        "float32"
    ),
    seed: Annotated[int, typer.Option(help="Seed of order and augmentation.")] = 0,
    num_calibration_samples: NumCalibrationSamples = 200,
    category: Category = None,
    keypoints: Keypoints = None,
) -> None:
    """Fine-tune a trained model with int8 weights and activations, and export it."""
    check_model(model, weights, (".keras",))
    check_installed("Export to LiteRT", "export", ("ai_edge_litert",))
    check_installed("Quantization-aware training", "qat", QAT_PACKAGES)
    check_output("output", output, (".tflite",))
    if data is None and not annotations:
        raise ValueError(
            "qat requires --data for classifiers and detectors, or --annotations and --image-dir "
            "for pose estimators and detectors. Received: neither"
        )
    skeleton = parse_keypoints(keypoints, category)
    from rich.console import Console

    import_tensorflow()
    import keras_shufflenet as ks

    network = open_network(model, weights)
    detector = find_detector(network)
    dataset: Any
    if detector is not None and annotations:
        dataset = annotated_images(detector, annotations, image_dir or [], batch_size)
    elif detector is not None and data is not None:
        dataset = folder_images(detector, data, "--data", batch_size)
    elif annotations:
        dataset = keypoint_data(
            annotations,
            image_dir or [],
            network,
            skeleton=skeleton,
            category=category,
            batch_size=batch_size,
            seed=seed,
        )
    else:
        assert data is not None  # checked above
        dataset = classification_data(
            data, network, training=loss == "labels", batch_size=batch_size, seed=seed
        )
    report = ks.export.quantization_aware_training(
        network,
        output,
        dataset,
        loss=loss,
        steps=steps,
        learning_rate=learning_rate,
        num_calibration_samples=num_calibration_samples,
        input_dtype=input_dtype,
        skeleton=skeleton,
        verbose=True,
    )
    Console(markup=False).print(report)
