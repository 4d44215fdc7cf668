"""`keras-shufflenet classify`: name what images show."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from keras_shufflenet.cli.options import Protocol, Resize, Weights, open_model

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """
keras-shufflenet classify cat.jpg
keras-shufflenet classify *.jpg --model mobilenet_v2_x1_0 --top 3
keras-shufflenet classify cat.jpg --model x1_0_int8.tflite
"""

CROP = (224, 224)


def classify(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="JPEG or PNG files.")],
    model: Annotated[
        str, typer.Option(help="A name of `keras-shufflenet models`, or a .keras or .tflite file.")
    ] = "shufflenet_v2_x1_0",
    weights: Weights = "imagenet",
    top: Annotated[int, typer.Option(min=1, help="Classes per image.")] = 5,
    resize: Resize = 256,
    protocol: Protocol = "torchvision",
) -> None:
    """Name the most probable ImageNet classes of images."""
    from keras_shufflenet.inference import Predictor
    from keras_shufflenet.models import decode_predictions

    predictor = Predictor.load(open_model(model, weights))
    size = predictor.input_size or CROP
    crops = [_crop(path, resize, size, protocol) for path in images]
    table = Table("image", "class", "score")
    for path, crop in zip(images, crops, strict=True):
        scores = predictor.predict(crop[None])
        if scores.ndim != 2:
            raise ValueError(
                "the model must be a classifier, with one score for each class. "
                f"Received: {model} with outputs of shape {scores.shape[1:]}"
            )
        for _, words, score in decode_predictions(scores, top)[0]:
            table.add_row(path.name, words, f"{score:.3f}")
        table.add_section()
    Console().print(table)


def _crop(path: Path, resize: int, size: tuple[int, int], protocol: str) -> "np.ndarray":
    """Prepare an image as the publishers of the weights do."""
    from keras_shufflenet.data.resizing import resize_and_crop, resize_and_crop_megvii
    from keras_shufflenet.inference.images import to_pillow

    prepare = resize_and_crop_megvii if protocol == "megvii" else resize_and_crop
    return prepare(to_pillow(path), resize, size)
