"""What several verbs read from the command line."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    import keras

MODEL_FILES = (".keras", ".tflite")

Annotations = Annotated[
    list[Path], typer.Option("--annotations", help="COCO keypoint json; may be given repeatedly.")
]
Images = Annotated[
    list[Path],
    typer.Option("--images", help="Folder of the images: one for each json, or one for all."),
]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A .keras or .tflite file, or a name: shufflenet_v2_x1_0, "
        "pose_shufflenet_v2_x1_0_coco_256x192, ..._light.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        help="Of a network given by its name: imagenet (pose: coco, mpii), none, a catalog name "
        "or a checkpoint's path. Default: imagenet; for `pose` and `evaluate coco` none.",
    ),
]
Results = Annotated[
    Path | None, typer.Option("--results", help="csv file to which a row of the numbers is added.")
]
Resize = Annotated[
    int | None,
    typer.Option(
        "--resize", min=1, help="Pixels of the shorter side before the crop. Default: 256 for 224."
    ),
]
ResizeMethod = Annotated[
    Literal["torchvision", "megvii"],
    typer.Option("--protocol", help="Whose resizing; Megvii's is OpenCV's."),
]
InputSize = Annotated[
    str, typer.Option("--input-size", help="Height × width of the crops, like 256x192.")
]


def parse_size(text: str) -> tuple[int, int]:
    """Read (height, width) from a text like 256x192."""
    match = re.fullmatch(r"(\d+)[x×](\d+)", text.strip().lower())
    if not match:
        raise ValueError(f"a size is HEIGHTxWIDTH, like 256x192. Received: {text}")
    return int(match[1]), int(match[2])


def parse_weights(text: str) -> str | None:
    """Read the weights argument of the builders."""
    return None if text.lower() == "none" else text


def pair(annotations: Sequence[Path], images: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Put annotation files and image folders together, one folder for all or one for each."""
    if len(images) == 1:
        images = list(images) * len(annotations)
    if len(annotations) != len(images):
        raise ValueError(
            "folders of images must be given once, or once for each file of annotations. "
            f"Received: {len(annotations)} annotation files and {len(images)} folders"
        )
    return list(zip(annotations, images, strict=True))


def open_model(
    model: str, weights: str | None, default: str | None = "imagenet"
) -> "keras.Model | str":
    """Return a model file's path as it is, and build the network of any other name.

    Args:
        model: Of the command line.
        weights: Of the command line, None if they were not given.
        default: Weights that are taken then.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If there is no such network, or weights are given for a file.
    """
    if model.endswith(MODEL_FILES):
        if weights is not None:
            raise ValueError(
                f"--weights is for networks given by their names; {model} holds its own. "
                f"Received: --weights {weights}"
            )
        if not Path(model).is_file():
            raise FileNotFoundError(f"there is no such model file. Received: {model}")
        return model
    import keras_shufflenet as ks

    chosen = default if weights is None else parse_weights(weights)
    return ks.create_model(model, weights=chosen)


def open_network(model: str, weights: str | None) -> "keras.Model":
    """Open a .keras file, and build the network of any other name.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If there is no such network, or the file cannot be read.
    """
    from keras_shufflenet.inference.predictor import load_keras

    if model.endswith(".tflite"):
        raise ValueError(f"a .keras file or a name is needed, no exported file. Received: {model}")
    network = open_model(model, weights)
    return load_keras(Path(network)) if isinstance(network, str) else network


def people(
    annotations: Sequence[Path], images: Sequence[Path], network: "keras.Model", **arguments: Any
) -> Any:
    """The data set of people on which a pose estimator is trained."""
    import keras_shufflenet as ks

    if len(network.output_shape) != 4:
        raise ValueError(
            "annotations of people are for pose estimators; classifiers take labels.csv or a "
            f"folder of images. Received: {network.name}"
        )
    files, folders = zip(*pair(annotations, images), strict=True)
    return ks.data.keypoints(list(files), list(folders), model=network, training=True, **arguments)


def photographs(data: Path, network: "keras.Model", **arguments: Any) -> Any:
    """The data set of images on which a classifier is trained or calibrated, of its size."""
    import keras_shufflenet as ks

    if not data.exists():
        raise FileNotFoundError(f"there is no such folder or labels.csv. Received: {data}")
    height, width = network.input_shape[1:3]
    if height is None or width is None:
        return ks.data.classification(data, **arguments)
    return ks.data.classification(data, crop_size=(height, width), **arguments)
