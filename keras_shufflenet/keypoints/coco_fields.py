"""Single fields of COCO files, with the rules for those that are missing."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_shufflenet._types import Size
from keras_shufflenet.keypoints.annotations import MAX_COORDINATE, JSONObject
from keras_shufflenet.keypoints.coco_categories import COCOCategory

MAX_AREA = MAX_COORDINATE**2


class COCOImage(NamedTuple):
    """An image of a COCO file."""

    file_name: str
    size: Size  # (height, width)


def read_images(root: JSONObject) -> dict[int, COCOImage]:
    """Return the images by their ids.

    Raises:
        ValueError: If an image is malformed, or two different ones have the same id.
    """
    images: dict[int, COCOImage] = {}
    for entry in root.objects("images"):
        size = entry.integer("height", 1), entry.integer("width", 1)
        if max(size) > MAX_COORDINATE:
            raise ValueError(
                f"{entry.place}: 'height' and 'width' must not exceed {MAX_COORDINATE:.0f} pixels. "
                f"Received: {size}"
            )
        image_id, image = entry.integer("id"), COCOImage(entry.text("file_name"), size)
        if images.setdefault(image_id, image) != image:
            raise ValueError(
                f"{entry.place}: 'id' must not be that of another image. Received: {image_id} of "
                f"{images[image_id].file_name!r} and {image.file_name!r}"
            )
    return images


def listed_image_id(entry: JSONObject, images: Mapping[int, COCOImage]) -> int:
    """Return the image id of an annotation or a result.

    Raises:
        ValueError: If no image has this id.
    """
    image_id = entry.integer("image_id")
    if image_id not in images:
        raise entry.error("image_id", "the id of a listed image")
    return image_id


def category_ids(entries: list[JSONObject], categories: list[COCOCategory]) -> list[int]:
    """Return the category of every annotation; without `category_id` it is the only one."""
    stated = {entry.integer("category_id") for entry in entries if entry.has("category_id")}
    listed = {category.id for category in categories} or stated or {1}
    only = next(iter(listed)) if len(listed) == 1 else None
    return [
        only if only is not None and not entry.has("category_id") else entry.integer("category_id")
        for entry in entries
    ]


def length(value: Any) -> int:
    """Return the length of a list; 0 for null and 1 for other values."""
    return len(value) if isinstance(value, list | tuple | np.ndarray) else int(value is not None)


def read_box(entry: JSONObject) -> np.ndarray | None:
    """Return the bounding box (4,) as (x, y, width, height) in pixels, or None."""
    if not entry.has("bbox"):
        return None
    bbox = np.array(entry.numbers("bbox", 4, MAX_COORDINATE), np.float64)
    if bbox[2:].min() < 0:
        raise entry.error("bbox", "x, y, width and height, with width and height >= 0")
    return bbox


def are_far_outside(points: np.ndarray, size: Size) -> bool:
    """Return whether more than half of the points lie outside the image by more than its size.

    Args:
        points: (N, 2) as (x, y) in pixels; labeled keypoints of a person.
        size: (height, width) of the image.
    """
    extent = np.array([size[1], size[0]])
    far = ((points < -extent) | (points > 2 * extent)).any(axis=1)
    return bool(2 * far.sum() > len(points))


def are_at_origin(points: np.ndarray) -> bool:
    """Return whether several points (N, 2) are all at (0, 0), where tools put missing ones."""
    return len(points) > 1 and not points.any()


def read_area(entry: JSONObject) -> float | None:
    """Return the annotated area, or None."""
    if not entry.has("area"):
        return None
    area = entry.number("area", MAX_AREA)
    if area < 0:
        raise entry.error("area", "a number >= 0")
    return area


def counts_keypoints(entry: JSONObject) -> bool:
    """Return whether the annotation has keypoints by its own count, if there is one."""
    return not entry.has("num_keypoints") or entry.integer("num_keypoints", 0) > 0


def check_id(entry: JSONObject) -> None:
    """Check that an id that is there is an integer or a text; it is not used otherwise."""
    if entry.has("id") and not isinstance(entry.get("id"), str):
        entry.integer("id")
