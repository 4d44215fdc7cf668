"""Reading COCO keypoint annotations and detections, by the rules of mmpose v0.29."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.annotations import PoseInstances
from keras_shufflenet.keypoints.boxes import clip_box
from keras_shufflenet.keypoints.json_files import Entry, as_entries, load
from keras_shufflenet.keypoints.skeletons import Skeleton

PERSON = 1  # category_id

Source = str | Path | Mapping[str, Any]
Row = tuple[int, np.ndarray, float, np.ndarray, float]  # image, box, score, keypoints, area


def read_coco(annotations: Source, skeleton: str | Skeleton = "coco") -> PoseInstances:
    """Read the people of a COCO keypoint file, for training or for evaluation in their own boxes.

    Crowds, people without a labeled keypoint, without area or with nothing of their box inside
    the image are left out. Boxes are clipped to the image. Order: by image, then by annotation.

    Args:
        annotations: a json file, or what one holds.
        skeleton: the keypoints of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file does not hold what it should, or nobody is left.
    """
    skeleton = skeletons.get(skeleton)
    root = root_of(annotations)
    images = images_of(root)
    entries = root.entries("annotations")
    rows = [row for entry in entries if (row := _annotated(entry, images, skeleton))]
    rank = {image_id: index for index, image_id in enumerate(images)}
    rows.sort(key=lambda row: rank[row[0]])
    if not rows:
        raise ValueError(
            f"{root.place}: annotations must hold a person (category_id 1) with a "
            "labeled keypoint, a box inside the image and no iscrowd. "
            f"Received: {len(images)} images, {len(entries)} annotations"
        )
    return _people(skeleton, images, rows)


def read_detections(
    detections: str | Path | list[dict[str, Any]],
    annotations: Source,
    score_threshold: float = 0.0,
    skeleton: str | Skeleton = "coco",
) -> PoseInstances:
    """Read the person boxes of a detector: a list of image_id, category_id, bbox and score.

    Boxes are not clipped. Boxes of images that the annotations lack are left out, so that the
    detections of a whole data set serve its parts.

    Args:
        detections: a json file, or what one holds.
        annotations: the COCO file whose images are wanted.
        score_threshold: boxes below this score are left out.
        skeleton: the keypoints that will be looked for; those of the records are 0.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file does not hold what it should, or no box is left.
    """
    skeleton = skeletons.get(skeleton)
    images = images_of(root_of(annotations))
    entries = as_entries(*load(detections, "detections"))
    rows = [row for entry in entries if (row := _detected(entry, skeleton))]
    kept = [row for row in rows if row[0] in images and row[2] >= score_threshold]
    if not kept:
        raise ValueError(
            f"Detections must hold a person of score >= {score_threshold} in one of the "
            f"{len(images)} images. Received: {len(entries)} boxes"
        )
    return _people(skeleton, images, kept)


def root_of(annotations: Source) -> Entry:
    """Return the object that a COCO file is."""
    content, name = load(annotations, "annotations")
    return Entry(content, name)


def images_of(root: Entry) -> dict[int, Entry]:
    """Return the images of a COCO file by their ids."""
    return {image.integer("id"): image for image in root.entries("images")}


def _annotated(entry: Entry, images: dict[int, Entry], skeleton: Skeleton) -> Row | None:
    """Return a labeled person, or None for those who are left out."""
    if entry.value.get("category_id", PERSON) != PERSON:
        return None
    image_id, box = image_of(entry, images), entry.numbers("bbox", 4)
    keypoints = np.array(entry.numbers("keypoints", 3 * len(skeleton)), np.float64)
    image = images[image_id]
    clipped = clip_box(box, (image.integer("height"), image.integer("width")))
    area = entry.number("area") if "area" in entry.value else box[2] * box[3]
    labeled = keypoints.max() > 0 and entry.value.get("num_keypoints", 1) != 0
    if entry.value.get("iscrowd") or clipped is None or area <= 0 or not labeled:
        return None
    return image_id, clipped, 1.0, keypoints.reshape(-1, 3), area


def _detected(entry: Entry, skeleton: Skeleton) -> Row | None:
    """Return a detected person, or None for other things."""
    box = np.array(entry.numbers("bbox", 4), np.float64)
    image_id, score = entry.integer("image_id"), entry.number("score")
    if entry.integer("category_id") != PERSON:
        return None
    return image_id, box, score, np.zeros((len(skeleton), 3)), box[2] * box[3]


def image_of(entry: Entry, images: Mapping[int, Entry]) -> int:
    """Return the image id of an annotation or a result.

    Raises:
        ValueError: there is no such image.
    """
    image_id = entry.integer("image_id")
    if image_id not in images:
        raise ValueError(f"{entry.place} must be of a listed image. Received: image_id {image_id}")
    return image_id


def _people(skeleton: Skeleton, images: dict[int, Entry], rows: list[Row]) -> PoseInstances:
    image_ids, boxes, scores, keypoints, areas = zip(*rows, strict=True)
    described = [images[image_id] for image_id in image_ids]
    points = np.stack(keypoints)
    return PoseInstances(
        skeleton=skeleton,
        image_id=np.array(image_ids, np.int64),
        file_name=np.array([image.text("file_name") for image in described]),
        image_size=np.array([(i.integer("height"), i.integer("width")) for i in described]),
        bboxes=np.stack(boxes),
        bbox_scores=np.array(scores, np.float64),
        keypoints=points[..., :2].astype(np.float32),
        keypoints_visible=(points[..., 2] > 0).astype(np.float32),
        areas=np.array(areas, np.float64),
    )
