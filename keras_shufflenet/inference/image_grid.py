"""Grids of images, and heatmaps over images."""

import math
import unicodedata
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from keras_shufflenet._checks import check_integer
from keras_shufflenet.inference.image_io import to_array, to_pillow

BACKGROUND = (24, 26, 30)
TITLE_COLOR = (235, 235, 235)
TITLE_SIZE = 14
TITLE_HEIGHT = 24

# Black, purple, red, orange, pale yellow: a colormap of increasing lightness.
HEAT = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)])


def image_grid(
    images: Sequence[object],
    columns: int = 4,
    *,
    tile: tuple[int, int] = (256, 256),
    titles: Sequence[str] | None = None,
    margin: int = 8,
) -> np.ndarray:
    """Arrange images in a grid, each fitted into a tile without changing its aspect ratio.

    Args:
        images: Paths, `PIL.Image`s or arrays (H, W, 3), RGB, 0..255, of any sizes.
        columns: Images per row.
        tile: (height, width) of a tile in pixels.
        titles: A line of text below each image.
        margin: Pixels between and around the tiles.

    Returns:
        A uint8 array (H, W, 3).

    Raises:
        ValueError: If there are no images, `columns` is below 1, or the number of titles differs.
    """
    _check_grid(images, columns, titles)
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    step_y = tile[0] + margin + (TITLE_HEIGHT if titles else 0)
    step_x = tile[1] + margin
    grid = Image.new("RGB", (columns * step_x + margin, rows * step_y + margin), BACKGROUND)
    for index, image in enumerate(images):
        left = margin + index % columns * step_x
        top = margin + index // columns * step_y
        grid.paste(_fit(image, tile), (left, top))
        if titles:
            _write(grid, titles[index], (left + tile[1] // 2, top + tile[0] + 4))
    return np.asarray(grid)


def drawable(text: str, otherwise: str) -> str:
    """Return a text in the letters of Pillow's own font, which are ASCII's.

    Args:
        text: The text, of which accents are left out.
        otherwise: What is returned if it has letters of another script.
    """
    parts = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    plain = "".join(letter for letter in parts if not unicodedata.combining(letter))
    return plain if plain.isascii() else otherwise


def _check_grid(images: Sequence[object], columns: int, titles: Sequence[str] | None) -> None:
    if not len(images):
        raise ValueError("`images` must hold at least one image. Received: none")
    check_integer("columns", columns)
    if titles is not None and len(titles) != len(images):
        raise ValueError(
            f"`titles` must have one for each of the {len(images)} images. Received: {len(titles)}"
        )


def _fit(image: object, tile: tuple[int, int]) -> Image.Image:
    height, width = tile
    return ImageOps.pad(
        to_pillow(image), (width, height), Image.Resampling.LANCZOS, color=BACKGROUND
    )


def _write(grid: Image.Image, title: str, position: tuple[int, int]) -> None:
    font = ImageFont.load_default(size=TITLE_SIZE)
    ImageDraw.Draw(grid).text(position, title, fill=TITLE_COLOR, font=font, anchor="ma")


def overlay_heatmaps(image: object, heatmaps: np.ndarray, opacity: float = 0.6) -> np.ndarray:
    """Overlay heatmaps on the crop they were predicted from; the maximum of all keypoints is shown.

    Args:
        image: The crop as a path, `PIL.Image` or array (H, W, 3), RGB, 0..255.
        heatmaps: (h, w, K), with peaks near 1; scaled to the image.
        opacity: Opacity of a peak of 1, 0..1.

    Returns:
        A new uint8 array (H, W, 3).

    Raises:
        ValueError: If the heatmaps do not have three axes.
    """
    if np.ndim(heatmaps) != 3:
        raise ValueError(
            "`heatmaps` must have the shape (height, width, keypoints). "
            f"Received: shape {np.shape(heatmaps)}"
        )
    pixels = to_array(image).astype(np.float32)
    highest = Image.fromarray(np.asarray(heatmaps, np.float32).max(axis=-1))
    size = pixels.shape[1], pixels.shape[0]
    heat = np.clip(np.asarray(highest.resize(size, Image.Resampling.BICUBIC)), 0, 1)
    cover = opacity * np.sqrt(heat)[..., None]
    return np.rint((1 - cover) * pixels + cover * _heat_colors(heat)).astype(np.uint8)


def _heat_colors(heat: np.ndarray) -> np.ndarray:
    steps = np.linspace(0, 1, len(HEAT))
    return np.stack([np.interp(heat, steps, channel) for channel in HEAT.T], axis=-1)
