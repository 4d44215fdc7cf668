"""`keras-shufflenet predict` on videos, cameras and folders of frames: the loop over frames."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import typer

from keras_shufflenet._files import check_output_dir
from keras_shufflenet._requirements import check_installed
from keras_shufflenet.cli.video_arguments import find_videos, output_paths

if TYPE_CHECKING:
    import numpy as np
    from rich.progress import Progress

    from keras_shufflenet.inference import Frame
    from keras_shufflenet.inference.video_reader import FrameSource
    from keras_shufflenet.inference.video_records import VideoRecords


class FramePredictor(Protocol):
    """What is predicted in the frames of one video, in their order."""

    def predict(self, frame: "Frame") -> "tuple[np.ndarray, list[dict[str, Any]]]":
        """Return the drawn frame, uint8 (H, W, 3), and the records of what is found in it."""
        ...

    def summary(self) -> str:
        """Return what was found in all frames so far, such as "2 persons"."""
        ...


class VideoPrediction(NamedTuple):
    """What is predicted in videos.

    Attributes:
        columns: Those of the records in a csv.
        start: Returns the predictor of a video of a name.
    """

    columns: Sequence[str]
    start: Callable[[str], FramePredictor]


def predict_videos(
    words: Sequence[str],
    output_dir: Path,
    fps: float | None,
    load: Callable[[], VideoPrediction],
) -> None:
    """Write a drawn video for each video, and the records of all frames.

    Args:
        words: Files, patterns of files, or cameras; folders and patterns of images with --fps.
        output_dir: The value of --output-dir, which is made.
        fps: The value of --fps.
        load: Loads the networks, which takes seconds.

    Raises:
        FileNotFoundError: If a file does not exist.
        ImportError: If PyAV is missing.
        ValueError: If a video cannot be read, or not to its end.
    """
    check_installed("A video", "video", ("av",))
    check_output_dir("output_dir", output_dir)
    openers = list(find_videos(words, fps))
    outputs = output_paths([name for name, _ in openers], output_dir)
    for _, opener in openers:
        opener().close()  # all of them are readable
    columns, start = load()
    from keras_shufflenet.inference.video_records import VideoRecords

    incomplete = []
    with VideoRecords(output_dir, columns) as records, _interruptible() as interrupted:
        for (name, opener), output in zip(openers, outputs, strict=True):
            with closing(opener()) as source:
                predictor = start(Path(source.name).name)
                line, complete = _predict(source, predictor, output, records, interrupted)
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
    predictor: FramePredictor,
    output: Path,
    records: "VideoRecords",
    interrupted: Callable[[], bool],
) -> tuple[str, bool]:
    """Predict a video: a line that says what was done, and whether all of it could be read."""
    from keras_shufflenet.inference.video_reader import VideoReader
    from keras_shufflenet.inference.video_writer import VideoWriter

    count, start = 0, time.perf_counter()
    with VideoWriter(output, source.fps) as writer, _progress() as progress:
        task = progress.add_task(source.name, total=source.num_frames)
        for frame in source:
            drawn, found = predictor.predict(frame)
            writer.write(drawn, frame.time)
            records.write(found)
            count += 1
            progress.advance(task)
            if interrupted():
                break
    speed = count / (time.perf_counter() - start)
    complete = interrupted() or not isinstance(source, VideoReader) or not source.lacks(count)
    stopped = ", stopped by Ctrl-C" if interrupted() else ""
    line = (
        f"{output}: {count} frame{'s' * (count != 1)}, {predictor.summary()}, "
        f"{speed:.1f} frames per second{stopped}"
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
