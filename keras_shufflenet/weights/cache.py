"""The cache of weights files: download, verify, mirror, offline.

Files are cached beside Keras' own, in `models/keras_shufflenet/` under `KERAS_HOME` or `~/.keras`.

Environment variables:
    KERAS_HOME: Base directory of the cache.
    KERAS_SHUFFLENET_MIRROR: A URL or a directory that has the files, used instead of the
        publishers' servers.
    KERAS_SHUFFLENET_OFFLINE: 1 to use only the cache and a mirror directory.
"""

import contextlib
import os
import shutil
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock

from keras_shufflenet._files import file_hash
from keras_shufflenet.weights._http import DownloadError, download_url
from keras_shufflenet.weights.catalog import WeightsEntry
from keras_shufflenet.weights.errors import WeightsUnavailableError

MIRROR = "KERAS_SHUFFLENET_MIRROR"
OFFLINE = "KERAS_SHUFFLENET_OFFLINE"
BUNDLE = Path(__file__).with_name("bundled")
ADVICE = (
    f"You can also download the file yourself and put it there, set {MIRROR} to a URL or a "
    "directory that has it, or pass the path of a file as `weights=`."
)


def cache_directory() -> Path:
    """Return the directory of the cache."""
    home = os.environ.get("KERAS_HOME") or Path("~").expanduser() / ".keras"
    return Path(home).expanduser() / "models" / "keras_shufflenet"


def download(entry: WeightsEntry) -> Path:
    """Download a file of the catalog unless it is in the cache or part of this package.

    A partial download is resumed, and gets its final name once its hash is verified. Of several
    processes at once, one downloads and the others wait.

    Args:
        entry: An entry of the catalog.

    Returns:
        The path in the cache or in the package.

    Raises:
        WeightsUnavailableError: A FileNotFoundError with instructions, if the file cannot be
            downloaded, or if its hash is wrong. A wrong file is removed, from the cache too.
    """
    if entry.is_bundled:
        return _bundled(entry)
    path = cache_directory() / entry.file
    if not _is_right(entry, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f"{path.name}.lock")):  # freed if the process dies
            if not _is_right(entry, path):
                path.unlink(missing_ok=True)
                _obtain(entry, path)
    return path


def _bundled(entry: WeightsEntry) -> Path:
    path = BUNDLE / entry.file
    if not _is_right(entry, path):
        raise WeightsUnavailableError(
            f"The weights {entry.name!r} are part of this package, whose file must have the sha256 "
            f"{entry.sha256}; install it again. Received: {path}"
        )
    return path


def _obtain(entry: WeightsEntry, path: Path) -> None:
    """Copy or download the file into the cache."""
    part = path.with_name(f"{path.name}.part")
    mirror = os.environ.get(MIRROR)
    if mirror and "://" not in mirror:
        _copy(entry, Path(mirror).expanduser() / entry.file, part, path)
    else:
        _download(entry, _url(entry, mirror, path), part, path)
    os.replace(part, path)


def _url(entry: WeightsEntry, mirror: str | None, path: Path) -> str:
    """Return the URL to download from.

    Raises:
        WeightsUnavailableError: If downloads are forbidden or there is no link.
    """
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        raise _unavailable(entry, path, f"{OFFLINE} forbids downloads")
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
    """Download, and restart once if a resumed download has the wrong hash."""
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
    """Return whether a file exists and has the hash and size of the catalog, where known."""
    if not file.is_file() or entry.size not in (None, file.stat().st_size):
        return False
    return entry.sha256 is None or file_hash(file).startswith(entry.sha256)


def _verify(entry: WeightsEntry, file: Path, what: str) -> None:
    """Remove the file and raise if it is not the right one."""
    if _is_right(entry, file):
        return
    digest, size = file_hash(file), file.stat().st_size
    file.unlink()
    expected = f"sha256 {entry.sha256}" + (f" and {entry.size} bytes" if entry.size else "")
    raise WeightsUnavailableError(
        f"The weights {entry.name!r} require a file with {expected}; {what} differs and was "
        f"removed. {ADVICE} Received: {str(file)!r} with sha256 {digest} and {size} bytes"
    )


def _unavailable(entry: WeightsEntry, path: Path, reason: str) -> WeightsUnavailableError:
    return WeightsUnavailableError(
        f"The weights {entry.name!r} are not in the cache at {str(path)!r}, and {reason}. "
        f"{ADVICE} Received: {MIRROR}={os.environ.get(MIRROR)!r}, "
        f"{OFFLINE}={os.environ.get(OFFLINE)!r}"
    )
