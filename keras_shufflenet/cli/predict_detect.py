"""`keras-shufflenet predict detect`: objects in images and videos."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_shufflenet.cli.detectors import DETECTOR, check_detector_name
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
    split_model,
)
from keras_shufflenet.cli.options import Weights, open_model
from keras_shufflenet.cli.predict_video import VideoPrediction, predict_videos
from keras_shufflenet.cli.video_arguments import FramesPerSecond, VideoOptions, has_videos

if TYPE_CHECKING:
    import numpy as np

    from keras_shufflenet.inference import Detector, Frame
    from keras_shufflenet.inference.sources import ImageSource

EXAMPLES = """
keras-shufflenet predict detect street.jpg
keras-shufflenet predict detect nanodet_plus_m photos/ --category person --category dog
keras-shufflenet predict detect detector_int8.tflite 'photos/*.jpg' --score-threshold 0.5
keras-shufflenet predict detect traffic.mp4 --category car
"""


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
    fps: FramesPerSecond = None,
) -> None:
    """Detect objects in images or videos and draw their boxes, with class and score.

    Without MODEL, NanoDet-Plus with an input of 416x416 and COCO's 80 classes is used. A video
    gives NAME.mp4, without sound.
    """
    model, words = split_model(images, DETECTOR, weights, check_detector_name)

    def load() -> "Detector":
        from keras_shufflenet.inference import Detector

        detector = Detector.load(
            open_model(model, weights),
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
        )
        return detector.of_category(*category) if category else detector

    if has_videos(words, VideoOptions(fps=fps)):
        predict_videos(words, output_dir, fps, lambda: _start(load()))
        return
    with open_sources(words, output_dir) as sources:
        from keras_shufflenet.inference import draw_detections
        from keras_shufflenet.inference.predictions import detection_records, save_predictions

        detector = load()
        names = detector.class_names
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


def _start(detector: "Detector") -> VideoPrediction:
    from keras_shufflenet.inference.video_records import object_columns

    return VideoPrediction(object_columns(), partial(ObjectsOfVideo, detector))


class ObjectsOfVideo:
    """Detects the objects in the frames of a video."""

    def __init__(self, detector: "Detector", file_name: str) -> None:
        self._detector, self._file_name, self._count = detector, file_name, 0

    def predict(self, frame: "Frame") -> "tuple[np.ndarray, list[dict[str, Any]]]":
        """Return the drawn frame and the records of its objects."""
        from keras_shufflenet.inference import draw_detections
        from keras_shufflenet.inference.video_records import object_records

        (found,) = self._detector.detect([frame.pixels])
        self._count += len(found.scores)
        names = self._detector.class_names
        drawn = draw_detections(frame.pixels, found, names)
        return drawn, object_records(self._file_name, frame, found, names)

    def summary(self) -> str:
        """Return how many detections there are in all frames."""
        return f"{self._count} detection{'s' * (self._count != 1)}"
