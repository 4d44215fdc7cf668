"""A confusion matrix as a picture, drawn with Pillow."""

from collections.abc import Sequence
from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 640  # pixels of the matrix, about
MIN_CELL, MAX_CELL = 2, 64  # pixels
NAMED, NUMBERED = 60, 30  # classes up to which names and numbers are written
MARGIN, TEXT = 12, 13
LETTERS = 24  # of a name
PAPER, INK, LIGHT = (255, 255, 255), (40, 40, 40), (245, 245, 245)
DARK = np.array((16, 80, 140))


def draw_confusion(matrix: np.ndarray, names: Sequence[str]) -> Image.Image:
    """Draw a confusion matrix: a row for each true class, darker for a larger share of its images.

    Args:
        matrix: (classes, classes) numbers of images by true and predicted class.
        names: Names of the classes; written for up to 60 classes, and numbers for up to 30.
    """
    count = len(names)
    cell = min(max(SIDE // count, MIN_CELL), MAX_CELL)
    font = ImageFont.load_default(size=min(TEXT, max(cell - 2, 8)))
    shown = [name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…" for name in names]
    labels = shown if count <= NAMED else []
    width = MARGIN + max((int(font.getlength(label)) for label in labels), default=0)
    top = TEXT + 2 * MARGIN  # of the matrix
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    title = f"rows true, columns predicted: {accuracy:.1%} of {matrix.sum()} images"
    title_font = ImageFont.load_default(size=TEXT)
    needed = max(width + MARGIN + cell * count, MARGIN + ceil(title_font.getlength(title)))
    size = needed + MARGIN, top + cell * count + width + TEXT + MARGIN
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    left = width + MARGIN
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    colors = np.rint(255 + shares[..., None] * (DARK - 255)).astype(np.uint8)
    cells = np.repeat(np.repeat(colors, cell, axis=0), cell, axis=1)
    picture.paste(Image.fromarray(cells), (left, top))
    draw.rectangle((left - 1, top - 1, left + cell * count, top + cell * count), outline=INK)
    draw.text((MARGIN, MARGIN), title, INK, title_font)
    for index, label in enumerate(labels):
        middle = cell * (index + 0.5)
        draw.text((left - 6, top + middle), label, INK, font, anchor="rm")
        beneath = (int(left + middle), top + cell * count + 6)
        picture.paste(*_upright(label, font, beneath))
    if count <= NUMBERED:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            place = left + cell * (column + 0.5), top + cell * (row + 0.5)
            color = LIGHT if shares[row, column] > 0.5 else INK
            draw.text(place, str(matrix[row, column]), color, font, anchor="mm")
    return picture


def _upright(
    label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, place: tuple[int, int]
) -> tuple[Image.Image, tuple[int, int]]:
    """Return a text that is read upwards, and its upper left corner, for a place of its end."""
    _, _, width, height = (int(side) for side in font.getbbox(label))
    strip = Image.new("RGB", (width, height + 2), PAPER)
    ImageDraw.Draw(strip).text((0, 0), label, INK, font)
    turned = strip.transpose(Image.Transpose.ROTATE_90)
    return turned, (place[0] - turned.width // 2, place[1])
