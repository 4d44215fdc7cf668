"""Download one file over HTTP, with retries; partial downloads are resumed."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

ATTEMPTS = 4
FIRST_PAUSE = 0.5  # seconds; doubles with every attempt
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 18
AGENT = "keras-shufflenet"
PERMANENT = frozenset({400, 401, 403, 404, 405, 410, 451})  # status codes not worth a retry
RANGE_REFUSED = 416


class DownloadError(OSError):
    """A download failed after all retries."""


class _IncompleteError(OSError):
    """The connection was closed before the end of the file."""


def download_url(url: str, part: Path, title: str) -> bool:
    """Download a file.

    Args:
        url: A URL of http or https.
        part: Path of the partial download. It is resumed if the server supports that and its file
            is still the same, which is told by a JSON file beside it.
        title: Title of the progress bar, which is shown on a terminal only.

    Returns:
        Whether a partial download was resumed.

    Raises:
        DownloadError: If the download fails.
    """
    for attempt in range(ATTEMPTS):
        try:
            resumed = _attempt(url, part, title)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == RANGE_REFUSED:
                part.unlink(missing_ok=True)
            elif error.code in PERMANENT:
                raise DownloadError(f"the server returned {error.code} {error.reason}") from error
            failure: Exception = error
        except (OSError, http.client.HTTPException) as error:
            failure = error
        else:
            _validator_path(part).unlink(missing_ok=True)
            return resumed
        if attempt < ATTEMPTS - 1:
            time.sleep(FIRST_PAUSE * 2**attempt)
    raise DownloadError(f"{failure} (after {ATTEMPTS} attempts)") from failure


def _validator_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _attempt(url: str, part: Path, title: str) -> bool:
    """Download the missing bytes; return whether a partial download was resumed."""
    start, validator = _partial_download(url, part)
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        if response.status != 206 or not _continues(response, start):
            start = 0
            part.unlink(missing_ok=True)  # before the validator claims that it is of this file
        _write_validator(url, part, response)
        _receive(response, part, start, title)
    return start > 0


def _partial_download(url: str, part: Path) -> tuple[int, str]:
    """Return the size of the partial download and the server's validator of its file."""
    try:
        stored = json.loads(_validator_path(part).read_text())
        if stored["url"] == url:
            return part.stat().st_size, str(stored["validator"])
    except (OSError, ValueError, LookupError, TypeError):
        pass  # there is no partial download, or it cannot be resumed
    return 0, ""


def _continues(response: Any, start: int) -> bool:
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-")


def _write_validator(url: str, part: Path, response: Any) -> None:
    """Store the strong ETag or the date of the file, if the server sends one."""
    tag = response.headers.get("ETag")
    strong = tag if tag and not tag.startswith("W/") else None
    validator = strong or response.headers.get("Last-Modified")
    if validator:
        _validator_path(part).write_text(json.dumps({"url": url, "validator": validator}))
    else:
        _validator_path(part).unlink(missing_ok=True)


def _receive(response: Any, part: Path, start: int, title: str) -> None:
    length = response.headers.get("Content-Length")
    total = start + int(length) if length is not None else None
    with part.open("r+b" if start else "wb") as file, _progress() as progress:
        file.seek(start)
        task = progress.add_task(title, total=total, completed=start)
        done = start + _copy(response, file.write, lambda n: progress.advance(task, n))
    if total is not None and done < total:
        raise _IncompleteError(f"the connection was closed after {done} of {total} bytes")


def _copy(response: Any, write: Callable[[bytes], int], advance: Callable[[int], None]) -> int:
    received = 0
    while chunk := response.read1(CHUNK):  # whatever has arrived, so that little is lost
        write(chunk)
        received += len(chunk)
        advance(len(chunk))
    return received


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
