"""Images that a training leaves out because they cannot be read: counted, named, up to a limit."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Lock

from keras_shufflenet._files import atomic_write
from keras_shufflenet._read_report import LOGGER

COLUMNS = ("image", "reason")
_NAMED = 5  # images that a message names


class CorruptImages:
    """The images that could not be read so far.

    Args:
        limit: Number of images up to which they are left out.
        path: csv file that names them, in which those of an interrupted training are; None for
            none.

    Attributes:
        reasons: Why each could not be read, by its path.
    """

    def __init__(self, limit: int, path: Path | None = None) -> None:
        self.limit = limit
        self.path = path
        self.reasons: dict[str, str] = {}
        self._lock = Lock()
        if path is not None and path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                self.reasons = {row["image"]: row["reason"] for row in csv.DictReader(file)}

    def add(self, image: str, reason: str) -> str:
        """Count an image that could not be read, once; batches are loaded in any order.

        Returns:
            What is wrong if there are too many; else an empty text.
        """
        with self._lock:
            is_known = image in self.reasons
            self.reasons[image] = reason
            if len(self.reasons) > self.limit:
                names = ", ".join(list(self.reasons)[-_NAMED:])
                return (
                    f"At most {self.limit} images may be corrupt (`max_corrupt_images`). {reason}. "
                    f"Received: {len(self.reasons)} corrupt images, the last of which are {names}"
                )
            if is_known:
                return ""
            LOGGER.warning("left out, and another sample taken twice: %s", reason)
            if self.path is not None:
                atomic_write(self.path, self._write)
            return ""

    def _write(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(self.reasons.items())


_ACTIVE: ContextVar[CorruptImages | None] = ContextVar("corrupt_images", default=None)


@contextmanager
def skip_corrupt_images(images: CorruptImages) -> Iterator[None]:
    """Let the pipelines that are built in this context leave out images that cannot be read.

    Each is replaced by the next sample of its batch, the last by the first, so that the samples
    after it stay the same.

    Args:
        images: What counts them. With a limit of 0 pipelines raise an error at the first one.
    """
    token = _ACTIVE.set(images if images.limit else None)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def active() -> CorruptImages | None:
    """Return what counts the corrupt images of a pipeline that is built now; None for an error."""
    return _ACTIVE.get()
