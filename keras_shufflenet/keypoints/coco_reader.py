"""COCO keypoints: reading annotations and a detector's boxes.

The rules are those of mmpose v0.29.
"""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_shufflenet._checks import check_number
from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.keypoints.annotations import (
    MAX_COORDINATE,
    JSONObject,
    PoseInstances,
    as_objects,
    read_json,
)
from keras_shufflenet.keypoints.coco_file import (
    NO_AREA,
    OTHER_CATEGORY,
    COCOFile,
    Source,
)
from keras_shufflenet.keypoints.skeletons import SkeletonLike

UNLISTED, LOW_SCORE = "in images that are not listed", "below the score threshold"


class _Row(NamedTuple):
    """A person of an annotation or a detection."""

    image_id: int
    bbox: np.ndarray
    score: float
    keypoints: np.ndarray
    keypoint_weights: np.ndarray
    area: float


def read_coco(
    annotations: Source | COCOFile,
    skeleton: SkeletonLike | None = None,
    category: str | int | None = None,
) -> PoseInstances:
    """Read the annotated persons of a COCO keypoint file.

    Crowds, persons without a labeled keypoint, and persons with keypoints far outside of the image
    or a bounding box outside of it are left out; `report` counts them. Bounding boxes are clipped
    to the image. Instances are ordered by image, then by annotation. `COCOFile` has the rules about
    single fields.

    Args:
        annotations: Path of a COCO keypoint file, its content, or a `COCOFile`.
        skeleton: Keypoints of the file, which may have them in another order. Defaults to those of
            the category, or COCO's if it names none.
        category: Name or id of the category to be read; by default the only one with annotations.

    Returns:
        The instances.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is malformed, has several categories or other keypoints than the
            skeleton, or no instances remain.
    """
    file = COCOFile.open(annotations, category, skeleton)
    rows = [
        _Row(
            person.image_id,
            person.clipped_bbox,
            1.0,
            person.keypoints,
            person.keypoint_weights,
            person.area,
        )
        for person in file.readable()
    ]
    return _instances(file, rows, file.report)


def read_detections(
    detections: str | Path | list[dict[str, Any]],
    annotations: Source | COCOFile,
    score_threshold: float = 0.0,
    skeleton: SkeletonLike | None = None,
    category: str | int | None = None,
) -> PoseInstances:
    """Read the person boxes of a detector: a list of image_id, category_id, bbox and score.

    Bounding boxes are not clipped. Detections of other categories, and those in images that
    `annotations` does not list, are left out, so that one file of detections serves every subset of
    a dataset; `report` counts them.

    Args:
        detections: Path of a JSON file, or its content. Detections without `category_id` are of
            the category that is read.
        annotations: COCO file (path, content or a `COCOFile`) that lists the images.
        score_threshold: Detections below this score are left out.
        skeleton: Keypoints to be estimated; those of the returned instances are 0.
        category: Name or id of the category to be read; by default the only one with annotations.

    Returns:
        The instances, in the order of the detections.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If an argument or a file is malformed, or no instances remain.
    """
    check_number("score_threshold", score_threshold)
    file = COCOFile.open(annotations, category, skeleton)
    content, place = read_json(detections, "detections")
    entries = as_objects(content, place)
    rows, left_out = [], Counter[str]()
    for entry in entries:
        row = _detection(entry, file, score_threshold)
        if isinstance(row, str):
            left_out[row] += 1
        else:
            rows.append(row)
    report = ReadReport(
        place,
        len(entries),
        dict(left_out),
        frozenset(left_out) & {NO_AREA},
        "detections",
    )
    if not rows:
        raise ValueError(
            "No instances remain; `detections` must include one of the category "
            f"{file.category} with a score >= {score_threshold} in one of the {len(file.images)} "
            f"images. Received: {len(entries)} detections{report.remarks}"
        )
    report.log()
    return _instances(file, rows, report)


def _detection(entry: JSONObject, file: COCOFile, score_threshold: float) -> _Row | str:
    """Return a detected person, or why it is left out."""
    bbox = np.array(entry.numbers("bbox", 4, MAX_COORDINATE), np.float64)
    image_id, score = entry.integer("image_id"), entry.number("score")
    if bbox[2:].min() < 0:
        raise entry.error("bbox", "x, y, width and height, with width and height >= 0")
    if entry.has("category_id") and entry.integer("category_id") != file.category.id:
        return OTHER_CATEGORY
    if image_id not in file.images:
        return UNLISTED
    if score < score_threshold:
        return LOW_SCORE
    if bbox[2:].min() == 0:
        return NO_AREA
    count = len(file.skeleton)
    return _Row(image_id, bbox, score, np.zeros((count, 3)), np.zeros(count), bbox[2] * bbox[3])


def _instances(file: COCOFile, rows: list[_Row], report: ReadReport) -> PoseInstances:
    images = [file.images[row.image_id] for row in rows]
    points = np.stack([row.keypoints for row in rows])
    return PoseInstances(
        skeleton=file.skeleton,
        image_id=np.array([row.image_id for row in rows], np.int64),
        file_name=np.array([image.file_name for image in images]),
        image_size=np.array([image.size for image in images]),
        bboxes=np.stack([row.bbox for row in rows]),
        bbox_scores=np.array([row.score for row in rows], np.float64),
        keypoints=points[..., :2].astype(np.float32),
        keypoints_visible=np.stack([row.keypoint_weights for row in rows]).astype(np.float32),
        areas=np.array([row.area for row in rows], np.float64),
        report=report,
    )
