"""Bounding boxes on the command line: `--bbox` for one image, `--bboxes` for many."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_shufflenet.inference.sources import ImageSource

Boxes = list[list[float]]


def find_boxes(
    sources: "Sequence[ImageSource]",
    bbox: Sequence[str],
    file: Path | None,
    category: str,
    otherwise: str,
) -> dict[str, Boxes]:
    """Return the boxes (x, y, width, height in pixels) by the name of the image.

    Args:
        sources: The images.
        bbox: The values of --bbox, for a single image.
        file: The json of --bboxes: boxes by the name of the image, or the records that `predict`
            writes. It names an image by its path as passed on the command line, or by the end of
            that path, such as the file name.
        category: The only class of records that have one.
        otherwise: What happens to images without boxes, for a warning.

    Raises:
        ValueError: If boxes are malformed, or the json names no image or one that is ambiguous.
    """
    if bbox and file:
        raise ValueError("--bbox and --bboxes must not be given together. Received: both")
    if bbox and len(sources) > 1:
        raise ValueError(
            f"--bbox must be given for one image; use --bboxes. Received: {len(sources)} images"
        )
    if bbox:
        return {sources[0].name: [_parse(text) for text in bbox]}
    return _assign(_read(file, category), sources, file, otherwise) if file else {}


def _parse(text: str) -> list[float]:
    try:
        box = [float(number) for number in text.split(",")]
    except ValueError:
        box = []
    if not _is_box(box):
        raise ValueError(
            "--bbox must be X,Y,WIDTH,HEIGHT in pixels, with width and height above 0. "
            f"Received: {text}"
        )
    return box


def _read(file: Path, category: str) -> dict[str, Boxes]:
    from keras_shufflenet.keypoints.annotations import read_json

    try:
        boxes, _ = read_json(file, "bboxes")
    except ValueError as error:
        raise ValueError(f"--bboxes must be a json file ({error}). Received: {file}") from error
    if isinstance(boxes, list) and boxes:
        boxes = _of_records(boxes, file, category)
    if not isinstance(boxes, dict) or not boxes:
        raise ValueError(
            "--bboxes must hold {file name: [[x, y, width, height], ...]}, or the records of a "
            f"predictions.json. Received: {type(boxes).__name__} in {file}"
        )
    for name, rows in boxes.items():
        if not isinstance(rows, list) or not all(map(_is_box, rows)):
            raise ValueError(
                "--bboxes must hold [[x, y, width, height], ...] in pixels for each file name, "
                f"with width and height above 0. Received: {rows!r} for {name} in {file}"
            )
    return boxes


def _of_records(records: list[Any], file: Path, category: str) -> dict[str, Boxes]:
    """Return the boxes of records with `file_name` and `bbox`, of a category if they have one."""
    boxes: dict[str, list[Any]] = {}
    others: dict[str, None] = {}
    for record in records:
        if not isinstance(record, dict) or not isinstance(record.get("file_name"), str):
            raise ValueError(
                "--bboxes must hold records with 'file_name' and 'bbox', if it is a list, as the "
                f"predictions.json of `predict` is. Received: {record!r} in {file}"
            )
        if record.get("category", category) == category:
            boxes.setdefault(record["file_name"], []).append(record.get("bbox"))
        else:
            others[str(record["category"])] = None
    if not boxes:
        raise ValueError(
            f"--bboxes must hold boxes of --category, {category}. "
            f"Received: {', '.join(others)} in {file}"
        )
    return boxes


def _is_box(row: Any) -> bool:
    return (
        isinstance(row, list)
        and len(row) == 4
        and all(type(n) in (int, float) and math.isfinite(n) for n in row)
        and min(row[2:]) > 0
    )


def _assign(
    boxes: Mapping[str, Boxes], sources: "Sequence[ImageSource]", file: Path, otherwise: str
) -> dict[str, Boxes]:
    """Return the boxes by the names of the images."""
    assigned: dict[str, Boxes] = {}
    for key, rows in boxes.items():
        named = [source.name for source in sources if _names(key, source)]
        if len(named) > 1:
            raise ValueError(
                f"--bboxes must name each image by so much of its path that it is the only one. "
                f"Received: {key} in {file} for {', '.join(named)}"
            )
        if named and named[0] in assigned:
            raise ValueError(
                f"--bboxes must name an image once. Received: {named[0]} twice in {file}"
            )
        assigned |= dict.fromkeys(named, rows)
    if not assigned:
        raise ValueError(
            f"--bboxes must name at least one IMAGE. Received: {', '.join(list(boxes)[:5])} in "
            f"{file} for the images {', '.join(source.name for source in sources[:5])}"
        )
    left = [source.name for source in sources if source.name not in assigned]
    if left:
        warnings.warn(
            f"{file} has no boxes for {len(left)} of {len(sources)} images; {otherwise}: "
            f"{', '.join(left[:5])}",
            stacklevel=2,
        )
    return assigned


def _names(key: str, source: "ImageSource") -> bool:
    """Return whether a key is the name of an image or the end of its path, in whole parts."""
    ends, parts = Path(key).parts, Path(source.origin).parts
    return key == source.name or (bool(ends) and parts[-len(ends) :] == ends)
