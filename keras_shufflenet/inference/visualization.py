"""Visualization with Pillow: skeletons, image grids and heatmaps.

Every person is drawn on a supersampled canvas of its own, which is then scaled down and composited
onto the image, so that limbs are smooth at any slope and crowds need little memory.
"""

import colorsys
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from keras_shufflenet._checks import check_integer
from keras_shufflenet.inference.image_io import to_array, to_pillow
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.skeletons import Skeleton, SkeletonLike

Color = tuple[int, int, int]

COLORS: dict[str, Color] = {
    "left": (38, 139, 255),  # distinguishable for the color-blind: blue, orange, light green
    "right": (255, 128, 14),
    "center": (120, 230, 140),
}
OUTLINE: tuple[int, int, int, int] = (0, 0, 0, 150)
SUPERSAMPLING = 4
MAX_CANVAS = 12_000_000  # pixels of a supersampled canvas


def draw_skeletons(
    image: object,
    keypoints: np.ndarray,
    skeleton: SkeletonLike = "coco",
    score_threshold: float = 0.3,
    *,
    line_width: float | None = None,
) -> np.ndarray:
    """Draw the keypoints and limbs of persons on an image.

    Left limbs are blue, right limbs orange and those in between green, as the names of the
    keypoints say. Without left and right every keypoint has a color of its own, as has the limb
    that ends there. A limb is drawn if both of its keypoints reach the threshold.

    Args:
        image: A path, a `PIL.Image` or an array (H, W, 3), RGB, 0..255.
        keypoints: (N, K, 3), or (K, 3) for one person: x, y in image pixels (0-based, with pixel
            centers at integers) and score.
        skeleton: The K keypoints. Without limbs only the keypoints are drawn.
        score_threshold: Minimum score of the keypoints that are drawn.
        line_width: Width of a limb in pixels. Defaults to a fraction of the person's extent.

    Returns:
        A new uint8 array (H, W, 3).

    Raises:
        ValueError: If `keypoints` does not have the shape (N, K, 3) of the skeleton.
    """
    shown = skeletons.get(skeleton)
    canvas = to_pillow(image).convert("RGBA")
    for person in _checked_keypoints(keypoints, shown):
        _draw_person(canvas, person, shown, score_threshold, line_width)
    return np.asarray(canvas.convert("RGB"))


def _checked_keypoints(keypoints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    array = np.asarray(keypoints, np.float64)
    array = array[None] if array.ndim == 2 else array
    count = len(skeleton.keypoint_names)
    if array.size == 0:
        return array.reshape(0, count, 3)
    if array.ndim != 3 or array.shape[1:] != (count, 3):
        raise ValueError(
            f"`keypoints` must have the shape (persons, {count}, 3) for the skeleton "
            f"'{skeleton.name}': x, y and score. Received: shape {np.shape(keypoints)}"
        )
    return array


def _draw_person(
    image: Image.Image,
    person: np.ndarray,
    skeleton: Skeleton,
    threshold: float,
    line_width: float | None,
) -> None:
    seen = (person[:, 2] >= threshold) & np.isfinite(person).all(axis=1)
    if not seen.any():
        return
    points = person[:, :2] + 0.5  # Pillow's coordinates count from the pixel's corner
    width = line_width or _limb_width(points[seen], skeleton, image.size)
    region = _region(points[seen], 2 * width, image.size)
    if region is None:
        return
    overlay = _render(points, seen, skeleton, width, region)
    image.alpha_composite(overlay, dest=region[:2])


def _limb_width(points: np.ndarray, skeleton: Skeleton, size: tuple[int, int]) -> float:
    """Return a sixtieth of the person's extent, at least 2 pixels; keypoints alone are larger."""
    extent = float(np.hypot(*np.ptp(points, axis=0)))
    alone = 0.0 if skeleton.limbs else min(size) / 80
    return max(2.0, extent / 60, alone)


def _region(
    points: np.ndarray, margin: float, size: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Return the region (left, top, right, bottom) of the image that the drawing covers."""
    left, top = np.floor(np.maximum(points.min(axis=0) - margin, 0)).astype(int)
    right, bottom = np.ceil(np.minimum(points.max(axis=0) + margin, size)).astype(int)
    if left >= right or top >= bottom:
        return None
    return int(left), int(top), int(right), int(bottom)


def _render(
    points: np.ndarray,
    seen: np.ndarray,
    skeleton: Skeleton,
    width: float,
    region: tuple[int, int, int, int],
) -> Image.Image:
    """Draw one person on a transparent image of the size of the region."""
    size = region[2] - region[0], region[3] - region[1]
    finer = max(1, min(SUPERSAMPLING, int((MAX_CANVAS / (size[0] * size[1])) ** 0.5)))
    canvas = Image.new("RGBA", (size[0] * finer, size[1] * finer), (0, 0, 0, 0))
    pen = ImageDraw.Draw(canvas)
    local = (points - region[:2]) * finer
    limbs, colors = _limbs(skeleton, seen), _colors(skeleton)
    outline = width + max(1.0, width / 3)
    for a, b in limbs:
        _limb(pen, local[a], local[b], outline * finer, OUTLINE)
    for keypoint in np.flatnonzero(seen).tolist():
        _dot(pen, local[keypoint], 0.8 * outline * finer, OUTLINE)
    for a, b in limbs:
        _limb(pen, local[a], local[b], width * finer, _limb_color(skeleton, colors, a, b))
    for keypoint in np.flatnonzero(seen).tolist():
        _dot(pen, local[keypoint], 0.8 * width * finer, colors[keypoint])
        _dot(pen, local[keypoint], 0.4 * width * finer, (255, 255, 255))
    return canvas.resize(size, Image.Resampling.BOX)


def _limbs(skeleton: Skeleton, seen: np.ndarray) -> list[tuple[int, int]]:
    """Return limbs with both keypoints seen, central ones first, so that arms cover the trunk."""
    found = [(a, b) for a, b in skeleton.limbs if seen[a] and seen[b]]
    return sorted(found, key=lambda limb: _limb_side(skeleton, *limb) != "center")


def _limb_side(skeleton: Skeleton, a: int, b: int) -> str:
    sides = {skeleton.sides[a], skeleton.sides[b]} - {"center"}
    return sides.pop() if len(sides) == 1 else "center"


def _colors(skeleton: Skeleton) -> list[Color]:
    """Return the color of each keypoint."""
    if set(skeleton.sides) == {"center"} and len(skeleton) > 1:
        hues = np.arange(len(skeleton)) / len(skeleton)
        return [_pixel(colorsys.hls_to_rgb(hue, 0.6, 0.9)) for hue in hues]
    return [COLORS[side] for side in skeleton.sides]


def _pixel(color: tuple[float, float, float]) -> Color:
    red, green, blue = (round(255 * channel) for channel in color)
    return red, green, blue


def _limb_color(skeleton: Skeleton, colors: list[Color], a: int, b: int) -> Color:
    has_sides = set(skeleton.sides) != {"center"}
    return COLORS[_limb_side(skeleton, a, b)] if has_sides else colors[b]


def _limb(
    pen: ImageDraw.ImageDraw,
    start: np.ndarray,
    end: np.ndarray,
    width: float,
    color: tuple[int, ...],
) -> None:
    pen.line([*start, *end], fill=color, width=round(width))
    _dot(pen, start, width / 2, color)
    _dot(pen, end, width / 2, color)


def _dot(
    pen: ImageDraw.ImageDraw, center: np.ndarray, radius: float, color: tuple[int, ...]
) -> None:
    x, y = center
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)


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
