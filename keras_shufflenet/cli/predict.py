"""`keras-shufflenet predict classify` and `detect`: classes and objects of images."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_shufflenet.cli.detectors import (
    DETECTOR,
    check_detector_name,
)
from keras_shufflenet.cli.image_arguments import (
    IOU_THRESHOLD,
    SCORE_THRESHOLD,
    Images,
    IouThreshold,
    OutputDir,
    check_read,
    for_each,
    open_sources,
    picture_path,
    save_picture,
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

CLASSIFY_EXAMPLES = """
keras-shufflenet predict classify cat.jpg
keras-shufflenet predict classify mobilenet_v2_x1_0 photos/ --top 3 --output-dir predictions/
keras-shufflenet predict classify x1_0_int8.tflite https://example.org/cat.jpg
"""
DETECT_EXAMPLES = """
keras-shufflenet predict detect street.jpg
keras-shufflenet predict detect nanodet_plus_m photos/ --category person --category dog
keras-shufflenet predict detect detector_int8.tflite 'photos/*.jpg' --score-threshold 0.5
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
    with open_sources(images, CLASSIFIER, weights, output_dir) as (model, sources):
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


def detect(
    images: Images,
    weights: Weights = None,
    category: Annotated[
        list[str] | None,
        typer.Option(help="Name of the only class to detect; repeatable. Default: all."),
    ] = None,
    score_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Minimum score of a detection.")
    ] = SCORE_THRESHOLD,
    iou_threshold: IouThreshold = IOU_THRESHOLD,
    max_detections: Annotated[
        int, typer.Option(min=1, help="Maximum number of detections in an image.")
    ] = 100,
    output_dir: OutputDir = Path("predictions"),
) -> None:
    """Detect objects and draw their boxes, with class and score.

    Without MODEL, NanoDet-Plus with an input of 416x416 and COCO's 80 classes is used.
    """
    with open_sources(images, DETECTOR, weights, output_dir, check_detector_name) as opened:
        model, sources = opened
        from keras_shufflenet.inference import Detector, draw_detections
        from keras_shufflenet.inference.predictions import detection_records, save_predictions

        detector = Detector.load(
            open_model(model, weights),
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
        )
        names = detector.class_names
        detector = detector.of_category(*category) if category else detector
        records: list[dict[str, Any]] = []

        def predict(source: "ImageSource", pixels: "np.ndarray") -> None:
            (found,) = detector.detect([pixels])
            drawn = output_dir / picture_path(source, sources)
            save_picture(draw_detections(pixels, found, names), drawn)
            records.extend(detection_records(source.name, found, names))
            counts = Counter(names[number] for number in found.classes).items()
            typer.echo(
                f"{drawn}: {', '.join(f'{n} × {name}' for name, n in counts) or 'no object'}"
            )

        unreadable = for_each(sources, predict)
        for path in save_predictions(records, output_dir):
            typer.echo(path)
        check_read(unreadable, sources)
