import io
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from keras_shufflenet.inference.sources import find_images


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    for name in ("b.JPG", "a.png", "sub/c.bmp", "notes.txt", ".cache/d.png", "[x] 1.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            Image.new("RGB", (4, 4)).save(path)
    return folder


@pytest.fixture
def server(photos):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=photos))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def names(words, folder):
    return [source.name for source in find_images([str(word) for word in words], folder)]


def test_a_folder_with_its_sub_folders(photos, tmp_path):
    assert names([photos], tmp_path) == ["[x] 1.png", "a.png", "b.JPG", "sub/c.bmp"]


def test_files_of_a_folder_that_are_no_images_are_named(photos, tmp_path, caplog):
    find_images([str(photos)], tmp_path)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.message == (
        f"{photos}: read 4 of 6 files; left out: 1 in hidden folders (.cache), "
        "1 with a suffix that is not of an image (notes.txt)"
    )


def test_patterns(photos, tmp_path):
    assert names([photos / "*.png"], tmp_path) == ["[x] 1.png", "a.png"]
    assert names([photos / "**/*.bmp"], tmp_path) == ["c.bmp"]
    assert names([photos / "[x] 1.png"], tmp_path) == ["[x] 1.png"]  # a file of that name


def test_files_keep_their_order_and_count_once(photos, tmp_path):
    words = [photos / "sub/c.bmp", photos / "a.png", photos / "a.png"]
    assert names(words, tmp_path) == ["sub/c.bmp", "a.png"]


def test_a_list_on_the_standard_input(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{photos / 'b.JPG'}\n\n{photos / 'sub'}\n"))
    assert names(["-"], tmp_path) == ["b.JPG", "sub/c.bmp"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    with pytest.raises(ValueError, match=r"one per line, if it is '-'. Received: no line"):
        find_images(["-"], tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("\udcff\udcd8JFIF\0\1"))  # cat photo.jpg
    with pytest.raises(ValueError, match="Received: binary data"):
        find_images(["-"], tmp_path)


def test_urls(server, photos, tmp_path):
    url = f"{server}/%5Bx%5D%201.png?size=large"
    (source,) = find_images([url], tmp_path)
    assert source.name == "[x] 1.png"
    assert source.origin == url
    assert source.path.read_bytes() == (photos / "[x] 1.png").read_bytes()
    with pytest.raises(OSError, match=r"server returned 404 .* Received: http://.*/none.png"):
        find_images([f"{server}/none.png"], tmp_path)


def test_nothing_found(photos, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"an existing file. Received: none.jpg"):
        find_images(["none.jpg"], tmp_path)
    with pytest.raises(FileNotFoundError, match=r"pattern that matches a file. Received: .*\.gif"):
        find_images([str(photos / "*.gif")], tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"folder with images \(.*\.png.*Received: .*empty"):
        find_images([str(tmp_path / "empty")], tmp_path)


def test_one_name_for_two_images(server, photos, tmp_path):
    with pytest.raises(ValueError, match=r"must differ in name.* Received: .*a\.png, http.*a\.png"):
        find_images([str(photos / "a.png"), f"{server}/a.png"], tmp_path)


def test_urls_of_files(photos, tmp_path):
    assert names([f"file://{photos}/%5Bx%5D%201.png"], tmp_path) == ["[x] 1.png"]


def test_a_file_that_is_no_image(photos, tmp_path):
    with pytest.raises(ValueError, match=r"must be a file of .* Received: \S*notes\.txt"):
        find_images([str(photos / "notes.txt")], tmp_path)
    photos.joinpath("a.png").rename(photos / "a")
    assert names([photos / "a"], tmp_path) == ["a"]  # the contents count
