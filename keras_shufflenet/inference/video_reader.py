"""Reading of videos: files and cameras with PyAV (FFmpeg), and folders of frames.

Frames come upright, as players show them: the rotation that phones write beside the pixels is
applied. Every frame has its own time, so that a variable frame rate stays variable.
"""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet._checks import check_positive
from keras_shufflenet._requirements import check_installed
from keras_shufflenet.data.image_files import displayed_size
from keras_shufflenet.inference.image_io import to_array

VIDEO_SUFFIXES = frozenset(
    (
        ".mp4",
        ".m4v",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".mpg",
        ".mpeg",
        ".wmv",
        ".flv",
        ".3gp",
        ".ts",
    )
)
CAMERA = "camera:"
CAMERA_FORMATS = {"Linux": "v4l2", "Darwin": "avfoundation", "Windows": "dshow"}
DEFAULT_FPS = 30.0  # where nothing is said
TOLERATED = 0.02  # fraction of frames by which the number in a file may be wrong


class Frame(NamedTuple):
    """A frame of a video.

    Attributes:
        frame_id: Its number, from 0.
        time: Seconds since the first frame.
        pixels: uint8 (H, W, 3), RGB, upright.
    """

    frame_id: int
    time: float
    pixels: NDArray[np.uint8]


class FrameSource(Protocol):
    """Frames to read, once and in order.

    Attributes:
        name: What it is called in messages and results.
        fps: Frames per second, on average.
        num_frames: Number of frames as the source says it, or None if it is unknown.
    """

    name: str
    fps: float
    num_frames: int | None

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames."""
        ...

    def close(self) -> None:
        """Close the file or the camera."""
        ...


class VideoReader:
    """The frames of a video file or of a camera.

    Attributes:
        name: What was passed.
        fps: Frames per second, on average.
        num_frames: Number of frames as the file says it; None for cameras, and if it is unknown.
        broken_packets: Number of packets that could not be decoded so far, as a rule a frame each.
    """

    def __init__(self, source: str | os.PathLike[str]) -> None:
        """Open a video and read its first frame.

        Args:
            source: Path of a video file, or "camera:0" for the first camera, "camera:1" for the
                second, or "camera:NAME" by the name of the device.

        Raises:
            FileNotFoundError: If the file or the camera does not exist.
            ImportError: If PyAV is missing.
            OSError: If the file or the camera cannot be opened.
            ValueError: If the file is no video, or no frame of it can be read.
        """
        check_installed("A video", "video", ("av",))
        self.name = os.fspath(source)
        self.broken_packets, self._last = 0, 0.0
        self._container = _open(self.name)
        if not self._container.streams.video:
            self.close()
            raise ValueError(f"A video must have pictures. Received: {self.name} with sound alone")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.fps = float(self._stream.average_rate or self._stream.guessed_rate or DEFAULT_FPS)
        self.num_frames = None if self.name.startswith(CAMERA) else self._count()
        self._expected = self._stream.frames, self._seconds()
        self._frames = self._read()
        self._first = next(self._frames, None)
        if self._first is None:
            self.close()
            raise ValueError(f"A video must have a frame at least. Received: {self.name}")

    def _count(self) -> int | None:
        if self._stream.frames:
            return int(self._stream.frames)
        seconds = (self._container.duration or 0) / 1e6
        return max(1, round(seconds * self.fps)) if seconds > 0 else None

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, once."""
        if self._first is not None:
            yield self._first
            self._first = None
        yield from self._frames

    def _read(self) -> Iterator[Frame]:
        start = None
        aspect_ratio = float(self._stream.sample_aspect_ratio or 1)
        for index, decoded in enumerate(self._decode()):
            time = index / self.fps if decoded.time is None else float(decoded.time)
            start = time if start is None else start
            time = time - start
            if index and time <= self._last:  # some files say the same time twice
                time = self._last + 0.5 / self.fps
            self._last = time
            yield Frame(index, time, _upright(decoded, aspect_ratio))

    def _decode(self) -> Iterator[Any]:
        """Yield what can be decoded; damaged packets are counted and left out."""
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # the file ends within a packet
                self.broken_packets += 1
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.broken_packets += 1

    def lacks(self, num_read: int) -> bool:
        """Return whether frames are missing: damaged ones, or those after a break.

        Args:
            num_read: Number of frames that were read until the end.
        """
        frames, seconds = ((1 - TOLERATED) * each for each in self._expected)
        return self.broken_packets > 0 or num_read < frames or self._last + 1 / self.fps < seconds

    def _seconds(self) -> float:
        """Return the duration that the file says, 0 where it is unknown."""
        if self._stream.duration:
            return float(self._stream.duration * self._stream.time_base)
        alone = len(self._container.streams) == 1  # sound may go on longer
        return (self._container.duration or 0) / 1e6 if alone else 0.0

    def close(self) -> None:
        """Close the file or the camera."""
        self._container.close()


class FrameFolder:
    """Image files as the frames of a video.

    Attributes:
        name: The name.
        fps: Frames per second.
        num_frames: Number of frames.
    """

    def __init__(self, name: str, paths: Sequence[Path], fps: float = DEFAULT_FPS) -> None:
        """Take image files, in the order of the frames.

        Args:
            name: What the video is called.
            paths: The files.
            fps: Frames per second.

        Raises:
            ValueError: If there is no file, `fps` is not above 0, or an image cannot be read or is
                of another size than the first.
        """
        check_positive("fps", fps)
        if not paths:
            raise ValueError("`paths` must have a frame at least. Received: none")
        self.name, self.fps = name, fps
        self.num_frames: int | None = len(paths)
        self._paths = list(paths)
        first = displayed_size(self._paths[0])
        for path in self._paths:
            size = displayed_size(path)
            if size != first:
                raise ValueError(
                    f"Frames of a video must be of one size, {first[1]} × {first[0]} pixels. "
                    f"Received: {size[1]} × {size[0]} in {path}"
                )

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            ValueError: If an image cannot be read.
        """
        for index, path in enumerate(self._paths):
            yield Frame(index, index / self.fps, to_array(path))

    def close(self) -> None:
        """Nothing is open."""


def is_video(word: str) -> bool:
    """Return whether a word is a camera, or by its suffix a video file."""
    return word.startswith(CAMERA) or Path(word).suffix.lower() in VIDEO_SUFFIXES


def _open(source: str) -> Any:
    """Open a file or a camera for reading."""
    import av

    device: str = source
    options: dict[str, Any] = {}
    if source.startswith(CAMERA):
        device, options = _camera(source.removeprefix(CAMERA))
    elif "://" in source:
        raise ValueError(f"A video must be a file, not a URL: download it. Received: {source}")
    elif not Path(source).is_file():
        raise FileNotFoundError(f"A video must be an existing file. Received: {source}")
    try:
        return av.open(device, metadata_errors="replace", **options)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"A camera must be connected. Received: {source}") from error
    except PermissionError as error:
        raise PermissionError(f"A video must be readable. Received: {source}") from error
    except av.error.FFmpegError as error:
        raise ValueError(
            f"A video must be a file or a camera that FFmpeg reads ({error.strerror}). "
            f"Received: {source}"
        ) from error


def _camera(name: str) -> tuple[str, dict[str, Any]]:
    """Return the device of a camera's number or name, and the arguments that open it."""
    import av

    system = platform.system()
    driver = CAMERA_FORMATS.get(system, CAMERA_FORMATS["Linux"])
    arguments: dict[str, Any] = {"format": driver}
    if system == "Darwin":
        return name, arguments | {"options": {"framerate": f"{DEFAULT_FPS:g}"}}
    if system == "Windows":
        if name.isdecimal():
            found = av.enumerate_input_devices(driver)
            names = [each.description for each in found if "video" in each.media_types]
            with suppress(IndexError):
                name = names[int(name)]
        return f"video={name}", arguments
    return f"/dev/video{name}" if name.isdecimal() else name, arguments


def _upright(decoded: Any, aspect_ratio: float) -> NDArray[np.uint8]:
    """Return the pixels of a decoded frame as a player shows them: square and upright.

    Args:
        decoded: The frame; its rotation counts counterclockwise.
        aspect_ratio: Width of a pixel over its height.
    """
    width = max(1, round(decoded.width * aspect_ratio))
    pixels = decoded.reformat(width=width, height=decoded.height, format="rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, round(decoded.rotation / 90)))
