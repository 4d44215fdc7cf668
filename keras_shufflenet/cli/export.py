"""`keras-shufflenet export`: write a .tflite file and report on it, or an ONNX or OpenVINO file."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from keras_shufflenet._files import check_output
from keras_shufflenet._requirements import check_installed
from keras_shufflenet.cli.data_arguments import pair
from keras_shufflenet.cli.detection_images import annotated_images, find_detector, folder_images
from keras_shufflenet.cli.export_graph import WRITERS, defaults, write_graph
from keras_shufflenet.cli.options import (
    Category,
    Keypoints,
    Network,
    NumCalibrationSamples,
    Weights,
    check_model,
    classification_data,
    import_tensorflow,
    keypoint_data,
    open_network,
    parse_keypoints,
    parse_size,
)

EXAMPLES = """
keras-shufflenet export runs/pose/model.keras pose.tflite --precision float16
keras-shufflenet export runs/pose/model.keras pose_int8.tflite \
--calibration-annotations train.json --calibration-image-dir train2017/
keras-shufflenet export shufflenet_v2_x1_0 x1_0_int8.tflite --calibration-data photos/ \
--input-dtype uint8
keras-shufflenet export nanodet_plus_m_416 detector_int8.tflite --calibration-data photos/
keras-shufflenet export runs/pose/model.keras pose.onnx --data-format channels_first
"""
DYNAMIC = "dynamic"


def export(
    model: Network,
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", dir_okay=False, help="A .tflite, .onnx or .xml file to write."
        ),
    ],
    weights: Weights = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32, float16, int8, int16x8 or dynamic_int8. Default: int8 with calibration "
            "data, float32 without."
        ),
    ] = None,
    input_dtype: Annotated[
        str, typer.Option(help="float32, uint8 (pixels 0..255), int8 or int16.")
    ] = "float32",
    output_dtype: Annotated[str, typer.Option(help="float32, uint8, int8 or int16.")] = "float32",
    per_channel: Annotated[
        bool, typer.Option(help="Quantize weights per channel, or per tensor.")
    ] = True,
    calibration_method: Annotated[
        str, typer.Option(help="How ranges of activations are found: mse, min_max, moving_average.")
    ] = "mse",
    calibration_data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            help="Folder of representative images for classifiers and detectors, or labels.csv.",
        ),
    ] = None,
    calibration_annotations: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True, dir_okay=False, help="COCO json, for pose estimators and detectors."
        ),
    ] = None,
    calibration_image_dir: Annotated[
        list[Path] | None, typer.Option(exists=True, file_okay=False, help="Folder of its images.")
    ] = None,
    num_calibration_samples: NumCalibrationSamples = 200,
    optimize: Annotated[
        bool, typer.Option(help="Rewrite the network into an equivalent one that runs faster.")
    ] = True,
    labels: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Text file with a class name per line. Default: the names that the model carries.",
        ),
    ] = None,
    keypoints: Keypoints = None,
    evaluate_data: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="Folder of images or labels.csv, for the accuracy in the report."
        ),
    ] = None,
    evaluate_annotations: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="COCO json, for the AP in the report."),
    ] = None,
    evaluate_image_dir: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Folder of its images.")
    ] = None,
    category: Category = None,
    batch_size: Annotated[
        str | None,
        typer.Option(
            help="Number of images that the file takes at once, or dynamic for any. Default: 1 for "
            ".tflite, dynamic for .onnx and .xml."
        ),
    ] = None,
    target: Annotated[
        Literal["mediapipe"] | None,
        typer.Option(
            help="mediapipe: a NanoDet for MediaPipe's ObjectDetector, with its boxes decoded. "
            "Default: raw outputs."
        ),
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(help="HEIGHTxWIDTH of the images in pixels, for a model that takes any size."),
    ] = None,
    data_format: Annotated[
        str | None,
        typer.Option(
            help="channels_last or channels_first: axes of the images and heatmaps of an .onnx or "
            ".xml file. Default: channels_last, as in .tflite files."
        ),
    ] = None,
) -> None:
    """Export a model to a LiteRT file (.tflite), or in float32 to ONNX (.onnx) or OpenVINO (.xml).

    The report on a .tflite file is printed and written beside it, as OUT.json and
    OUT.md.
    """
    arguments = dict(locals())
    check_model(model, weights, (".keras",))
    check_output("output", output, (".tflite", *WRITERS))
    size, names = parse_size(input_size) if input_size else None, _read_labels(labels)
    if output.suffix in WRITERS:
        write_graph(
            model,
            output,
            [name for name, default in defaults(export).items() if arguments[name] != default],
            weights=weights,
            data_format=data_format,
            batch_size=_batch_size(batch_size or DYNAMIC),
            input_size=size,
            labels=names,
            skeleton=parse_keypoints(keypoints, category),
        )
        return
    if data_format is not None:
        raise ValueError(
            f"--data-format is for {' and '.join(WRITERS)} files. "
            f"Received: --data-format {data_format} for {output}"
        )
    check_installed("Export to LiteRT", "export", ("ai_edge_litert",))
    calibrated = calibration_data is not None or bool(calibration_annotations)
    if calibration_data is not None and calibration_annotations:
        raise ValueError(
            "--calibration-data (a folder) and --calibration-annotations (a json) must not be "
            f"given together. Received: {calibration_data} and {calibration_annotations[0]}"
        )
    if calibration_annotations or calibration_image_dir:
        pair(calibration_annotations or [], calibration_image_dir or [], "--calibration-")
    if precision in ("int8", "int16x8") and not calibrated:
        raise ValueError(
            f"--precision {precision} requires representative images: --calibration-data for "
            "classifiers and detectors, --calibration-annotations and --calibration-image-dir for "
            "pose estimators and detectors. Received: neither"
        )
    batch = _batch_size(batch_size or "1")
    evaluate = _evaluation(evaluate_annotations, evaluate_image_dir, evaluate_data, category)
    from rich.console import Console

    import_tensorflow()
    import keras_shufflenet as ks
    from keras_shufflenet.export.options import ExportOptions

    options: dict[str, Any] = {
        "precision": precision or ("int8" if calibrated else "float32"),
        "num_calibration_samples": num_calibration_samples,
        "calibration_method": calibration_method,
        "per_channel": per_channel,
        "input_dtype": input_dtype,
        "output_dtype": output_dtype,
        "input_size": size,
        "batch_size": batch,
        "comparison_images": None,
        "optimize": optimize,
        "labels": names,
        "codec": None,
        "skeleton": parse_keypoints(keypoints, category),
        "evaluate": evaluate,
        "target": target,
        "verbose": True,
    }
    ExportOptions(path=output, **options)  # raises before weights are downloaded
    network = open_network(model, weights)
    detector = find_detector(network, size)
    if detector is None:
        _check_task(network, calibration_data, evaluate_data, evaluate_annotations)
    elif evaluate_data is not None:
        raise ValueError(
            "--evaluate-data is for classifiers; detectors take --evaluate-annotations and "
            f"--evaluate-image-dir. Received: --evaluate-data {evaluate_data}"
        )
    elif evaluate_annotations is not None and evaluate_image_dir is not None:
        options["evaluate"] = lambda file: ks.metrics.detection(
            file, evaluate_annotations, evaluate_image_dir, category=category
        )
    dataset: Any = None
    if detector is not None and calibration_data is not None:
        dataset = folder_images(detector, calibration_data, "--calibration-data")
    elif detector is not None and calibration_annotations:
        image_dirs = calibration_image_dir or []
        dataset = annotated_images(detector, calibration_annotations, image_dirs)
    elif calibration_data is not None:
        dataset = classification_data(calibration_data, network, size, batch_size=1)
    elif calibration_annotations:
        dataset = keypoint_data(
            calibration_annotations,
            calibration_image_dir or [],
            network,
            skeleton=options["skeleton"],
            category=category,
        )
    report = ks.export.litert(network, output, representative_dataset=dataset, **options)
    Console(markup=False).print(report)


def _check_task(
    network: Any,
    calibration_data: Path | None,
    evaluate_data: Path | None,
    evaluate_annotations: Path | None,
) -> None:
    """Refuse the data of classifiers for pose estimators, and the other way round."""
    from keras_shufflenet.models import model_skeleton

    several = len(network.outputs) > 1
    if several and (evaluate_data or evaluate_annotations):
        raise ValueError(
            "--evaluate-data and --evaluate-annotations are for models with one output. "
            f"Received: {network.name} with {len(network.outputs)} outputs"
        )
    if evaluate_annotations is not None and len(network.output_shape) != 4:
        raise ValueError(
            "--evaluate-annotations are for pose estimators and detectors; classifiers take "
            f"--evaluate-data. Received: {network.name}"
        )
    if several:
        return
    if (calibration_data or evaluate_data) and model_skeleton(network) is not None:
        raise ValueError(
            "--calibration-data and --evaluate-data are not for pose estimators, which take "
            "--calibration-annotations and --evaluate-annotations, with their folders of images. "
            f"Received: {calibration_data or evaluate_data}"
        )


def _batch_size(text: str) -> int | None:
    """Return the number of images, None for any."""
    if text == DYNAMIC:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(
            f"--batch-size must be a positive integer or dynamic. Received: --batch-size {text}"
        )
    return int(text)


def _read_labels(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"--labels must be a text file with a class name per line. Received: {path}"
        ) from error


def _evaluation(
    annotations: Path | None, image_dir: Path | None, data: Path | None, category: str | None
) -> Callable[[Path], dict[str, float]] | None:
    """Return the function that evaluates the file, if there is data."""
    if (annotations is None) != (image_dir is None):
        raise ValueError(
            "--evaluate-annotations and --evaluate-image-dir must be given together. "
            f"Received: {annotations or image_dir}"
        )
    import keras_shufflenet as ks

    if annotations is not None and image_dir is not None:
        return lambda file: ks.metrics.coco(file, annotations, image_dir, category=category)
    return None if data is None else lambda file: ks.metrics.imagenet(file, data)
