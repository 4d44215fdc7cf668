"""Skeletons and boxes on images, drawn with Pillow.

Every person is drawn on a supersampled canvas of its own, which is then scaled down and composited
onto the image, so that limbs are smooth at any slope and crowds need little memory.
"""

import colorsys
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_shufflenet.data.image_files import LUMA
from keras_shufflenet.detection.decoding import Detections
from keras_shufflenet.inference.image_io import to_pillow
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.skeletons import Skeleton, SkeletonLike

Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Plate = tuple[int, int, int, int]  # left, top, right, bottom of a text's background

COLORS: dict[str, Color] = {
    "left": (38, 139, 255),  # distinguishable for the color-blind: blue, orange, light green
    "right": (255, 128, 14),
    "center": (120, 230, 140),
}
OUTLINE: tuple[int, int, int, int] = (0, 0, 0, 150)
SUPERSAMPLING = 4
MAX_CANVAS = 12_000_000  # pixels of a supersampled canvas
SMALLEST_FONT = 11  # pixels
BRIGHT = 150  # luma of a plate from which on its text is black
BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)
FIRST_HUE = 0.58  # a blue
DARKEST = 115.0  # luma of a color, 0..255
GOLDEN_RATIO = 0.618  # whose multiples divide the circle of hues evenly


class Palette(NamedTuple):
    """The colors of one person.

    Attributes:
        keypoints: The color of each keypoint.
        limbs: The color of each limb of the skeleton.
    """

    keypoints: list[Color]
    limbs: dict[tuple[int, int], Color]


def draw_skeletons(
    image: object,
    keypoints: np.ndarray,
    skeleton: SkeletonLike = "coco",
    score_threshold: float = 0.3,
    *,
    line_width: float | None = None,
    person_ids: Sequence[int] | None = None,
) -> np.ndarray:
    """Draw the keypoints and limbs of persons on an image.

    Of one person, left limbs are blue, right limbs orange and those in between green, as the names
    of the keypoints say. Without left and right every keypoint has a color of its own, as has the
    limb that ends there. Of several persons, each has a color, lighter on its left side and darker
    on its right. A limb is drawn if both of its keypoints reach the threshold.

    Args:
        image: A path, a `PIL.Image` or an array (H, W, 3), RGB, 0..255.
        keypoints: (N, K, 3), or (K, 3) for one person: x, y in image pixels (0-based, with pixel
            centers at integers) and score.
        skeleton: The K keypoints. Without limbs only the keypoints are drawn.
        score_threshold: Minimum score of the keypoints that are drawn.
        line_width: Width of a limb in pixels. Defaults to a fraction of the person's extent.
        person_ids: N numbers from 0 that choose the colors of the persons, so that one who is
            tracked keeps a color. Defaults to their positions; a single person then has the colors
            of its sides.

    Returns:
        A new uint8 array (H, W, 3).

    Raises:
        ValueError: If `keypoints` does not have the shape (N, K, 3) of the skeleton, or there are
            not N `person_ids`.
    """
    shown = skeletons.get(skeleton)
    canvas = to_pillow(image).convert("RGBA")
    persons = _checked_keypoints(keypoints, shown)
    palettes = _palettes(shown, len(persons), person_ids)
    for person, palette in reversed(list(zip(persons, palettes, strict=True))):  # the best on top
        _draw_person(canvas, person, shown, palette, score_threshold, line_width)
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
    palette: Palette,
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
    overlay = _render(points, seen, skeleton, palette, width, region)
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
    palette: Palette,
    width: float,
    region: tuple[int, int, int, int],
) -> Image.Image:
    """Draw one person on a transparent image of the size of the region."""
    size = region[2] - region[0], region[3] - region[1]
    finer = max(1, min(SUPERSAMPLING, int((MAX_CANVAS / (size[0] * size[1])) ** 0.5)))
    canvas = Image.new("RGBA", (size[0] * finer, size[1] * finer), (0, 0, 0, 0))
    pen = ImageDraw.Draw(canvas)
    local = (points - region[:2]) * finer
    limbs = _limbs(skeleton, seen)
    outline = width + max(1.0, width / 3)
    for a, b in limbs:
        _limb(pen, local[a], local[b], outline * finer, OUTLINE)
    for keypoint in np.flatnonzero(seen).tolist():
        _dot(pen, local[keypoint], 0.8 * outline * finer, OUTLINE)
    for a, b in limbs:
        _limb(pen, local[a], local[b], width * finer, palette.limbs[a, b])
    for keypoint in np.flatnonzero(seen).tolist():
        _dot(pen, local[keypoint], 0.8 * width * finer, palette.keypoints[keypoint])
        _dot(pen, local[keypoint], 0.4 * width * finer, (255, 255, 255))
    return canvas.resize(size, Image.Resampling.BOX)


def _limbs(skeleton: Skeleton, seen: np.ndarray) -> list[tuple[int, int]]:
    """Return limbs with both keypoints seen, central ones first, so that arms cover the trunk."""
    found = [(a, b) for a, b in skeleton.limbs if seen[a] and seen[b]]
    return sorted(found, key=lambda limb: _limb_side(skeleton, *limb) != "center")


def _limb_side(skeleton: Skeleton, a: int, b: int) -> str:
    sides = {skeleton.sides[a], skeleton.sides[b]} - {"center"}
    return sides.pop() if len(sides) == 1 else "center"


def _palettes(skeleton: Skeleton, persons: int, person_ids: Sequence[int] | None) -> list[Palette]:
    """Return the colors of each person."""
    if person_ids is not None and len(person_ids) != persons:
        raise ValueError(
            f"`person_ids` must have a number for each of the {persons} persons. "
            f"Received: {len(person_ids)}"
        )
    if person_ids is None and persons == 1:
        return [_palette_of_sides(skeleton)]
    return [_palette_of_person(skeleton, int(number)) for number in person_ids or range(persons)]


def _palette_of_sides(skeleton: Skeleton) -> Palette:
    if set(skeleton.sides) == {"center"} and len(skeleton) > 1:
        hues = np.arange(len(skeleton)) / len(skeleton)
        colors = [_pixel(colorsys.hls_to_rgb(hue, 0.6, 0.9)) for hue in hues]
        return Palette(colors, {(a, b): colors[b] for a, b in skeleton.limbs})
    return _palette(skeleton, COLORS)


def _palette_of_person(skeleton: Skeleton, number: int) -> Palette:
    color = distinct_color(number)
    sides = {"left": _mix(color, WHITE, 0.4), "right": _mix(color, BLACK, 0.25), "center": color}
    return _palette(skeleton, sides)


def _palette(skeleton: Skeleton, sides: Mapping[str, Color]) -> Palette:
    keypoints = [sides[side] for side in skeleton.sides]
    return Palette(keypoints, {limb: sides[_limb_side(skeleton, *limb)] for limb in skeleton.limbs})


def distinct_color(number: int) -> Color:
    """Return the color of a person or class; neighboring numbers differ most."""
    hue = (FIRST_HUE + GOLDEN_RATIO * number) % 1
    color = _pixel(colorsys.hls_to_rgb(hue, 0.55, 0.95))
    missing = max(0.0, DARKEST - luma(color))  # of blues and violets
    return _mix(color, WHITE, missing / (255 - luma(color)))


def luma(color: Color) -> float:
    """Return the brightness of a color, 0..255."""
    return sum(part * channel for part, channel in zip(LUMA, color, strict=True))


def _mix(color: Color, other: Color, share: float) -> Color:
    red, green, blue = (
        round((1 - share) * a + share * b) for a, b in zip(color, other, strict=True)
    )
    return red, green, blue


def _pixel(color: tuple[float, float, float]) -> Color:
    red, green, blue = (round(255 * channel) for channel in color)
    return red, green, blue


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


def draw_detections(
    image: object,
    detections: Detections,
    class_names: Sequence[str],
    *,
    line_width: float | None = None,
) -> np.ndarray:
    """Draw the boxes of a detector on an image, with class and score; every class has a color.

    Args:
        image: A path, a `PIL.Image` or an array (H, W, 3), RGB, 0..255.
        detections: Boxes in image pixels; the first are drawn on top of the others.
        class_names: Names of the classes, as `Detector.class_names`.
        line_width: Width of the lines in pixels. Defaults to a fraction of the image's size.

    Returns:
        A new uint8 array (H, W, 3).
    """
    canvas = to_pillow(image).copy()
    pen = ImageDraw.Draw(canvas, "RGBA")
    width = round(line_width or max(2, max(canvas.size) / 300))
    font = ImageFont.load_default(size=max(SMALLEST_FONT, max(canvas.size) / 55))
    colors = [distinct_color(int(number)) for number in detections.classes]
    texts = [
        f"{class_names[number]} {score:.2f}"
        for number, score in zip(detections.classes, detections.scores, strict=True)
    ]
    plates: list[Plate] = []
    for box, text in zip(detections.boxes, texts, strict=True):
        plates.append(_place(box, _plate_size(pen, text, font), canvas.size, plates))
    for box, color in list(zip(detections.boxes, colors, strict=True))[::-1]:
        _rectangle(pen, box, width, color)
    for plate, text, color in list(zip(plates, texts, colors, strict=True))[::-1]:
        pen.rectangle([*plate[:2], plate[2] - 1, plate[3] - 1], fill=color)
        middle = (plate[0] + plate[2]) / 2, (plate[1] + plate[3]) / 2
        ink = BLACK if luma(color) > BRIGHT else WHITE
        pen.text(middle, text, fill=ink, font=font, anchor="mm")
    return np.asarray(canvas)


def _rectangle(pen: ImageDraw.ImageDraw, box: np.ndarray, width: int, color: Color) -> None:
    """Draw a box with a thin dark line on both sides, so that it is seen on any background."""
    left, top, right, bottom = np.rint(box).astype(int).tolist()
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    edge = max(1, width // 3)
    corners = [left - edge, top - edge, right - 1 + edge, bottom - 1 + edge]
    pen.rectangle(corners, outline=OUTLINE, width=width + 2 * edge)
    pen.rectangle([left, top, right - 1, bottom - 1], outline=color, width=width)


def _plate_size(pen: ImageDraw.ImageDraw, text: str, font: Font) -> tuple[int, int]:
    """Return (width, height) of the plate of a text; all texts of a font have one height."""
    height = math.ceil(pen.textbbox((0, 0), "Ag", font=font, anchor="ls")[3])
    height += math.ceil(-pen.textbbox((0, 0), "Ag", font=font, anchor="ls")[1])
    return math.ceil(pen.textlength(text, font=font)) + height // 2, height + height // 3


def _place(
    box: np.ndarray, size: tuple[int, int], image_size: tuple[int, int], taken: Sequence[Plate]
) -> Plate:
    """Return the place of a plate: above, inside or below its box, where it covers least others."""
    left, top, right, bottom = np.rint(box).astype(int).tolist()
    width, height = size
    corners = [
        *((left, top - height), (left, top), (right - width, top - height)),
        *((left, bottom), (left, bottom - height), (right - width, bottom)),
    ]
    plates = []
    for x, y in corners:
        x = max(0, min(x, image_size[0] - width))
        if 0 <= y <= image_size[1] - height:
            plates.append((x, y, x + width, y + height))
    plates = plates or [(max(0, left), max(0, top), max(0, left) + width, max(0, top) + height)]
    return min(plates, key=lambda plate: sum(_shared(plate, other) for other in taken))


def _shared(plate: Plate, other: Plate) -> int:
    """Return the area that two plates share, in pixels."""
    width = min(plate[2], other[2]) - max(plate[0], other[0])
    height = min(plate[3], other[3]) - max(plate[1], other[1])
    return max(0, width) * max(0, height)
