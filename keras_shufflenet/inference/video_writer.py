"""Writing of videos with PyAV (FFmpeg). Sound is left out."""

import os
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet._checks import check_positive
from keras_shufflenet._files import check_output
from keras_shufflenet._requirements import check_installed

OUTPUT_SUFFIXES = (".mp4", ".mov", ".mkv")
CODEC, PIXEL_FORMAT = "libx264", "yuv420p"  # what players and browsers show
QUALITY = {"crf": "20", "preset": "veryfast"}
TIME_BASE = Fraction(1, 90_000)  # seconds
BT709, STUDIO_RANGE = 1, 1  # FFmpeg's numbers of the colors of HD video


class VideoWriter:
    """Writes an H.264 video that players and browsers show.

    The file is written beside the path and renamed when the `with` statement ends, also by Ctrl-C;
    after any other error it is removed.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float) -> None:
        """Create a writer; the size of the video is that of the first frame.

        Args:
            path: The video, .mp4, .mov or .mkv.
            fps: Frames per second, on average. Every frame has its own time.

        Raises:
            ImportError: If PyAV is missing.
            OSError: If the folder cannot be written to.
            ValueError: If the path has another suffix, or `fps` is not above 0.
        """
        check_installed("A video", "video", ("av",))
        check_positive("fps", fps)
        self.path = check_output("path", path, OUTPUT_SUFFIXES)
        self.fps = fps
        self._partial = self.path.with_name(f".{os.getpid()}-{self.path.name}")
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._last = -1

    def write(self, pixels: NDArray[np.uint8], time: float) -> None:
        """Write the next frame.

        Args:
            pixels: uint8 (H, W, 3), RGB. H.264 has even sizes: an odd row or column is doubled.
            time: Seconds since the first frame.

        Raises:
            ValueError: If the frame is of another size than the first.
        """
        import av

        size = pixels.shape[:2]
        if self._container is None:
            self._open(size)
        if size != self._size:
            raise ValueError(
                f"Frames of a video must be of one size, {self._size[1]} × {self._size[0]} pixels. "
                f"Received: {size[1]} × {size[0]}"
            )
        even = np.pad(pixels, [(0, size[0] % 2), (0, size[1] % 2), (0, 0)], mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame = frame.reformat(format=PIXEL_FORMAT, dst_colorspace="ITU709")
        frame.pts = max(round(time / TIME_BASE), self._last + 1)
        frame.time_base, self._last = TIME_BASE, frame.pts
        self._container.mux(self._stream.encode(frame))

    def _open(self, size: tuple[int, int]) -> None:
        import av

        self._container = av.open(os.fspath(self._partial), "w")
        rate = Fraction(self.fps).limit_denominator(1001)
        self._stream = self._container.add_stream(CODEC, rate=rate, options=QUALITY)
        self._size = size
        self._stream.height, self._stream.width = (side + side % 2 for side in size)
        self._stream.pix_fmt = PIXEL_FORMAT
        context = self._stream.codec_context
        context.time_base = TIME_BASE
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = STUDIO_RANGE

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the video, or remove it after an error."""
        if self._container is None:
            return
        try:
            if kind is None or issubclass(kind, (KeyboardInterrupt, SystemExit)):
                self._container.mux(self._stream.encode(None))
                self._container.close()
                os.replace(self._partial, self.path)
        finally:
            self._container.close()
            self._partial.unlink(missing_ok=True)
