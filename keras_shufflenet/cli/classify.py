"""`keras-shufflenet classify`: name what images show."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from keras_shufflenet.cli.options import Resize, ResizeMethod, Weights, open_model

EXAMPLES = """
keras-shufflenet classify cat.jpg
keras-shufflenet classify *.jpg --model mobilenet_v2_x1_0 --top 3
keras-shufflenet classify cat.jpg --model x1_0_int8.tflite
"""


def classify(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="JPEG or PNG files.")],
    model: Annotated[
        str, typer.Option(help="A name of `keras-shufflenet models`, or a .keras or .tflite file.")
    ] = "shufflenet_v2_x1_0",
    weights: Weights = None,
    top: Annotated[int, typer.Option(min=1, help="Classes per image.")] = 5,
    resize: Resize = None,
    protocol: ResizeMethod = "torchvision",
) -> None:
    """Name the most probable classes of images."""
    from keras_shufflenet.inference import ImageClassifier

    classifier = ImageClassifier.load(
        open_model(model, weights), resize_size=resize, resize_method=protocol
    )
    table = Table("image", "class", "score")
    for path in images:
        for words, score in classifier.predict(path, top):
            table.add_row(path.name, words, f"{score:.3f}")
        table.add_section()
    Console().print(table)
