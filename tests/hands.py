"""Pictures of hands with five keypoints, as anyone might annotate: a category of a COCO json."""

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

NAMES = ("wrist", "thumb", "index", "middle", "pinky")
LIMBS = [[1, finger] for finger in (2, 3, 4, 5)]  # numbers count from 1
COLORS = ((230, 230, 230), (230, 60, 50), (70, 200, 70), (70, 110, 240), (240, 210, 60))
ANGLES = (60, 25, 0, -30)  # degrees of the fingers from the direction of the hand
LENGTHS = (0.7, 0.95, 1.0, 0.8)
SUPERSAMPLING = 3


def draw_hands(folder: Path, count: int, seed: int = 0, size: int = 96) -> tuple[Path, Path]:
    """Write images with a hand each: the json and the folder of the images."""
    random = np.random.default_rng(seed)
    images = folder / "images"
    images.mkdir(parents=True)
    entries = {"images": [], "annotations": []}
    for number in range(1, count + 1):
        points = _pose(random, size)
        name = f"hand_{number}.jpg"
        _draw(random, points, size).save(images / name, quality=95)
        entries["images"].append({"id": number, "file_name": name, "width": size, "height": size})
        entries["annotations"].append({"id": number, "image_id": number, **_annotation(points)})
    path = folder / "hands.json"
    path.write_text(json.dumps(entries | {"categories": [category()]}))
    return path, images


def category() -> dict:
    return {"id": 3, "name": "hand", "keypoints": list(NAMES), "skeleton": LIMBS}


def _pose(random: np.random.Generator, size: int) -> np.ndarray:
    length, turn = size * random.uniform(0.4, 0.55), random.uniform(-25, 25)
    wrist = np.array([size / 2, 0.8 * size]) + random.uniform(-0.06, 0.06, 2) * size
    degrees = np.radians(np.array(ANGLES) + turn + random.uniform(-8, 8, 4))
    tips = np.stack([-np.sin(degrees), -np.cos(degrees)], axis=1) * length
    return np.vstack([wrist, wrist + tips * np.array(LENGTHS)[:, None]])


def _draw(random: np.random.Generator, points: np.ndarray, size: int) -> Image.Image:
    shade = random.integers(20, 70, 3)
    canvas = Image.new("RGB", (size * SUPERSAMPLING,) * 2, tuple(shade.tolist()))
    pen, scaled = ImageDraw.Draw(canvas), (points + 0.5) * SUPERSAMPLING
    width = round(0.05 * size * SUPERSAMPLING)
    for tip, color in zip(scaled[1:], COLORS[1:], strict=True):
        pen.line([*scaled[0], *tip], fill=color, width=width)
    for point, color in zip(scaled, COLORS, strict=True):
        pen.circle(point.tolist(), 0.9 * width, fill=color)
    return canvas.resize((size, size), Image.Resampling.BOX)


def _annotation(points: np.ndarray) -> dict:
    low, high = points.min(axis=0) - 4, points.max(axis=0) + 4
    keypoints = np.column_stack([points, np.full(len(points), 2)])
    return {
        "category_id": 3,
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "area": float(math.prod(high - low)),
        "num_keypoints": len(points),
        "iscrowd": 0,
        "keypoints": keypoints.ravel().tolist(),
    }
