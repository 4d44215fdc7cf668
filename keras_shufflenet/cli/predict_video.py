"""`keras-shufflenet predict pose` on videos, cameras and folders of frames."""

import glob
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from keras_shufflenet._files import check_output_dir
from keras_shufflenet._requirements import check_installed
from keras_shufflenet.cli.detectors import NO_DETECTOR

if TYPE_CHECKING:
    from rich.progress import Progress

    from keras_shufflenet.inference import PosePredictor
    from keras_shufflenet.inference.video_reader import FrameSource
    from keras_shufflenet.inference.video_records import VideoRecords

PANEL = "Videos"
DETECTION_INTERVAL = 5  # that of inference.video, which help must not load
START_MARGIN = 0.15  # by which a new person must be surer than one that is followed
VIDEO_EXAMPLES = """
keras-shufflenet predict pose clip.mp4 --detection-interval 10
keras-shufflenet predict pose frames/ --fps 25
keras-shufflenet predict pose camera:0
"""

DetectionInterval = Annotated[
    int | None,
    typer.Option(
        "--detection-interval",
        min=1,
        rich_help_panel=PANEL,
        help="Frames from one detection to the next; in between, persons are followed by their "
        f"keypoints. Default: {DETECTION_INTERVAL}.",
    ),
]
Smoothing = Annotated[
    bool | None,
    typer.Option(
        "--smoothing/--no-smoothing",
        rich_help_panel=PANEL,
        help="Whether to smooth the keypoints (One-Euro filter). Default: --smoothing.",
    ),
]
TrackBy = Annotated[
    Literal["iou+oks", "iou", "oks"] | None,
    typer.Option(
        "--track-by",
        rich_help_panel=PANEL,
        help="What persons of two frames are matched by: the overlap of their boxes (iou), their "
        "keypoints (oks), or both. Default: iou+oks.",
    ),
]
FramesPerSecond = Annotated[
    float | None,
    typer.Option(
        "--fps",
        min=0.001,
        rich_help_panel=PANEL,
        help="Frames per second of folders or patterns of images, each of which then is a video.",
    ),
]


@dataclass(frozen=True)
class VideoOptions:
    """The options of videos; None where they are not given."""

    detection_interval: int | None
    smoothing: bool | None
    track_by: str | None
    fps: float | None


def has_videos(words: Sequence[str], options: VideoOptions) -> bool:
    """Return whether the arguments of `predict pose`, after MODEL, are videos.

    Raises:
        ValueError: If they are images, and options of videos are given, or if they are both; if
            --fps is given for video files alone, which say it themselves.
    """
    from keras_shufflenet.inference.video_reader import is_video

    if all(map(is_video, words)):
        if options.fps is not None:
            raise ValueError(
                "--fps must be given for folders or patterns of images. "
                f"Received: {' '.join(words)}"
            )
        return True
    if options.fps is not None:
        return True
    if any(map(is_video, words)):
        raise ValueError(
            f"IMAGE must be images or videos, not both in one command. Received: {' '.join(words)}"
        )
    names = {"--detection-interval": options.detection_interval, "--track-by": options.track_by}
    names["--smoothing"] = options.smoothing
    given = [name for name, value in names.items() if value is not None]
    if given:
        raise ValueError(
            f"{' and '.join(given)} must be given for videos alone. Received: {' '.join(words)}"
        )
    return False


def check_no_boxes(detector: str | None, bbox: Sequence[str] | None, bboxes: Path | None) -> None:
    """Check that the persons of a video are found by a detector.

    Raises:
        ValueError: If they are not.
    """
    given = {"--bbox": bbox, "--bboxes": bboxes, "--detector none": detector == NO_DETECTOR}
    if wrong := [name for name, value in given.items() if value]:
        raise ValueError(
            f"The persons of a video must be found by a detector. Received: {', '.join(wrong)}"
        )


def predict_videos(
    words: Sequence[str],
    output_dir: Path,
    options: VideoOptions,
    keypoint_threshold: float,
    score_threshold: float,
    load: "Callable[[], PosePredictor]",
) -> None:
    """Write a drawn video for each video, and the persons of all frames.

    Args:
        words: Files, patterns of files, or cameras; folders and patterns of images with --fps.
        output_dir: The value of --output-dir, which is made.
        options: The options of videos.
        keypoint_threshold: Minimum keypoint score to draw.
        score_threshold: Minimum score of a detected person.
        load: Loads the pose estimator and its detector, which takes seconds.

    Raises:
        FileNotFoundError: If a file does not exist.
        ImportError: If PyAV is missing.
        ValueError: If a video cannot be read, or not to its end.
    """
    check_installed("A video", "video", ("av",))
    check_output_dir("output_dir", output_dir)
    openers = list(_find(words, options.fps))
    outputs = _outputs([name for name, _ in openers], output_dir)
    for _, opener in openers:
        opener().close()  # all of them are readable
    predictor = load()
    from keras_shufflenet.inference.tracking import Tracker
    from keras_shufflenet.inference.video import VideoPosePredictor
    from keras_shufflenet.inference.video_records import VideoRecords

    incomplete = []
    with VideoRecords(output_dir, predictor.skeleton) as records, _interruptible() as interrupted:
        for (name, opener), output in zip(openers, outputs, strict=True):
            tracker = Tracker(
                similarity=options.track_by or "iou+oks",
                start_score=min(1.0, score_threshold + START_MARGIN),
                skeleton=predictor.skeleton,
            )
            video = VideoPosePredictor(
                predictor,
                detection_interval=options.detection_interval or DETECTION_INTERVAL,
                tracker=tracker,
                smoothing=options.smoothing is not False,
            )
            with closing(opener()) as source:
                line, complete = _predict(
                    source, video, output, records, keypoint_threshold, interrupted
                )
            typer.echo(line)
            if not complete:
                incomplete.append(name)
            if interrupted():
                break
    for path in records.paths:
        typer.echo(path)
    if incomplete:
        raise ValueError(
            "A video must be readable to its end; the frames that could be read were predicted. "
            f"Received: {', '.join(incomplete)}"
        )


def _predict(
    source: "FrameSource",
    video: Any,
    output: Path,
    records: "VideoRecords",
    keypoint_threshold: float,
    interrupted: Callable[[], bool],
) -> tuple[str, bool]:
    """Predict a video: a line that says what was done, and whether all of it could be read."""
    from keras_shufflenet.inference.track_drawing import draw_tracks
    from keras_shufflenet.inference.video_reader import VideoReader
    from keras_shufflenet.inference.video_writer import VideoWriter

    persons, count, start = set(), 0, time.perf_counter()
    skeleton = video.pose.skeleton
    with VideoWriter(output, source.fps) as writer, _progress() as progress:
        task = progress.add_task(source.name, total=source.num_frames)
        for frame in source:
            poses = video.predict_frame(frame)
            drawn = draw_tracks(frame.pixels, poses, skeleton, keypoint_threshold)
            writer.write(drawn, frame.time)
            records.write(Path(source.name).name, poses)
            persons |= set(poses.track_ids.tolist())
            count += 1
            progress.advance(task)
            if interrupted():
                break
    speed = count / (time.perf_counter() - start)
    complete = interrupted() or not isinstance(source, VideoReader) or not source.lacks(count)
    stopped = ", stopped by Ctrl-C" if interrupted() else ""
    line = (
        f"{output}: {count} frame{'s' * (count != 1)}, {len(persons)} "
        f"person{'s' * (len(persons) != 1)}, {speed:.1f} frames per second{stopped}"
    )
    if not complete:
        of = f" of {source.num_frames}" if source.num_frames else ""
        sys.stderr.write(f"Warning: {source.name} is damaged: {count}{of} frames were read.\n")
    return line, complete


def _find(
    words: Sequence[str], fps: float | None
) -> "Iterator[tuple[str, Callable[[], FrameSource]]]":
    """Yield the name of each video and a function that opens it."""
    from keras_shufflenet.inference.video_reader import CAMERA, FrameFolder, VideoReader, is_video

    for word in words:
        if is_video(word):
            matches = sorted(glob.glob(word)) if glob.has_magic(word) else []
            for path in matches or [word]:
                yield path, partial(VideoReader, path)
        else:
            paths = sorted((source.path for source in _images(word)), key=_by_numbers)
            yield word, partial(FrameFolder, _stem(word), paths, fps or 1.0)
    if any(word.startswith(CAMERA) for word in words[:-1]):
        raise ValueError(
            f"A camera, which goes on until Ctrl-C, must be the last. Received: {' '.join(words)}"
        )


def _images(word: str) -> list[Any]:
    from keras_shufflenet.inference.sources import STDIN, URL_SCHEMES, find_images

    if word == STDIN or word.startswith(URL_SCHEMES):
        raise ValueError(f"--fps must be given for folders or patterns of images. Received: {word}")
    return find_images([word], Path())


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """Return what to sort frames by: frame 2 is before frame 10."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", str(path))]


def _stem(name: str) -> str:
    """Return the name of a drawn video; of a pattern such as `frames/*.jpg`, the folder's."""
    path = Path(name.replace(":", "-")).expanduser().resolve()
    stems = [
        "".join(c for c in stem if c not in "*?[]") for stem in (path.stem, *path.parts[-2::-1])
    ]
    if glob.has_magic(name):
        stems = [stem.strip("._- ") for stem in stems]
    return next(filter(None, stems), "video")


def _outputs(names: Sequence[str], output_dir: Path) -> list[Path]:
    """Return the paths of the drawn videos.

    Raises:
        ValueError: If two of them are the same, or one of them is a video that is read.
    """
    stems = [_stem(name) for name in names]
    same = [name for name, stem in zip(names, stems, strict=True) if Counter(stems)[stem] > 1]
    if same:
        raise ValueError(
            f"Videos must differ in name, because results go by name. Received: {', '.join(same)}"
        )
    outputs = [output_dir / f"{stem}.mp4" for stem in stems]
    read = {Path(name).resolve() for name in names}
    for output in outputs:
        if output.resolve() in read:
            raise ValueError(
                f"--output-dir must be another folder than that of the video, {output}, which "
                f"would be overwritten. Received: {output_dir}"
            )
    return outputs


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl-C was pressed; a second time ends the program."""
    pressed = threading.Event()

    def handle(number: int, frame: Any) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    former = signal.signal(signal.SIGINT, handle)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, former)


def _progress() -> "Progress":
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed or 0:.1f} frames/s")

    columns = (BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn())
    return Progress(TextColumn("{task.description}", markup=False), *columns)
