"""Download of one file over HTTP: with retries, resumed where it broke off."""

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
FINAL = frozenset({400, 401, 403, 404, 405, 410, 451})  # answers that will not change
RANGE_REFUSED = 416


class DownloadError(OSError):
    """A download failed for good."""


class _BrokenOffError(OSError):
    """The connection ended before the file did."""


def download_url(url: str, part: Path, title: str) -> bool:
    """Download a file.

    Args:
        url: http or https.
        part: where to. What is there from a broken download is continued if the server can and its
            file is still the same; a note beside it (`.json`) remembers which one it was.
        title: for the progress bar, which is shown on a terminal only.

    Returns:
        Whether the file was put together from several connections.

    Raises:
        DownloadError: if it does not work.
    """
    for attempt in range(ATTEMPTS):
        try:
            resumed = _attempt(url, part, title)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == RANGE_REFUSED:
                part.unlink(missing_ok=True)
            elif error.code in FINAL:
                raise DownloadError(f"the server says {error.code} {error.reason}") from error
            failure: Exception = error
        except (OSError, http.client.HTTPException) as error:
            failure = error
        else:
            _note(part).unlink(missing_ok=True)
            return resumed
        if attempt < ATTEMPTS - 1:
            time.sleep(FIRST_PAUSE * 2**attempt)
    raise DownloadError(f"{failure} (after {ATTEMPTS} attempts)") from failure


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _attempt(url: str, part: Path, title: str) -> bool:
    """Download what is missing; whether that was not everything."""
    start, validator = _progress_so_far(url, part)
    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        if response.status != 206 or not _continues(response, start):
            start = 0
            part.unlink(missing_ok=True)  # before the note tells that it is of this file
        _write_note(url, part, response)
        _receive(response, part, start, title)
    return start > 0


def _progress_so_far(url: str, part: Path) -> tuple[int, str]:
    """Bytes that are there, and the server's mark of the file that they are of."""
    try:
        note = json.loads(_note(part).read_text())
        if note["url"] == url:
            return part.stat().st_size, str(note["validator"])
    except (OSError, ValueError, LookupError, TypeError):
        pass  # no download was broken off, or not in a way that it can be continued
    return 0, ""


def _continues(response: Any, start: int) -> bool:
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-")


def _write_note(url: str, part: Path, response: Any) -> None:
    """Remember which file this is, if the server tells it in a way that can be relied on."""
    tag = response.headers.get("ETag")
    strong = tag if tag and not tag.startswith("W/") else None
    validator = strong or response.headers.get("Last-Modified")
    if validator:
        _note(part).write_text(json.dumps({"url": url, "validator": validator}))
    else:
        _note(part).unlink(missing_ok=True)


def _receive(response: Any, part: Path, start: int, title: str) -> None:
    length = response.headers.get("Content-Length")
    total = start + int(length) if length is not None else None
    with part.open("r+b" if start else "wb") as file, _progress() as progress:
        file.seek(start)
        task = progress.add_task(title, total=total, completed=start)
        done = start + _copy(response, file.write, lambda n: progress.advance(task, n))
    if total is not None and done < total:
        raise _BrokenOffError(f"the connection ended after {done} of {total} bytes")


def _copy(response: Any, write: Callable[[bytes], int], advance: Callable[[int], None]) -> int:
    received = 0
    while chunk := response.read1(CHUNK):  # what is there, so that little is lost
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
