"""Reading image files: the one policy of training, evaluation, calibration and inference.

| a file with | is read as |
|---|---|
| EXIF orientation | it is displayed: turned and mirrored; broken EXIF data is ignored |
| 16 bits per channel | their higher byte; in TIFF of 9 to 15 bits the higher 8 bits |
| floating-point or 32-bit pixels | refused: they have no white |
| transparency (RGBA, LA, palette or color key) | on white |
| gray, 1 bit, a palette, CMYK, YCbCr | RGB, without its color profile; CMYK of JPEG is Adobe's |
| several frames or pages | the first one |
| data after its end | itself |
| missing pixels, or no image | refused; the error names it |
| damaged data inside of a JPEG | refused, or in training what the decoder recovers |
| more than twice Pillow's `MAX_IMAGE_PIXELS` | refused |

No TensorFlow: files are decoded by Pillow. The training pipelines decode ordinary JPEG files with
TensorFlow, whose pixels are the same.
"""

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from keras_shufflenet._types import Size
from keras_shufflenet.data.jpeg_header import (
    ORIENTATION,
    exif_orientation,
    is_jpeg,
    read_jpeg_header,
)
from keras_shufflenet.data.records import image_exists, read_bytes

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")
IMAGE_SUFFIXES = frozenset(  # of these formats, in lower case
    {".apng", ".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpf", ".jpg"}
    | {".jpx", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
LUMA = (0.299, 0.587, 0.114)  # weights of RGB of ITU-R 601, as Pillow's mode "L" has them
SYSTEM_FOLDERS = (".", "__", "@")  # names of folders of systems and notebooks begin with these
# Why files of a folder are left out.
HIDDEN, IN_HIDDEN_FOLDERS = "hidden", "in hidden folders"
NO_IMAGE, NO_SUFFIX = "with a suffix that is not of an image", "without a suffix"
HEIC = "HEIC, which must be converted"
TRUNCATED = "LOAD_TRUNCATED_IMAGES"
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # tags of TIFF and a value
_HEIF = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftyphevc")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def find_image_files(folder: Path) -> tuple[list[Path], dict[str, list[str]]]:
    """Find the image files of a folder and its subfolders, by their suffixes in any case.

    Folders whose names begin with ".", "__" or "@" are not entered, links are followed.

    Args:
        folder: An existing folder.

    Returns:
        The images in the order of their names, and the other files, as paths within the folder, by
        the reason why they are left out: `HIDDEN`, `IN_HIDDEN_FOLDERS` (the name of the hidden
        folder for each of its files), `NO_IMAGE`, `NO_SUFFIX` or `HEIC`.

    Raises:
        OSError: If a subfolder cannot be read.
        ValueError: If the name of an image is not UTF-8.
    """
    images: list[Path] = []
    left_out: dict[str, list[str]] = {}
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        for name in sorted(name for name in folders if name.startswith(SYSTEM_FOLDERS)):
            hidden_folder = Path(parent, name)
            names_left = [hidden_folder.relative_to(folder).as_posix()] * count_files(hidden_folder)
            left_out.setdefault(IN_HIDDEN_FOLDERS, []).extend(names_left)
        folders[:] = sorted(name for name in folders if not name.startswith(SYSTEM_FOLDERS))
        real = {name: os.path.realpath(os.path.join(parent, name)) for name in folders}
        folders[:] = [name for name in folders if real[name] not in seen]
        seen.update(real[name] for name in folders)
        for path in (Path(parent, name) for name in sorted(names)):
            reason = _reason_to_leave_out(path)
            if reason is None:
                check_name(path)
                images.append(path)
            else:
                left_out.setdefault(reason, []).append(path.relative_to(folder).as_posix())
    return images, {reason: paths for reason, paths in left_out.items() if paths}


def _reason_to_leave_out(path: Path) -> str | None:
    if path.name.startswith("."):
        return HIDDEN
    suffix = path.suffix.lower()
    if suffix in (".heic", ".heif"):
        return HEIC
    if suffix in IMAGE_SUFFIXES:
        return None
    return NO_IMAGE if suffix else NO_SUFFIX


def check_name(path: Path) -> None:
    """Raise ValueError if a path is not UTF-8, the encoding of TensorFlow and of json files."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"Names of image files must be UTF-8. Received: {os.fsencode(path)!r}"
        ) from error


def _raise(error: OSError) -> None:
    raise error


def count_files(folder: Path) -> int:
    """Return the number of files in a folder and its subfolders."""
    return sum(len(names) for _, _, names in os.walk(folder))


def read_image(path: str | os.PathLike[str]) -> Image.Image:
    """Read an image file as it is displayed.

    Args:
        path: A file of one of `FORMATS`.

    Returns:
        An RGB image.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is not a complete image; the message names it.
    """
    if not image_exists(path):
        raise FileNotFoundError(f"An image must be an existing file. Received: {path}")
    return decode_image(read_bytes(path), os.fspath(path))


def decode_image(contents: bytes, name: str, size: tuple[int, int] | None = None) -> Image.Image:
    """Decode the contents of an image file.

    Args:
        contents: The bytes of the file.
        name: Its path, for the error message.
        size: (height, width) for which the image is wanted. If the stored image has this size and
            the displayed one has not, the image is returned as it is stored.

    Returns:
        An RGB image.

    Raises:
        ValueError: If it is not a complete image.
    """
    try:
        with _strictly(), _open(contents) as image:
            if is_jpeg(contents) and not read_jpeg_header(contents).is_complete:
                raise ValueError("the file is truncated")
            image.load()
            pixels, orientation = to_rgb(image), _orientation(image, contents)
    except Exception as error:  # broken files fail everywhere in Pillow
        raise ValueError(
            f"An image must be a complete file of {', '.join(FORMATS)} "
            f"({_reason(contents, error)}). Received: {name}"
        ) from error
    displayed = _displayed(pixels, orientation)
    if displayed.size[::-1] != size == pixels.size[::-1]:
        warnings.warn(
            "Annotations should state the size of an image as it is displayed. EXIF orientation is "
            f"not applied to images annotated as they are stored. Received: {name}",
            stacklevel=1,
        )
        return pixels
    return displayed


def displayed_size(path: str | os.PathLike[str]) -> Size:
    """Return the (height, width) of an image file as it is displayed, from its header.

    Raises:
        ValueError: If it is not an image.
    """
    return displayed_and_stored_size(path)[0]


def displayed_and_stored_size(path: str | os.PathLike[str]) -> tuple[Size, Size]:
    """Return two (height, width) of an image file from its header; EXIF may turn the stored image.

    Raises:
        ValueError: If it is not an image.
    """
    return image_sizes(read_bytes(path), os.fspath(path))


def image_sizes(contents: bytes, name: str) -> tuple[Size, Size]:
    """Return the same for the contents of an image file of a name.

    Raises:
        ValueError: If it is not an image.
    """
    try:
        with _strictly(), _open(contents) as image:
            width, height = image.size
            is_tiff = image.format == "TIFF"  # Pillow states the displayed size
            turned = not is_tiff and _orientation(image, contents) >= 5
            return ((width, height) if turned else (height, width)), (height, width)
    except Exception as error:  # as above
        raise ValueError(
            f"An image must be a file of {', '.join(FORMATS)} ({_reason(contents, error)}). "
            f"Received: {name}"
        ) from error


def is_plain_jpeg(contents: bytes) -> bool:
    """Return whether any JPEG decoder gives the image of the policy."""
    if not is_jpeg(contents):
        return False
    header = read_jpeg_header(contents)
    return header.is_ordinary and header.is_complete and header.orientation == 1


def upright(image: Image.Image) -> Image.Image:
    """Return an image that the user opened as it is displayed, in RGB.

    Raises:
        ValueError: If its pixels cannot be shown.
    """
    if isinstance(image, ImageFile.ImageFile):  # others may have been turned already
        with _strictly():
            image.load()
        return _displayed(to_rgb(image), exif_orientation(image.info.get("exif", b"")))
    return to_rgb(image)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB: 16 bits are scaled, transparency becomes white.

    Raises:
        ValueError: If its pixels have no white: floating-point or 32-bit numbers.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        image = _to_8_bits(image)
    if image.mode in ("I", "F"):
        raise ValueError("pixels must have 8 or 16 bits, not 32")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    page = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(page, layer).convert("RGB")


def _open(contents: bytes) -> Image.Image:
    Image.init()
    return Image.open(BytesIO(contents), formats=[name for name in FORMATS if name in Image.OPEN])


def _orientation(image: Image.Image, contents: bytes) -> int:
    if is_jpeg(contents):
        return read_jpeg_header(contents).orientation
    if isinstance(image, TiffImageFile):  # Pillow has turned the image, or leaves the tag
        return int(image.tag_v2.get(ORIENTATION, 1))
    return exif_orientation(image.info.get("exif", b""))


def _displayed(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _to_8_bits(image: Image.Image) -> Image.Image:
    pixels, bits = np.asarray(image).astype(np.int64), 16
    alpha = pixels != image.info.get("transparency", -1)
    if isinstance(image, TiffImageFile):
        tags = image.tag_v2
        bits = int(tags.get(_BITS_PER_SAMPLE, (16,))[0])
        if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            pixels = (1 << bits) - 1 - pixels
    gray = np.where(alpha, (pixels >> (bits - 8)).clip(0, 255), 255)
    return Image.fromarray(gray.astype(np.uint8))


def _reason(contents: bytes, error: Exception) -> str:
    if not contents:
        return "the file is empty"
    if contents.startswith(b"version https://git-lfs"):
        return "the file is a pointer of Git LFS: run `git lfs pull`"
    if contents[4:12] in _HEIF:
        return "the file is HEIC: convert it to JPEG"
    if isinstance(error, UnidentifiedImageError):
        return "the file is none of them"
    return f"{error}" or type(error).__name__


_lock, _context, _threads = threading.Lock(), ExitStack(), [0]


@contextmanager
def _strictly() -> Iterator[None]:
    """Refuse truncated files, whatever Pillow's global setting is, and ignore its warnings.

    Both are settings of the process; they last from the first of several threads to the last.
    """
    with _lock:
        if _threads[0] == 0:
            _context.callback(setattr, ImageFile, TRUNCATED, getattr(ImageFile, TRUNCATED))
            setattr(ImageFile, TRUNCATED, False)
            _context.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module="PIL")
        _threads[0] += 1
    try:
        yield
    finally:
        with _lock:
            _threads[0] -= 1
            if _threads[0] == 0:
                _context.close()
