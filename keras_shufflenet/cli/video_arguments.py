"""The options and arguments of `predict` for videos, cameras and folders of frames."""

import glob
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from keras_shufflenet.cli.detectors import NO_DETECTOR

if TYPE_CHECKING:
    from keras_shufflenet.inference.video_reader import FrameSource

PANEL = "Videos"
DETECTION_INTERVAL = 5  # that of inference.video, which help must not load
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

    detection_interval: int | None = None
    smoothing: bool | None = None
    track_by: str | None = None
    fps: float | None = None


def has_videos(words: Sequence[str], options: VideoOptions) -> bool:
    """Return whether the arguments of `predict`, after MODEL, are videos.

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


def find_videos(
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


def output_paths(names: Sequence[str], output_dir: Path) -> list[Path]:
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
