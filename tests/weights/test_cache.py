"""The cache: downloads that break off, lie, are killed, or happen eight times at once."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from importlib import import_module

import pytest

from keras_shufflenet.weights import WeightsEntry, WeightsUnavailableError, catalog, download
from tests.weights.server import Server, serve

download_module = import_module("keras_shufflenet.weights._http")

BODY = random.Random(0).randbytes(100_000)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache of its own, no mirror, and no long pauses."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERAS_SHUFFLENET_MIRROR", raising=False)
    monkeypatch.delenv("KERAS_SHUFFLENET_OFFLINE", raising=False)
    monkeypatch.setattr(download_module, "FIRST_PAUSE", 0.01)
    return tmp_path / "home" / "models" / "keras_shufflenet"


@pytest.fixture
def server():
    with serve(Server(BODY)) as running:
        yield running


def entry(url: str | None, body=BODY, **fields) -> WeightsEntry:
    return WeightsEntry(
        **{
            "name": "tiny.publisher",
            "model": "tiny",
            "file": "tiny-0123.pth",
            "layout": "torchvision/shufflenet_v2",
            "source": "https://example.org",
            "license": "MIT",
            "url": url and f"{url}/files/tiny-0123.pth",
            "sha256": hashlib.sha256(body).hexdigest()[:8],
            "size": len(body),
            **fields,
        }
    )


def leftovers(home) -> set[str]:
    return {path.name for path in home.iterdir()} - {"tiny-0123.pth", "tiny-0123.pth.lock"}


def test_download_and_cache(home, server, capfd):
    path = download(entry(server.url))
    assert path == home / "tiny-0123.pth"
    assert path.read_bytes() == BODY
    assert leftovers(home) == set()
    assert download(entry(server.url)) == path
    assert len(server.asked) == 1
    assert server.asked[0]["path"] == "/files/tiny-0123.pth"
    assert capfd.readouterr() == ("", "")  # the bar is for terminals


@pytest.mark.parametrize("tag", ['"one"', None])
def test_broken_connection_is_resumed_if_the_server_marks_the_file(home, server, tag):
    server.tag, server.cut = tag, [30_000, 20_000]
    assert download(entry(server.url)).read_bytes() == BODY
    ranges = [request.get("Range") for request in server.asked]
    assert ranges == [None, *(["bytes=30000-", "bytes=50000-"] if tag else [None, None])]
    assert server.sent == (len(BODY) if tag else len(BODY) + 50_000)
    assert leftovers(home) == set()


def test_server_without_ranges_starts_anew(server):
    server.ranges, server.cut = False, [30_000]
    assert download(entry(server.url)).read_bytes() == BODY


def test_file_that_changed_meanwhile_starts_anew(home, server):
    server.cut = [30_000, 0, 0, 0]
    with pytest.raises(WeightsUnavailableError, match="after 4 attempts"):
        download(entry(server.url))
    assert (home / "tiny-0123.pth.part").stat().st_size == 30_000
    server.body, server.tag = BODY[::-1], '"two"'
    assert download(entry(server.url, BODY[::-1])).read_bytes() == BODY[::-1]
    assert server.asked[-1]["If-Range"] == '"one"'


@pytest.mark.parametrize("damage", [lambda part: part + b"x", lambda part: b"x" + part[1:]])
def test_damaged_beginning_is_noticed_and_downloaded_anew(home, server, damage):
    server.cut = [30_000, 0, 0, 0]
    with pytest.raises(WeightsUnavailableError):
        download(entry(server.url))
    part = home / "tiny-0123.pth.part"
    part.write_bytes(damage(part.read_bytes()))
    assert download(entry(server.url)).read_bytes() == BODY


def test_beginning_longer_than_the_file(home, server):
    server.cut = [30_000, 0, 0, 0]
    with pytest.raises(WeightsUnavailableError):
        download(entry(server.url))
    (home / "tiny-0123.pth.part").write_bytes(bytes(200_000))
    assert download(entry(server.url)).read_bytes() == BODY


SCRIPT = """
import sys
from keras_shufflenet.weights import WeightsEntry, download
print("ready", flush=True)
print(download(WeightsEntry(**eval(sys.argv[1]))), flush=True)
"""


def start(weights: WeightsEntry, script=SCRIPT) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script, repr(vars(weights))],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "numpy"},
    )


def test_killed_download_is_resumed(home, server):
    """The lock of the killed process must not stay, nor may its half of a file be taken for all."""
    server.pause = 0.02
    part = home / "tiny-0123.pth.part"
    with start(entry(server.url)) as process:
        deadline = time.monotonic() + 60
        while not (part.is_file() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    received = part.stat().st_size
    assert 0 < received < len(BODY)
    assert not (home / "tiny-0123.pth").exists()
    server.pause = 0
    assert download(entry(server.url)).read_bytes() == BODY
    assert server.asked[-1]["Range"] == f"bytes={received}-"
    assert leftovers(home) == set()


EIGHT = """
import multiprocessing, sys
from keras_shufflenet.weights import WeightsEntry, download
entry = WeightsEntry(**eval(sys.argv[1]))
def work(_):
    return hash(download(entry).read_bytes())
with multiprocessing.get_context("fork").Pool(8) as pool:
    print(len(set(pool.map(work, range(8), chunksize=1))))
"""


def test_eight_processes_at_once_download_once(home, server):
    server.pause = 0.005
    with start(entry(server.url), EIGHT) as process:
        assert process.communicate(timeout=120)[0].strip() == "1"
    assert len(server.asked) == 1
    assert (home / "tiny-0123.pth").read_bytes() == BODY


def test_wrong_hash_is_removed(home, server):
    server.body = b"<html>please log in</html>"
    with pytest.raises(
        WeightsUnavailableError, match=rf"download of {server.url}.*removed.*Received: .*26 bytes"
    ):
        download(entry(server.url))
    assert leftovers(home) == set()
    assert not (home / "tiny-0123.pth").exists()


def test_wrong_file_in_the_cache_is_replaced(home, server):
    home.mkdir(parents=True)
    for wrong in (b"", BODY[:-1], BODY[:-1] + b"x"):
        (home / "tiny-0123.pth").write_bytes(wrong)
        assert download(entry(server.url)).read_bytes() == BODY


@pytest.mark.parametrize("status", [403, 404])
def test_final_answers_are_not_repeated(home, server, status):
    server.status = status
    with pytest.raises(FileNotFoundError) as info:
        download(entry(server.url))
    text = str(info.value)
    assert f"returned {status}" in text
    for hint in (server.url, str(home / "tiny-0123.pth"), "KERAS_SHUFFLENET_MIRROR", "Received: "):
        assert hint in text
    assert len(server.asked) == 1


def test_busy_server_is_asked_again(server):
    server.status = 503
    with pytest.raises(WeightsUnavailableError, match=r"503.*after 4 attempts"):
        download(entry(server.url))
    assert len(server.asked) == 4
    server.status = None
    assert download(entry(server.url)).read_bytes() == BODY


def test_silent_server(server, monkeypatch):
    monkeypatch.setattr(download_module, "TIMEOUT", 0.05)
    server.pause = 0.2
    with pytest.raises(WeightsUnavailableError, match=r"timed out.*after 4 attempts"):
        download(entry(server.url))


def test_no_server():
    with pytest.raises(WeightsUnavailableError, match=r"refused.*KERAS_SHUFFLENET_MIRROR"):
        download(entry("http://127.0.0.1:9"))


def test_mirror_by_url(server, monkeypatch):
    monkeypatch.setenv("KERAS_SHUFFLENET_MIRROR", f"{server.url}/mirror/")
    assert download(entry("http://127.0.0.1:9")).read_bytes() == BODY
    assert server.asked[0]["path"] == "/mirror/tiny-0123.pth"


def test_mirror_directory(tmp_path, home, monkeypatch):
    monkeypatch.setenv("KERAS_SHUFFLENET_MIRROR", str(tmp_path))
    monkeypatch.setenv("KERAS_SHUFFLENET_OFFLINE", "1")
    with pytest.raises(WeightsUnavailableError, match="the mirror has no file"):
        download(entry("http://127.0.0.1:9"))
    (tmp_path / "tiny-0123.pth").write_bytes(BODY[:-1])
    with pytest.raises(WeightsUnavailableError, match=r"copy of.*Received: .*99999 bytes"):
        download(entry("http://127.0.0.1:9"))
    (tmp_path / "tiny-0123.pth").write_bytes(BODY)
    assert download(entry("http://127.0.0.1:9")) == home / "tiny-0123.pth"
    assert leftovers(home) == set()


def test_offline(home, server, monkeypatch):
    monkeypatch.setenv("KERAS_SHUFFLENET_OFFLINE", "1")
    with pytest.raises(WeightsUnavailableError, match="KERAS_SHUFFLENET_OFFLINE forbids"):
        download(entry(server.url))
    assert server.asked == []
    (home / "tiny-0123.pth").write_bytes(BODY)
    assert download(entry(server.url)).read_bytes() == BODY


def test_files_without_a_link_tell_what_to_do(home):
    megvii = catalog.get_entry("shufflenet_v2_x1_0_megvii.megvii")
    with pytest.raises(WeightsUnavailableError) as info:
        download(megvii)
    place = home / "ShuffleNetV2.1.0x.pth.tar"
    assert "1drv.ms" in str(info.value)
    assert str(place) in str(info.value)
    place.write_bytes(b"put there by the user")
    assert download(megvii) == place
