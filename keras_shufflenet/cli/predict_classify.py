"""`keras-shufflenet predict classify`: the most probable classes of images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_shufflenet.cli.image_arguments import (
    Images,
    check_read,
    for_each,
    open_sources,
    split_model,
)
from keras_shufflenet.cli.options import (
    ResizeMethod,
    ResizeSize,
    Weights,
    open_model,
)

if TYPE_CHECKING:
    import numpy as np

    from keras_shufflenet.inference.sources import ImageSource

EXAMPLES = """
keras-shufflenet predict classify cat.jpg
keras-shufflenet predict classify mobilenet_v2_x1_0 photos/ --top 3 --output-dir predictions/
keras-shufflenet predict classify x1_0_int8.tflite https://example.org/cat.jpg
"""
CLASSIFIER = "shufflenet_v2_x1_0"


def classify(
    images: Images,
    weights: Weights = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes per image.")] = 5,
    resize_size: ResizeSize = None,
    resize_method: ResizeMethod = "torchvision",
    output_dir: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="Folder for predictions.json and predictions.csv. Default: none."
        ),
    ] = None,
) -> None:
    """Print the most probable classes of images.

    Without MODEL, ShuffleNetV2 x1.0 with ImageNet weights is used.
    """
    model, words = split_model(images, CLASSIFIER, weights)
    with open_sources(words, output_dir) as sources:
        from rich.console import Console
        from rich.table import Table

        from keras_shufflenet.inference import ImageClassifier
        from keras_shufflenet.inference.predictions import class_record, save_predictions

        classifier = ImageClassifier.load(
            open_model(model, weights), resize_size=resize_size, resize_method=resize_method
        )
        table = Table("image", "class", "score")
        records = []

        def predict(source: "ImageSource", pixels: "np.ndarray") -> None:
            classes = classifier.predict(pixels, top)
            records.append(class_record(source.name, classes))
            for words, score in classes:
                table.add_row(source.name, words, f"{score:.3f}")
            table.add_section()

        unreadable = for_each(sources, predict)
        if records:
            Console(markup=False).print(table)  # names may have brackets
        if records and output_dir is not None:
            for path in save_predictions(records, output_dir):
                typer.echo(path)
        check_read(unreadable, sources)
