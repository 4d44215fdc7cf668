"""The arguments [MODEL] IMAGE... of `predict`, and the loop over the images."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_shufflenet._files import check_output_dir
from keras_shufflenet.cli.options import check_model, is_model_file

if TYPE_CHECKING:
    import numpy as np

    from keras_shufflenet.inference.sources import ImageSource

OTHER_MODEL_FILES = {".h5", ".hdf5", ".pb", ".pt", ".pth", ".ckpt", ".safetensors"}

Images = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] IMAGE...",
        help="Image files, folders, quoted shell patterns, URLs, or - for a list on the standard "
        "input; after a .keras, .tflite or .onnx file or a name of `keras-shufflenet models`. "
        "Without MODEL a published network is used.",
    ),
]

SCORE_THRESHOLD, IOU_THRESHOLD = 0.35, 0.4  # those of inference.detection, which help must not load

OutputDir = Annotated[
    Path,
    typer.Option(
        "--output-dir",
        file_okay=False,
        help="Folder for a drawn NAME.png of each image, predictions.json and predictions.csv.",
    ),
]
IouThreshold = Annotated[
    float,
    typer.Option(
        "--iou-threshold",
        min=0,
        max=1,
        help="Maximum overlap (IoU) of two detections of a class that are both kept.",
    ),
]


@contextmanager
def open_sources(images: Sequence[str], output_dir: Path | None) -> "Iterator[list[ImageSource]]":
    """Find the images; files of URLs live within the context.

    Args:
        images: The arguments after MODEL.
        output_dir: The value of --output-dir, which is made.

    Raises:
        FileNotFoundError: If an image does not exist.
        OSError: If the output folder cannot be written to.
        ValueError: If two images have the same name.
    """
    from keras_shufflenet.inference.sources import find_images

    if output_dir is not None:
        check_output_dir("output_dir", output_dir)
    with tempfile.TemporaryDirectory() as folder:
        yield find_images(images, Path(folder))


def split_model(
    words: Sequence[str],
    default: str,
    weights: str | None,
    check: Callable[[str], None] | None = None,
) -> tuple[str, Sequence[str]]:
    """Split the arguments into MODEL and what is to be predicted.

    Args:
        words: The arguments.
        default: The model if there is no MODEL.
        weights: The value of --weights; None for the default.
        check: Raises an error for a model of another kind.

    Raises:
        FileNotFoundError: If the model's file does not exist.
        ValueError: If there is no image, or the model is of another kind.
    """
    first = words[0]
    if Path(first).suffix.lower() in OTHER_MODEL_FILES:
        raise ValueError(
            "MODEL must be a .keras, .tflite or .onnx file; `keras-shufflenet convert` reads "
            f"checkpoints. Received: {first}"
        )
    if is_model_file(first) or _is_model_name(first):
        model, images = first, words[1:]
    else:
        model, images = default, words
    check_model(model, weights)
    if check is not None:
        check(model)
    if not images:
        raise ValueError(f"IMAGE must be given after MODEL. Received: {first} alone")
    for image in images:
        if is_model_file(image) or (is_known(image) and not Path(image).exists()):
            raise ValueError(f"MODEL must come before IMAGE. Received: {' '.join(words)}")
    return model, images


def for_each(
    sources: "Sequence[ImageSource]", predict: "Callable[[ImageSource, np.ndarray], None]"
) -> list[str]:
    """Predict image by image; return those that cannot be read, each named in a warning.

    Raises:
        ValueError: If there is one image only and it cannot be read.
    """
    from keras_shufflenet.inference.image_io import to_array

    unreadable = []
    for source in sources:
        try:
            pixels = to_array(source.path)
        except ValueError as error:
            message = str(error).replace(str(source.path), source.origin)
            if len(sources) == 1:
                raise ValueError(message) from error
            sys.stderr.write(f"Warning: {message}\n")
            unreadable.append(source.origin)
        else:
            predict(source, pixels)
    return unreadable


def check_read(unreadable: Sequence[str], sources: "Sequence[ImageSource]") -> None:
    """Raise ValueError if an image was unreadable, when the others are done."""
    if unreadable:
        raise ValueError(
            f"Every IMAGE must be readable; {len(sources) - len(unreadable)} of {len(sources)} "
            f"were predicted. Received: {', '.join(unreadable)}"
        )


def picture_path(source: "ImageSource", sources: "Sequence[ImageSource]") -> Path:
    """Return NAME.png; the suffix stays in the name of images that differ in nothing else."""
    stem = Path(source.name).with_suffix("")
    shared = sum(Path(other.name).with_suffix("") == stem for other in sources) > 1
    return Path(f"{source.name if shared else stem.as_posix()}.png")


def save_picture(pixels: "np.ndarray", path: Path) -> None:
    """Write an image (H, W, 3), uint8, into a folder that is made."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def is_known(word: str) -> bool:
    """Return whether a word is the name of a model of `keras-shufflenet models`."""
    from keras_shufflenet.models import MODEL_STATS  # without Keras

    return word in MODEL_STATS


def _is_model_name(word: str) -> bool:
    """Return whether a word is a model's name rather than an image.

    It may be a name such as pose_..._light, or a misspelled one, which the builder corrects.
    """
    is_path = Path(word).suffix or Path(word).exists() or any(c in word for c in "/*?[:")
    return is_known(word) or not (is_path or word == "-")
