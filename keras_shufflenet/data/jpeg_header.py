"""The header of a JPEG file, read from its bytes: orientation, components, completeness."""

from functools import partial
from typing import NamedTuple

ORIENTATION = 0x0112  # tag of EXIF
_EXIF = b"Exif\0\0"
_END = b"\xff\xd9"
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, with Huffman coding
_BYTE_ORDERS = {
    b"II*\0": partial(int.from_bytes, byteorder="little"),
    b"MM\0*": partial(int.from_bytes, byteorder="big"),
}
_SCAN, _APP1 = 0xDA, 0xE1


class JPEGHeader(NamedTuple):
    """What the markers before the first scan state.

    Attributes:
        orientation: EXIF orientation, 1 to 8; 1 if there is none or its data is broken.
        is_ordinary: Whether it has 8 bits, one or three components and a common compression.
        is_complete: Whether the end marker follows the image.
    """

    orientation: int
    is_ordinary: bool
    is_complete: bool


def is_jpeg(contents: bytes) -> bool:
    """Return whether a file begins as a JPEG file."""
    return contents[:3] == b"\xff\xd8\xff"


def read_jpeg_header(contents: bytes) -> JPEGHeader:
    """Read the header of a JPEG file; more data may follow its end marker."""
    orientation, is_ordinary, position = 1, False, 2
    seen_exif = False
    while position + 4 <= len(contents) and contents[position] == 0xFF:
        marker = contents[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        end = position + 2 + int.from_bytes(contents[position + 2 : position + 4])
        body = contents[position + 4 : end]
        if marker == _SCAN:
            complete = contents.endswith(_END) or contents.find(_END, end) >= 0
            return JPEGHeader(orientation, is_ordinary, complete)
        if marker == _APP1 and body.startswith(_EXIF) and not seen_exif:
            orientation, seen_exif = exif_orientation(body), True
        if marker in _FRAMES and len(body) > 5:
            is_ordinary = body[0] == 8 and body[5] in (1, 3)
        position = end
    return JPEGHeader(orientation, False, False)


def exif_orientation(exif: bytes) -> int:
    """Return the orientation of EXIF data, 1 to 8; 1 if there is none or the data is broken."""
    data = exif.removeprefix(_EXIF)
    if data[:4] not in _BYTE_ORDERS:
        return 1
    to_int = _BYTE_ORDERS[data[:4]]

    def number(start: int, length: int) -> int:
        return to_int(data[start : start + length])

    directory = number(4, 4)
    for entry in range(directory + 2, directory + 2 + 12 * number(directory, 2), 12):
        if entry + 12 > len(data):
            break
        if number(entry, 2) == ORIENTATION:
            length = {1: 1, 3: 2, 4: 4}.get(number(entry + 2, 2), 0)  # byte, short, long
            value = number(entry + 8, length)
            return value if 1 <= value <= 8 else 1
    return 1
