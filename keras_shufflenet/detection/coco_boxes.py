"""Box AP on COCO files: the annotated boxes of all categories, scored with pycocotools."""

import io
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.detection import coco_classes
from keras_shufflenet.keypoints.annotations import (
    MAX_COORDINATE,
    JSONObject,
    as_objects,
    read_json,
)
from keras_shufflenet.keypoints.coco_categories import (
    COCOCategory,
    choose_category,
    read_categories,
)
from keras_shufflenet.keypoints.coco_fields import (
    category_ids,
    check_id,
    listed_image_id,
    read_area,
    read_box,
    read_images,
)
from keras_shufflenet.keypoints.coco_file import Source
from keras_shufflenet.keypoints.skeletons import plain_name

METRICS = (
    *("AP", "AP .5", "AP .75", "AP (S)", "AP (M)", "AP (L)"),
    *("AR 1", "AR 10", "AR 100", "AR (S)", "AR (M)", "AR (L)"),
)
OTHER_CATEGORY = "of other categories"
ALL_AREAS, MOST_DETECTIONS = 0, -1  # indices of pycocotools' results

Result = dict[str, Any]


class COCOBox(NamedTuple):
    """An annotated box.

    Attributes:
        image_id: Id of a listed image.
        category_id: Id of the category.
        bbox: (4,) float64 as (x, y, width, height) in pixels.
        area: Square pixels; the box's if the file has none.
        iscrowd: Whether it is a group of objects.
    """

    image_id: int
    category_id: int
    bbox: np.ndarray
    area: float
    iscrowd: bool


class COCOBoxes:
    """The images and boxes of a COCO file. Annotations need no keypoints.

    Optional fields are read as `keypoints.COCOFile` reads them.

    Args:
        annotations: Path of a COCO json, or its content.
        category: Name or id of the only category to be read; by default all.

    Attributes:
        place: Name of the file.
        images: The images by their ids.
        categories: The categories that are read.
        boxes: Their annotations.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is malformed, or there is no such category.
    """

    def __init__(self, annotations: Source, category: str | int | None = None) -> None:
        content, self.place = read_json(annotations, "annotations")
        root = JSONObject(content, self.place)
        self.images = read_images(root)
        entries = root.objects("annotations")
        listed = read_categories(root)
        ids = category_ids(entries, listed)
        known = {each.id for each in listed}
        self.categories = listed + [COCOCategory(id_) for id_ in sorted(set(ids) - known)]
        if category is not None:
            chosen = choose_category(self.categories, set(ids), category, self.place)
            self.categories = [chosen]
        wanted = {each.id for each in self.categories}
        self.boxes = [
            self._box(entry, id_) for entry, id_ in zip(entries, ids, strict=True) if id_ in wanted
        ]

    def classes(self, names: Sequence[str]) -> dict[int, int]:
        """Return the categories that are classes of a detector: category ids by class index.

        Categories go by name, without regard to case, spaces and punctuation. Those without a name
        go by COCO's ids if the classes are COCO's. The log names categories that are no class.

        Args:
            names: Names of the detector's classes.

        Raises:
            ValueError: If no category is one of the classes.
        """
        index = {plain_name(name): number for number, name in enumerate(names)}
        is_coco = tuple(names) == coco_classes.NAMES
        ids = dict(zip(coco_classes.IDS, range(len(names)), strict=True)) if is_coco else {}
        found, others = {}, []
        for category in self.categories:
            number = index.get(plain_name(category.name)) if category.name else ids.get(category.id)
            if number is None or number in found:
                others.append(category)
            else:
                found[number] = category.id
        if not found:
            raise ValueError(
                f"{self.place}: a category must be one of the {len(names)} classes of "
                f"the detector, such as {', '.join(map(repr, names[:5]))}. "
                f"Received: the categories {', '.join(map(str, self.categories[:5]))}"
            )
        if others:
            listed = ", ".join(map(str, others[:5])) + (", …" if len(others) > 5 else "")
            counts = {f"that are no classes of the detector ({listed})": len(others)}
            total = len(self.categories)
            ReadReport(self.place, total, counts, frozenset(counts), "categories").log()
        return found

    def _box(self, entry: JSONObject, category_id: int) -> COCOBox:
        check_id(entry)
        bbox = read_box(entry)
        if bbox is None:
            raise entry.error("bbox", "x, y, width and height")
        area = read_area(entry) or float(bbox[2] * bbox[3])
        return COCOBox(
            listed_image_id(entry, self.images), category_id, bbox, area, entry.flag("iscrowd")
        )


def category_names(file: COCOBoxes, wanted: Sequence[str] | None = None) -> list[str]:
    """Return the names of the categories that become a detector's classes.

    Args:
        file: The annotations.
        wanted: Names or ids of categories; by default all of the file.

    Raises:
        ValueError: If the file has no such category, one without a name, or two of the same name.
    """
    found = file.categories
    if wanted:
        used = {box.category_id for box in file.boxes}
        found = [choose_category(found, used, each, file.place) for each in wanted]
    unnamed = [category for category in found if not category.name]
    if unnamed or not found:
        raise ValueError(
            f"{file.place} must list its categories with names, which the model carries. "
            f"Received: {', '.join(map(str, unnamed)) or 'no category'}"
        )
    names = [category.name for category in found]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(
            f"{file.place} must have categories of different names, which become the classes. "
            f"Received: {names.count(twice[0])} categories {twice[0]!r}"
        )
    return names


def evaluate_boxes(
    annotations: Source | COCOBoxes,
    results: str | Path | list[Result],
    category: str | int | None = None,
    *,
    categories: Sequence[int] | None = None,
) -> dict[str, float]:
    """Score detections with pycocotools.

    Args:
        annotations: COCO file with the ground truth: path, content, or a `COCOBoxes`.
        results: A list of dicts of image_id, category_id, bbox (x, y, width, height in pixels) and
            score, or the path of such a json. Those of other categories are left out.
        category: Name or id of the only category to be scored; by default all.
        categories: Ids of the categories to be scored, if it is not all.

    Returns:
        COCO's twelve metrics by their names in `METRICS`, then the AP of each category as "AP of
        <name>", between 0 and 1; -1 where there is no ground truth.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file is malformed or has no boxes, or a result refers to an unknown image.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    file = annotations if isinstance(annotations, COCOBoxes) else COCOBoxes(annotations, category)
    chosen = [each for each in file.categories if categories is None or each.id in categories]
    ids = [each.id for each in chosen]
    truth, found = COCO(), COCO()
    truth.dataset = _ground_truth(file, ids)
    check_annotated(file, ids)
    checked = _checked_results(results, file, ids)
    with redirect_stdout(io.StringIO()):
        truth.createIndex()
        if checked:  # pycocotools cannot load an empty list
            found = truth.loadRes(checked)
        evaluator = COCOeval(truth, found, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    metrics = dict(zip(METRICS, map(float, evaluator.stats), strict=True))
    precision = evaluator.eval["precision"][:, :, :, ALL_AREAS, MOST_DETECTIONS]
    columns = dict(zip(evaluator.params.catIds, np.moveaxis(precision, 2, 0), strict=True))
    for each in chosen:
        values = columns[each.id][columns[each.id] > -1]
        metrics[f"AP of {each.name or each.id}"] = float(values.mean()) if values.size else -1.0
    return metrics


def check_annotated(file: COCOBoxes, category_ids: Collection[int]) -> None:
    """Check that there is a box to be found.

    Raises:
        ValueError: If no box of the categories is annotated but crowds.
    """
    boxes = [box for box in file.boxes if box.category_id in category_ids]
    if all(box.iscrowd for box in boxes):
        raise ValueError(
            f"{file.place} must have an annotated box that is no crowd. Received: "
            f"{len(file.images)} images, {len(boxes)} annotations"
        )


def _ground_truth(file: COCOBoxes, ids: Sequence[int]) -> dict[str, Any]:
    """Return what pycocotools reads; it modifies it."""
    boxes = [box for box in file.boxes if box.category_id in ids]
    return {
        "images": [{"id": image_id} for image_id in file.images],
        # pycocotools takes the id 0 for "no match"
        "annotations": [
            {
                **box._asdict(),
                "id": number,
                "bbox": box.bbox.tolist(),
                "iscrowd": int(box.iscrowd),
            }
            for number, box in enumerate(boxes, start=1)
        ],
        "categories": [{"id": id_} for id_ in ids],
    }


def _checked_results(
    results: str | Path | list[Result], file: COCOBoxes, ids: Sequence[int]
) -> list[Result]:
    content, place = read_json(results, "results")
    entries = as_objects(content, place)
    chosen = [entry for entry in entries if entry.integer("category_id") in ids]
    others = Counter({OTHER_CATEGORY: len(entries) - len(chosen)})
    if +others:
        ReadReport(place, len(entries), dict(others), frozenset(others), "results").log()
    return [
        {
            "image_id": listed_image_id(entry, file.images),
            "category_id": entry.integer("category_id"),
            "bbox": entry.numbers("bbox", 4, MAX_COORDINATE),
            "score": entry.number("score"),
        }
        for entry in chosen
    ]
