"""Skeletons, heatmaps and sheets of pictures, drawn with Pillow.

Every person is drawn on a canvas of its own, several times as fine as the image, and laid over the
image scaled down, so that limbs are smooth at any slope and a crowd costs little memory.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw

from keras_shufflenet.inference.images import to_pillow
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.skeletons import Skeleton

Color = tuple[int, int, int]

COLORS: dict[str, Color] = {
    "left": (38, 139, 255),  # told apart by the color blind too: blue, orange, green-white
    "right": (255, 128, 14),
    "center": (120, 230, 140),
}
OUTLINE: tuple[int, int, int, int] = (0, 0, 0, 150)
SUPERSAMPLING = 4
MAX_CANVAS = 12_000_000  # pixels of a supersampled canvas


def draw_skeletons(
    image: object,
    keypoints: np.ndarray,
    skeleton: str | Skeleton = "coco",
    score_threshold: float = 0.3,
    *,
    line_width: float | None = None,
) -> np.ndarray:
    """Draw people's joints and limbs over an image.

    Left limbs are blue, right ones orange and those between the sides green. A limb is drawn where
    both of its joints reach the threshold.

    Args:
        image: a path, a `PIL.Image` or an array (H, W, 3), RGB, 0..255.
        keypoints: (N, K, 3), or (K, 3) for one person: x, y in image pixels (0-based, the pixel's
            center at whole numbers) and score.
        skeleton: name of a skeleton of K joints, or the skeleton.
        score_threshold: the least score of a joint that is drawn.
        line_width: width of a limb in pixels; by default it follows the size of the person.

    Returns:
        A new uint8 array (H, W, 3).

    Raises:
        ValueError: `keypoints` does not have the shape (N, K, 3) of the skeleton's K joints.
    """
    shown = skeletons.get(skeleton)
    canvas = to_pillow(image).convert("RGBA")
    for person in _check_people(keypoints, shown):
        _draw_person(canvas, person, shown, score_threshold, line_width)
    return np.asarray(canvas.convert("RGB"))


def _check_people(people: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    array = np.asarray(people, np.float64)
    array = array[None] if array.ndim == 2 else array
    joints = len(skeleton.keypoint_names)
    if array.size == 0:
        return array.reshape(0, joints, 3)
    if array.ndim != 3 or array.shape[1:] != (joints, 3):
        raise ValueError(
            f"`people` must have the shape (people, {joints}, 3) for the skeleton "
            f"'{skeleton.name}': x, y and score of every joint. Received: {np.shape(people)}"
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
    width = line_width or _limb_width(points[seen])
    region = _region(points[seen], 2 * width, image.size)
    if region is None:
        return
    overlay = _render(points, seen, skeleton, width, region)
    image.alpha_composite(overlay, dest=region[:2])


def _limb_width(points: np.ndarray) -> float:
    """A sixtieth of the person's extent, and never a hairline."""
    extent = float(np.hypot(*np.ptp(points, axis=0)))
    return max(2.0, extent / 60)


def _region(
    points: np.ndarray, margin: float, size: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """The part (left, top, right, bottom) of the image that a person's drawing touches."""
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
    """The person alone, as an RGBA picture of the size of the region."""
    size = region[2] - region[0], region[3] - region[1]
    finer = max(1, min(SUPERSAMPLING, int((MAX_CANVAS / (size[0] * size[1])) ** 0.5)))
    canvas = Image.new("RGBA", (size[0] * finer, size[1] * finer), (0, 0, 0, 0))
    pen = ImageDraw.Draw(canvas)
    local = (points - region[:2]) * finer
    limbs = list(_limbs(skeleton, seen))
    outline = width + max(1.0, width / 3)
    for a, b, _ in limbs:
        _limb(pen, local[a], local[b], outline * finer, OUTLINE)
    for joint in np.flatnonzero(seen).tolist():
        _dot(pen, local[joint], 0.8 * outline * finer, OUTLINE)
    for a, b, side in limbs:
        _limb(pen, local[a], local[b], width * finer, COLORS[side])
    for joint in np.flatnonzero(seen).tolist():
        _dot(pen, local[joint], 0.8 * width * finer, COLORS[joint_side(skeleton, joint)])
        _dot(pen, local[joint], 0.4 * width * finer, (255, 255, 255))
    return canvas.resize(size, Image.Resampling.BOX)


def _limbs(skeleton: Skeleton, seen: np.ndarray) -> Iterator[tuple[int, int, str]]:
    """Limbs with both joints seen, those of the middle first, so that arms lie over the trunk."""
    found = [(a, b, _limb_side(skeleton, a, b)) for a, b in skeleton.limbs if seen[a] and seen[b]]
    yield from sorted(found, key=lambda limb: limb[2] != "center")


def _limb_side(skeleton: Skeleton, a: int, b: int) -> str:
    sides = {joint_side(skeleton, a), joint_side(skeleton, b)} - {"center"}
    return sides.pop() if len(sides) == 1 else "center"


def joint_side(skeleton: Skeleton, joint: int) -> str:
    """The side of the body a joint belongs to, by its name: "left", "right" or "center"."""
    side = skeleton.keypoint_names[joint].partition("_")[0]
    return side if side in COLORS else "center"


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
