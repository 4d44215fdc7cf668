"""The cache of weights on this machine, and how files come into it.

Files lie where Keras keeps its own: `models/keras_shufflenet/` under `KERAS_HOME` or `~/.keras`.

Environment variables:
    KERAS_HOME: base of the cache.
    KERAS_SHUFFLENET_MIRROR: a URL or a directory that has the files, used instead of the
        publishers' servers.
    KERAS_SHUFFLENET_OFFLINE: 1 to use what is in the cache or in a mirror directory only.
"""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path
from urllib.parse import quote

from keras_shufflenet.weights.catalog import WeightsEntry
from keras_shufflenet.weights.download import DownloadError, download_url
from keras_shufflenet.weights.errors import WeightsUnavailableError
from keras_shufflenet.weights.lock import lock

MIRROR = "KERAS_SHUFFLENET_MIRROR"
OFFLINE = "KERAS_SHUFFLENET_OFFLINE"
ADVICE = (
    f"You may also download the file elsewhere and put it there, or set {MIRROR} to a URL or a "
    "directory that has it; any builder takes the path of a file as `weights=`, too."
)


def cache_directory() -> Path:
    """Where files of weights are kept."""
    home = os.environ.get("KERAS_HOME") or Path("~").expanduser() / ".keras"
    return Path(home).expanduser() / "models" / "keras_shufflenet"


def download(entry: WeightsEntry) -> Path:
    """Make sure that a file of the catalog is in the cache.

    It is downloaded beside its place and renamed when its hash is right. A download that broke off
    is resumed. Of several processes that ask at once, one downloads and the others wait.

    Args:
        entry: of the catalog.

    Returns:
        The path in the cache.

    Raises:
        WeightsUnavailableError: a FileNotFoundError that says what to do, if the file cannot be
            had, or if its hash is wrong. A wrong file is removed, in the cache too.
    """
    path = cache_directory() / entry.file
    if not _is_right(entry, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock(path.with_name(f"{path.name}.lock")):
            if not _is_right(entry, path):
                path.unlink(missing_ok=True)
                _obtain(entry, path)
    return path


def _obtain(entry: WeightsEntry, path: Path) -> None:
    """Bring the file to its place."""
    part = path.with_name(f"{path.name}.part")
    mirror = os.environ.get(MIRROR)
    if mirror and "://" not in mirror:
        _copy(entry, Path(mirror).expanduser() / entry.file, part, path)
    else:
        _download(entry, _url(entry, mirror, path), part, path)
    os.replace(part, path)


def _url(entry: WeightsEntry, mirror: str | None, path: Path) -> str:
    """Where to download from.

    Raises:
        WeightsUnavailableError: if nothing may or can be downloaded.
    """
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        raise _unavailable(entry, path, f"{OFFLINE} forbids to download it")
    if mirror:
        return f"{mirror.rstrip('/')}/{quote(entry.file)}"
    if entry.url is None:
        raise _unavailable(entry, path, f"there is no direct link: {entry.download_instructions}")
    return entry.url


def _copy(entry: WeightsEntry, source: Path, part: Path, path: Path) -> None:
    if not source.is_file():
        raise _unavailable(entry, path, f"the mirror has no file {str(source)!r}")
    shutil.copyfile(source, part)
    _verify(entry, part, f"the copy of {str(source)!r}")


def _download(entry: WeightsEntry, url: str, part: Path, path: Path) -> None:
    """Download; start anew once if what was resumed turns out to be something else."""
    try:
        if download_url(url, part, title=entry.name):
            with contextlib.suppress(WeightsUnavailableError):
                _verify(entry, part, f"the download of {url}")
                return
            download_url(url, part, title=entry.name)
        _verify(entry, part, f"the download of {url}")
    except DownloadError as error:
        raise _unavailable(entry, path, f"{url} failed: {error}") from error


def _is_right(entry: WeightsEntry, file: Path) -> bool:
    """Whether the file is there and has the hash and size of the catalog, if that knows them."""
    if not file.is_file() or entry.size not in (None, file.stat().st_size):
        return False
    return entry.sha256 is None or _digest(file).startswith(entry.sha256)


def _verify(entry: WeightsEntry, file: Path, what: str) -> None:
    """Remove what was obtained and raise if it is not the right file."""
    if _is_right(entry, file):
        return
    digest, size = _digest(file), file.stat().st_size
    file.unlink()
    expected = f"sha256 {entry.sha256}" + (f" and {entry.size} bytes" if entry.size else "")
    raise WeightsUnavailableError(
        f"The weights {entry.name!r} need a file with {expected}; {what} is another one and was "
        f"removed. {ADVICE} Received: {str(file)!r} with sha256 {digest} and {size} bytes"
    )


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unavailable(entry: WeightsEntry, path: Path, reason: str) -> WeightsUnavailableError:
    return WeightsUnavailableError(
        f"The right file of the weights {entry.name!r} is not at {str(path)!r}, and {reason}. "
        f"{ADVICE} Received: {MIRROR}={os.environ.get(MIRROR)!r}, "
        f"{OFFLINE}={os.environ.get(OFFLINE)!r}"
    )
