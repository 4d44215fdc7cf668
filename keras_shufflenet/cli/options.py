"""Options, model arguments and output that several commands share."""

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from keras_shufflenet._requirements import check_installed
from keras_shufflenet.cli.data_arguments import OR_DATASET, file_or_dataset, pair

if TYPE_CHECKING:
    import keras

    from keras_shufflenet.keypoints import Skeleton

DEBUG = "KERAS_SHUFFLENET_DEBUG"
PAPER = "paper"
DETECTOR_FILES = (".keras", ".tflite")
MODEL_FILES = (*DETECTOR_FILES, ".onnx")

Annotations = Annotated[
    list[Path],
    typer.Option(
        "--annotations",
        parser=file_or_dataset,
        metavar="FILE",
        help=f"COCO json, {OR_DATASET}; may be repeated.",
    ),
]
ImageDirs = Annotated[
    list[Path] | None,
    typer.Option(
        "--image-dir",
        exists=True,
        file_okay=False,
        help="Folder of the images: one for each json, or one for all.",
    ),
]
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A .keras, .tflite or .onnx file, or a name of `keras-shufflenet models`.",
    ),
]
Network = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="A .keras file, or a name of `keras-shufflenet models`."),
]
Output = Annotated[
    Path, typer.Argument(metavar="OUT.tflite", dir_okay=False, help="File to write.")
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="Weights of a model given by name: imagenet, coco, mpii, none, a name of "
        "`keras-shufflenet models`, or a checkpoint. Default: imagenet; for detectors coco; for "
        "pose estimators coco or mpii, as the name says.",
    ),
]
Category = Annotated[
    str | None,
    typer.Option(
        "--category",
        help="Name or id of the category of the persons. Default: the only one with annotations.",
    ),
]
Keypoints = Annotated[
    str | None,
    typer.Option(
        "--keypoints",
        help="Keypoints of the model: coco, mpii, or the json of a skeleton. Default: those that "
        "the model carries.",
    ),
]
ResultsCsv = Annotated[
    Path | None, typer.Option("--results-csv", help="csv file to append the metrics to.")
]
ResizeSize = Annotated[
    int | None,
    typer.Option(
        "--resize-size",
        min=1,
        help="Shorter side in pixels before the center crop. Default: 256 for a crop of 224.",
    ),
]
ResizeMethod = Annotated[
    Literal["torchvision", "megvii"],
    typer.Option("--resize-method", help="torchvision (Pillow, antialiased) or megvii (OpenCV)."),
]
InputSize = Annotated[
    str, typer.Option("--input-size", help="HEIGHTxWIDTH of the crops in pixels, like 256x192.")
]
NumCalibrationSamples = Annotated[
    int,
    typer.Option("--num-calibration-samples", min=1, help="Maximum number of images for ranges."),
]


def import_tensorflow() -> None:
    """Import TensorFlow, without the messages of its C++ part.

    It takes seconds: commands check their arguments first.
    """
    with contextlib.nullcontext() if debugs() else _silent_stderr():
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def debugs() -> bool:
    """Return whether tracebacks are wanted."""
    return os.environ.get(DEBUG) == "1"


def parse_size(text: str, option: str = "--input-size") -> tuple[int, int]:
    """Parse (height, width) from a text like 256x192."""
    match = re.fullmatch(r"(\d+)[x×](\d+)", text.strip().lower())
    if not match:
        raise ValueError(f"{option} must be HEIGHTxWIDTH, like 256x192. Received: {text}")
    return int(match[1]), int(match[2])


def parse_scales(text: str) -> tuple[float, ...]:
    """Parse --channel-scales of a search space; none for those of the paper."""
    if text == PAPER:
        return ()
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise ValueError(
            f"--channel-scales must be {PAPER} or numbers like 0.6,1.0,1.4. Received: {text}"
        ) from None


def parse_weights(text: str) -> str | None:
    """Parse the weights argument of the builders."""
    return None if text.lower() == "none" else text


def parse_keypoints(keypoints: str | None, category: str | None = None) -> "Skeleton | None":
    """Return the skeleton that --keypoints stands for; None for the default.

    Args:
        keypoints: The value of --keypoints.
        category: The value of --category, for a json of several.

    Raises:
        FileNotFoundError: If a json does not exist.
        ValueError: If the value is no skeleton.
    """
    from keras_shufflenet.keypoints import COCO, MPII, read_skeleton

    published = {skeleton.name: skeleton for skeleton in (COCO, MPII)}
    if keypoints is None or keypoints in published:
        return published.get(keypoints or "")
    if not keypoints.endswith(".json"):
        raise ValueError(
            f"--keypoints must be {' or '.join(published)}, or the path of a .json file. "
            f"Received: {keypoints}"
        )
    return read_skeleton(keypoints, category)


def is_model_file(model: str) -> bool:
    """Return whether a model argument is a file rather than a name."""
    return model.endswith(MODEL_FILES)


def check_model(
    model: str,
    weights: str | None,
    suffixes: tuple[str, ...] = MODEL_FILES,
    *,
    option: str = "MODEL",
    weights_option: str = "--weights",
) -> None:
    """Check what needs no TensorFlow: that a file exists and has no --weights beside it.

    Args:
        model: The model argument.
        weights: The value of --weights; None for the default.
        suffixes: Suffixes of the files that the command takes.
        option: What the model is passed as, for messages.
        weights_option: What its weights are passed as.

    Raises:
        FileNotFoundError: If the file does not exist.
        ImportError: If ai-edge-litert is missing for a .tflite file, or onnxruntime for an .onnx
            file.
        ValueError: If the file is of another kind, or weights are given for a file.
    """
    suffix = Path(model).suffix[1:]
    looks_like_file = suffix.isalpha() and suffixes != MODEL_FILES  # else it may be an image
    if suffix and (is_model_file(model) or Path(model).is_file() or looks_like_file):
        if not model.endswith(suffixes):
            raise ValueError(
                f"{option} must be a {' or '.join(suffixes)} file, or a name of "
                f"`keras-shufflenet models`. Received: {model}"
            )
        if weights is not None:
            raise ValueError(
                f"{weights_option} must not be given for a file, which has its own. "
                f"Received: {weights_option} {weights} and {model}"
            )
        if not Path(model).is_file():
            raise FileNotFoundError(f"{option} must be an existing file. Received: {model}")
        if model.endswith(".tflite"):
            check_installed("A .tflite file", "export", ("ai_edge_litert",))
        if model.endswith(".onnx"):
            check_installed("An .onnx file", "runtimes", ("onnxruntime",))


def open_model(model: str, weights: str | None) -> "keras.Model | str":
    """Return the path of a model file, or build the model of a name.

    A model with random weights is built with a warning on stderr. `check_model` comes first.

    Args:
        model: The model argument.
        weights: The value of --weights; None for the default.

    Raises:
        ValueError: If there is no such model.
    """
    if not model.endswith(".tflite"):
        import_tensorflow()
    if is_model_file(model):
        return model
    import keras_shufflenet as ks
    from keras_shufflenet.weights.catalog import default_dataset

    chosen = default_dataset(model) if weights is None else parse_weights(weights)
    network = ks.create_model(model, weights=chosen)
    if chosen is None:
        sys.stderr.write(
            f"Warning: {model} has random weights (--weights none); its outputs mean nothing.\n"
        )
    return network


def open_network(model: str, weights: str | None) -> "keras.Model":
    """Open a .keras file, or build the model of a name; `check_model` comes first.

    Raises:
        ValueError: If there is no such model, or the file cannot be read.
    """
    import_tensorflow()
    from keras_shufflenet.inference.keras_models import load_keras

    network = open_model(model, weights)
    return load_keras(Path(network)) if isinstance(network, str) else network


def keypoint_data(
    annotations: Sequence[Path],
    image_dirs: Sequence[Path],
    network: "keras.Model",
    **arguments: Any,
) -> Any:
    """Return the training dataset of a pose estimator."""
    import keras_shufflenet as ks

    if len(network.output_shape) != 4:
        raise ValueError(
            "Keypoint annotations are for pose estimators; classifiers take a folder of images or "
            f"labels.csv. Received: {network.name}"
        )
    files, folders = zip(*pair(annotations, image_dirs), strict=True)
    return ks.data.keypoints(list(files), list(folders), model=network, training=True, **arguments)


def classification_data(
    data: Path, network: "keras.Model", size: tuple[int, int] | None = None, **arguments: Any
) -> Any:
    """Return a dataset of images of a size, or else of the size of a classifier."""
    import keras_shufflenet as ks

    height, width = size or network.input_shape[1:3]
    if height is not None and width is not None:
        arguments["crop_size"] = (height, width)
    return _for_channels(ks.data.classification(data, **arguments), network)


def _for_channels(dataset: Any, network: "keras.Model") -> Any:
    """Return a dataset of photographs, of their luma for a network of gray images."""
    from keras_shufflenet.data.pipeline import mapped, to_gray

    channels = network.input_shape[-1]
    if channels == 3:
        return dataset
    if channels != 1:
        raise ValueError(
            "The network must take images with 3 channels or 1 to be run on photographs; "
            "in Python, datasets may have any number. "
            f"Received: {network.name} with {channels} channels"
        )
    return mapped(dataset, lambda images, *others: (to_gray(images), *others))


def report(
    subject: Mapping[str, str], metrics: Mapping[str, float | int], results_csv: Path | None
) -> None:
    """Print metrics as a table and append them to a csv file.

    Args:
        subject: What was evaluated: model, weights, data. The first is the table's heading.
        metrics: Values between 0 and 1, and counts, by name.
        results_csv: The csv file, or None.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table("", next(iter(subject.values())))
    for name, value in metrics.items():
        table.add_row(name, str(value) if isinstance(value, int) else f"{value:.4f}")
    Console(markup=False).print(table)  # names may have brackets
    if results_csv is not None:
        from keras_shufflenet._results import append_row

        append_row(results_csv, {**subject, **metrics})
