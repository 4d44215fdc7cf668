"""`keras-shufflenet predict pose` on videos, cameras and folders of frames."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from keras_shufflenet._files import check_output_dir
from keras_shufflenet._requirements import check_installed
from keras_shufflenet.cli.video_arguments import (
    DETECTION_INTERVAL,
    VideoOptions,
    find_videos,
    output_paths,
)

if TYPE_CHECKING:
    from rich.progress import Progress

    from keras_shufflenet.inference import PosePredictor
    from keras_shufflenet.inference.video_reader import FrameSource
    from keras_shufflenet.inference.video_records import VideoRecords

START_MARGIN = 0.15  # by which a new person must be surer than one that is followed


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
    openers = list(find_videos(words, options.fps))
    outputs = output_paths([name for name, _ in openers], output_dir)
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
