"""Images to predict: files, folders, shell patterns, URLs and lists of them."""

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.data.image_files import (
    HIDDEN,
    IMAGE_SUFFIXES,
    IN_HIDDEN_FOLDERS,
    check_name,
    displayed_size,
    find_image_files,
)
from keras_shufflenet.inference.video_reader import is_video
from keras_shufflenet.weights._http import DownloadError, download_url

STDIN = "-"
FILE_SCHEME = "file://"
URL_SCHEMES = ("http://", "https://")


@dataclass(frozen=True)
class ImageSource:
    """An image to predict.

    Attributes:
        path: The file.
        name: Its path below the folder that all files have in common, with "/"; the name in the
            URL of a downloaded file.
        origin: What the user passed: the path or the URL.
    """

    path: Path
    name: str
    origin: str


def find_images(words: Sequence[str], download_dir: Path) -> list[ImageSource]:
    """Find the images that a user means.

    Args:
        words: Each a file, a folder (its image files and those of its subfolders), a shell
            pattern such as `photos/*.jpg` (`**` for all subfolders), a URL of file, http or https,
            or "-" for a list of these on the standard input, one per line.
        download_dir: Folder for the files of URLs.

    Returns:
        The images in the order of the words, and sorted by name within a folder or pattern.

    Raises:
        FileNotFoundError: If a file does not exist, or a folder or pattern has no image.
        OSError: If a URL cannot be downloaded.
        ValueError: If two images have the same name.
    """
    paths: list[Path] = []
    downloads: list[ImageSource] = []
    order: list[Path | ImageSource] = []
    for word in _with_list(words):
        if word.startswith(URL_SCHEMES):
            downloads.append(_download(word, download_dir, len(downloads)))
            order.append(downloads[-1])
        else:
            found = _local(word)
            paths += found
            order += found
    root = Path(os.path.commonpath([path.absolute().parent for path in paths])) if paths else Path()
    sources = [
        entry
        if isinstance(entry, ImageSource)
        else ImageSource(entry, entry.absolute().relative_to(root).as_posix(), str(entry))
        for entry in dict.fromkeys(order)
    ]
    _check_names(sources)
    return sources


def _with_list(words: Sequence[str]) -> Iterable[str]:
    """Yield the words, with the lines of the standard input in place of "-"."""
    for word in words:
        if word != STDIN:
            yield word
            continue
        lines = [line.strip() for line in sys.stdin]
        is_binary = any("\0" in line for line in lines)
        if is_binary or not any(lines):
            raise ValueError(
                "IMAGE must be a list of images on the standard input, one per line, if it is '-'. "
                f"Received: {'binary data' if is_binary else 'no line'}"
            )
        yield from filter(None, lines)


def _local(word: str) -> list[Path]:
    if word.startswith(FILE_SCHEME):
        word = unquote(urlsplit(word).path)
    path = Path(word).expanduser()
    if path.is_dir():
        found, left_out = find_image_files(path)
        ReadReport.of_files(word, len(found), left_out, (HIDDEN, IN_HIDDEN_FOLDERS)).log()
        what = f"a folder with images ({', '.join(sorted(IMAGE_SUFFIXES))})"
        if not found and (videos := sorted(filter(is_video, map(str, path.iterdir())))):
            pattern = path / f"*{Path(videos[0]).suffix}"
            what = f"a folder with images; `predict` takes videos by a pattern: '{pattern}'"
    elif path.is_file():
        check_name(path)
        if is_video(word):
            raise ValueError(
                "IMAGE must be images; videos are arguments of `predict detect` and `predict pose`"
                f", without images or lists. Received: {word}"
            )
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            displayed_size(path)  # raises before a network is loaded for it
        return [path]
    else:
        is_pattern = glob.has_magic(word)
        matches = glob.glob(str(path), recursive=True) if is_pattern else []
        found = sorted(file for file in map(Path, matches) if file.is_file())
        what = "a pattern that matches a file" if is_pattern else "an existing file"
    if not found:
        raise FileNotFoundError(f"IMAGE must be {what}. Received: {word}")
    return found


def _download(url: str, folder: Path, index: int) -> ImageSource:
    name = PurePosixPath(unquote(urlsplit(url).path)).name or f"image{index}"
    path = folder / f"{index}-{name}"
    try:
        download_url(url, path, name)
    except DownloadError as error:
        raise DownloadError(
            f"The URL must be that of an image: {error}. Received: {url}"
        ) from error
    return ImageSource(path, name, url)


def _check_names(sources: Sequence[ImageSource]) -> None:
    counts = Counter(source.name for source in sources)
    same = [source.origin for source in sources if counts[source.name] > 1]
    if same:
        raise ValueError(
            f"Images must differ in name, because results go by name. Received: {', '.join(same)}"
        )
