"""`keras-shufflenet predict pose`: find the poses of persons in images and videos."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_shufflenet.cli.bboxes import find_boxes
from keras_shufflenet.cli.detectors import (
    DETECTOR,
    NO_DETECTOR,
    DetectorWeights,
    PersonOptions,
    check_detector,
    open_detector,
)
from keras_shufflenet.cli.image_arguments import (
    IOU_THRESHOLD,
    SCORE_THRESHOLD,
    Images,
    OutputDir,
    check_read,
    for_each,
    is_known,
    open_sources,
    picture_path,
    save_picture,
    split_model,
)
from keras_shufflenet.cli.options import (
    Keypoints,
    Weights,
    check_model,
    open_model,
    parse_keypoints,
)
from keras_shufflenet.cli.predict_video import VideoPrediction, predict_videos
from keras_shufflenet.cli.video_arguments import (
    DETECTION_INTERVAL,
    VIDEO_EXAMPLES,
    DetectionInterval,
    FramesPerSecond,
    Smoothing,
    TrackBy,
    VideoOptions,
    check_no_boxes,
    has_videos,
)

if TYPE_CHECKING:
    import numpy as np

    from keras_shufflenet.inference import Frame, PosePredictor
    from keras_shufflenet.inference.sources import ImageSource
    from keras_shufflenet.keypoints import Skeleton

EXAMPLES = f"""
keras-shufflenet predict pose photo.jpg
keras-shufflenet predict pose runs/pose/model.keras 'photos/*.jpg' --detector detector_int8.tflite
keras-shufflenet predict pose photo.jpg --bbox 120,40,200,420 --bbox 300,60,180,400
find photos -name '*.jpg' | keras-shufflenet predict pose pose_int8.tflite - --bboxes bboxes.json
keras-shufflenet predict pose hand.keras hand.jpg --detector none
{VIDEO_EXAMPLES.lstrip()}"""
POSE_ESTIMATOR = "pose_shufflenet_v2_x1_0_coco_256x192"
PERSON = "person"
PERSONS = ("coco", "mpii", PERSON)  # names of skeletons of persons
START_MARGIN = 0.15  # by which a new person must be surer than one that is followed

PoseEstimator = Annotated[
    str | None,
    typer.Option("--pose", metavar="FILE|NAME", help="The pose estimator, in place of MODEL."),
]


def pose(
    images: Images,
    pose_estimator: PoseEstimator = None,
    weights: Weights = None,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME|none",
            help="Detector of the persons: a .keras or .tflite file, a name of `keras-shufflenet "
            f"models`, or none: the whole image is one person. Default: {DETECTOR}.",
        ),
    ] = None,
    detector_weights: DetectorWeights = None,
    category: Annotated[
        str | None,
        typer.Option(
            help="Class whose keypoints MODEL finds, of the detector or of --bboxes. "
            f"Default: {PERSON}."
        ),
    ] = None,
    score_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help=f"Minimum score of a detected person. Default: {SCORE_THRESHOLD}.",
        ),
    ] = None,
    iou_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Maximum overlap (IoU) of two detected persons who are both kept. "
            f"Default: {IOU_THRESHOLD}.",
        ),
    ] = None,
    bbox: Annotated[
        list[str] | None,
        typer.Option(
            help="X,Y,WIDTH,HEIGHT of a person in pixels, for one image, in place of the "
            "detector; repeatable."
        ),
    ] = None,
    bboxes: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="json with the boxes of images by file name, in place of the detector: "
            "{NAME: \\[\\[x, y, w, h], ...]}, or the predictions.json of `predict`.",
        ),
    ] = None,
    keypoints: Keypoints = None,
    keypoint_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Minimum keypoint score to draw.")
    ] = 0.3,
    output_dir: OutputDir = Path("predictions"),
    detection_interval: DetectionInterval = None,
    smoothing: Smoothing = None,
    track_by: TrackBy = None,
    fps: FramesPerSecond = None,
) -> None:
    """Find all persons in images or videos and draw their skeletons.

    Without MODEL, mmpose's ShuffleNetV2 x1.0 for COCO at 256x192 is used. A video gives NAME.mp4,
    without sound, in which every person keeps an id.
    """
    options = VideoOptions(detection_interval, smoothing, track_by, fps)
    if pose_estimator is not None:
        check_model(pose_estimator, weights, option="--pose")
        images = [pose_estimator, *images]
    find = PersonOptions(detector, detector_weights, category, score_threshold, iou_threshold)
    model, words = split_model(images, POSE_ESTIMATOR, weights, _check_estimator)
    if has_videos(words, options):
        check_no_boxes(detector, bbox, bboxes)
        skeleton = parse_keypoints(keypoints)
        check_detector(detector or DETECTOR, detector_weights)
        load = partial(_load_predictor, model, weights, skeleton, find, flip_test=False)
        predict_videos(
            words, output_dir, fps, lambda: _start(load(), options, find, keypoint_threshold)
        )
        return
    whole = detector == NO_DETECTOR
    _check_detects(find, bbox)
    with open_sources(words, output_dir) as sources:
        one_person = "each of these is taken to be one person"
        otherwise = one_person if whole else "the detector looks for the persons in these"
        boxes = find_boxes(sources, bbox or [], bboxes, category or PERSON, otherwise)
        skeleton = parse_keypoints(keypoints)
        detects = not whole and len(boxes) < len(sources)
        if not whole:
            check_detector(detector or DETECTOR, detector_weights)
        from keras_shufflenet.inference import draw_skeletons
        from keras_shufflenet.inference.predictions import pose_records, save_predictions

        predictor = _load_predictor(model, weights, skeleton, find if detects else None)
        records: list[dict[str, Any]] = []

        def predict(source: "ImageSource", pixels: "np.ndarray") -> None:
            try:
                found = predictor.predict(pixels, boxes.get(source.name))
            except ValueError as error:
                message = str(error).replace("`bboxes`", "--bbox" if bbox else "--bboxes")
                raise ValueError(f"{message} for {source.origin}") from error
            drawn = output_dir / picture_path(source, sources)
            shown = draw_skeletons(pixels, found.keypoints, predictor.skeleton, keypoint_threshold)
            save_picture(shown, drawn)
            records.extend(pose_records(source.name, found, predictor.skeleton))
            seen = (found.keypoints[..., 2] >= keypoint_threshold).sum(axis=1)
            counts = f"{', '.join(map(str, seen))} of {len(predictor.skeleton)} keypoints"
            typer.echo(f"{drawn}: {counts if len(seen) else f'no {category or PERSON}'}")

        unreadable = for_each(sources, predict)
        for path in save_predictions(records, output_dir):
            typer.echo(path)
        check_read(unreadable, sources)


def _load_predictor(
    model: str,
    weights: str | None,
    skeleton: "Skeleton | None",
    find: PersonOptions | None,
    flip_test: bool = True,
) -> "PosePredictor":
    """Load the pose estimator, and the detector unless it is not needed."""
    from keras_shufflenet.inference import PersonDetector, PosePredictor

    network = open_model(model, weights)
    predictor = PosePredictor.load(network, skeleton=skeleton, flip_test=flip_test)
    if find is None:
        return predictor
    if find.detector is None:
        _check_person(predictor.skeleton, model)
    finder = PersonDetector.load(
        open_detector(find.detector or DETECTOR, find.detector_weights),
        category=find.category or PERSON,
        score_threshold=_or_default(find.score_threshold, SCORE_THRESHOLD),
        iou_threshold=_or_default(find.iou_threshold, IOU_THRESHOLD),
    )
    return replace(predictor, detector=finder)


def _or_default(value: float | None, default: float) -> float:
    return default if value is None else value


def _start(
    pose: "PosePredictor", options: VideoOptions, find: PersonOptions, keypoint_threshold: float
) -> VideoPrediction:
    from keras_shufflenet.inference.video_records import track_columns

    threshold = _or_default(find.score_threshold, SCORE_THRESHOLD)
    start = partial(PersonsOfVideo, pose, options, threshold, keypoint_threshold)
    return VideoPrediction(track_columns(pose.skeleton), start)


class PersonsOfVideo:
    """Predicts the keypoints of the persons in the frames of a video, with ids."""

    def __init__(
        self,
        pose: "PosePredictor",
        options: VideoOptions,
        score_threshold: float,
        keypoint_threshold: float,
        file_name: str,
    ) -> None:
        from keras_shufflenet.inference import Tracker, VideoPosePredictor

        tracker = Tracker(
            similarity=options.track_by or "iou+oks",
            start_score=min(1.0, score_threshold + START_MARGIN),
            skeleton=pose.skeleton,
        )
        self._predictor = VideoPosePredictor(
            pose,
            detection_interval=options.detection_interval or DETECTION_INTERVAL,
            tracker=tracker,
            smoothing=options.smoothing is not False,
        )
        self._threshold, self._file_name = keypoint_threshold, file_name
        self._skeleton, self._ids = pose.skeleton, set[int]()

    def predict(self, frame: "Frame") -> "tuple[np.ndarray, list[dict[str, Any]]]":
        """Return the drawn frame and the records of its persons."""
        from keras_shufflenet.inference import draw_tracks
        from keras_shufflenet.inference.video_records import track_records

        poses = self._predictor.predict_frame(frame)
        self._ids |= set(poses.track_ids.tolist())
        drawn = draw_tracks(frame.pixels, poses, self._skeleton, self._threshold)
        return drawn, track_records(self._file_name, poses, self._skeleton)

    def summary(self) -> str:
        """Return how many persons there are in the video."""
        return f"{len(self._ids)} person{'s' * (len(self._ids) != 1)}"


def _check_detects(find: PersonOptions, bbox: list[str] | None) -> None:
    """Check that no option of the detector is given where it does not run."""
    if not bbox and find.detector != NO_DETECTOR:
        return
    given = {
        f"--{name.replace('_', '-')}": value
        for name, value in find._asdict().items()
        if value not in (None, NO_DETECTOR) and (bbox or name != "category")
    }
    if given:
        instead = "--bbox" if bbox else f"--detector {NO_DETECTOR}"
        raise ValueError(
            f"{' and '.join(given)} must not be given with {instead}, which takes the place of the "
            f"detector. Received: {' '.join(f'{name} {value}' for name, value in given.items())}"
        )


def _check_estimator(model: str) -> None:
    if is_known(model) and not model.startswith("pose_"):
        raise ValueError(
            "MODEL must be a pose estimator: a file, or a name that begins with pose_. "
            f"Received: {model}"
        )


def _check_person(skeleton: "Skeleton", model: str) -> None:
    """Check that a detector of persons finds what the model is for."""
    if skeleton.name not in PERSONS:
        raise ValueError(
            f"Without boxes and --detector, MODEL must have the keypoints of persons "
            f"({', '.join(PERSONS)}), whom {DETECTOR} detects. For others pass --bbox or --bboxes; "
            "--detector with a detector of them, and --category; or --detector none if each image "
            f"shows one. Received: {model} with the keypoints of {skeleton.name!r}"
        )
