"""Pictures beside each other on one sheet, and heatmaps over a picture."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from keras_shufflenet.inference.images import to_array, to_pillow

PAPER = (24, 26, 30)
INK = (235, 235, 235)
TITLE_SIZE = 14
TITLE_HEIGHT = 24

# Black, purple, red, orange, pale yellow: a heat scale whose lightness rises all the way.
HEAT = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)])


def image_grid(
    images: Sequence[object],
    columns: int = 4,
    *,
    tile: tuple[int, int] = (256, 256),
    titles: Sequence[str] | None = None,
    margin: int = 8,
) -> np.ndarray:
    """Lay pictures out in rows, each fitted into a tile without changing its proportions.

    Args:
        images: paths, `PIL.Image`s or arrays (H, W, 3), RGB, 0..255, of any sizes.
        columns: pictures in a row.
        tile: (height, width) in pixels of the place of one picture.
        titles: one line of text under each picture.
        margin: pixels between the pictures and around them.

    Returns:
        A uint8 array (H, W, 3).

    Raises:
        ValueError: there are no images, `columns` is below 1, or the titles are not one an image.
    """
    _check_sheet(images, columns, titles)
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    step_y = tile[0] + margin + (TITLE_HEIGHT if titles else 0)
    step_x = tile[1] + margin
    sheet = Image.new("RGB", (columns * step_x + margin, rows * step_y + margin), PAPER)
    for index, image in enumerate(images):
        left = margin + index % columns * step_x
        top = margin + index // columns * step_y
        sheet.paste(_fit(image, tile), (left, top))
        if titles:
            _write(sheet, titles[index], (left + tile[1] // 2, top + tile[0] + 4))
    return np.asarray(sheet)


def _check_sheet(images: Sequence[object], columns: int, titles: Sequence[str] | None) -> None:
    if not len(images):
        raise ValueError("A sheet needs at least one image. Received: none")
    if columns < 1:
        raise ValueError(f"`columns` must be at least 1. Received: {columns}")
    if titles is not None and len(titles) != len(images):
        raise ValueError(
            f"`titles` must be one for each of the {len(images)} images. Received: {len(titles)}"
        )


def _fit(image: object, tile: tuple[int, int]) -> Image.Image:
    height, width = tile
    return ImageOps.pad(to_pillow(image), (width, height), Image.Resampling.LANCZOS, color=PAPER)


def _write(sheet: Image.Image, title: str, place: tuple[int, int]) -> None:
    font = ImageFont.load_default(size=TITLE_SIZE)
    ImageDraw.Draw(sheet).text(place, title, fill=INK, font=font, anchor="ma")


def overlay_heatmaps(image: object, heatmaps: np.ndarray, opacity: float = 0.6) -> np.ndarray:
    """Lay a network's heatmaps over the crop it saw: the highest of all joints at each place.

    Args:
        image: the crop as a path, `PIL.Image` or array (H, W, 3), RGB, 0..255.
        heatmaps: (h, w, K), peaks near 1; scaled to the image.
        opacity: how much of the picture a peak of 1 covers, 0..1.

    Returns:
        A new uint8 array (H, W, 3).

    Raises:
        ValueError: the heatmaps do not have three axes.
    """
    if np.ndim(heatmaps) != 3:
        raise ValueError(
            "`heatmaps` must have the shape (height, width, keypoints). "
            f"Received: {np.shape(heatmaps)}"
        )
    picture = to_array(image).astype(np.float32)
    highest = Image.fromarray(np.asarray(heatmaps, np.float32).max(axis=-1))
    size = picture.shape[1], picture.shape[0]
    heat = np.clip(np.asarray(highest.resize(size, Image.Resampling.BICUBIC)), 0, 1)
    cover = opacity * np.sqrt(heat)[..., None]
    return np.rint((1 - cover) * picture + cover * _heat_colors(heat)).astype(np.uint8)


def _heat_colors(heat: np.ndarray) -> np.ndarray:
    steps = np.linspace(0, 1, len(HEAT))
    return np.stack([np.interp(heat, steps, channel) for channel in HEAT.T], axis=-1)
