"""COCO keypoints: reading annotations and detections, and scoring results with pycocotools.

The rules are those of mmpose v0.29.
"""

import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_shufflenet._files import atomic_write
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.annotations import (
    JSONObject,
    PoseInstances,
    as_objects,
    read_json,
)
from keras_shufflenet.keypoints.boxes import PIXEL_STD, clip_box
from keras_shufflenet.keypoints.nms import oks, oks_nms, soft_oks_nms
from keras_shufflenet.keypoints.skeletons import Skeleton

PERSON = 1  # category_id

METRICS = (
    *("AP", "AP .5", "AP .75", "AP (M)", "AP (L)"),
    *("AR", "AR .5", "AR .75", "AR (M)", "AR (L)"),
)

Source = str | Path | Mapping[str, Any]
Result = dict[str, Any]
Row = tuple[int, np.ndarray, float, np.ndarray, float]  # image, box, score, keypoints, area


def read_coco(annotations: Source, skeleton: str | Skeleton = "coco") -> PoseInstances:
    """Read the annotated persons of a COCO keypoint file.

    Crowds, persons without a labeled keypoint, without area or with a bounding box outside the
    image are left out. Bounding boxes are clipped to the image. Instances are ordered by image,
    then by annotation.

    Args:
        annotations: Path of a COCO keypoint file, or its content.
        skeleton: Keypoints of the file.

    Returns:
        The instances.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is malformed, or no instances remain after filtering.
    """
    skeleton = skeletons.get(skeleton)
    root = _read_root(annotations)
    images = _images_by_id(root)
    entries = root.objects("annotations")
    rows = [row for entry in entries if (row := _annotation_row(entry, images, skeleton))]
    rank = {image_id: index for index, image_id in enumerate(images)}
    rows.sort(key=lambda row: rank[row[0]])
    if not rows:
        raise ValueError(
            f"{root.place}: no instances remain after filtering; annotations must include a person "
            "(category_id 1) with a labeled keypoint, a bounding box inside the image and no "
            f"iscrowd. Received: {len(images)} images, {len(entries)} annotations"
        )
    return _instances(skeleton, images, rows)


def read_detections(
    detections: str | Path | list[dict[str, Any]],
    annotations: Source,
    score_threshold: float = 0.0,
    skeleton: str | Skeleton = "coco",
) -> PoseInstances:
    """Read the person boxes of a detector: a list of image_id, category_id, bbox and score.

    Bounding boxes are not clipped. Detections in images that `annotations` does not list are
    ignored, so that one file of detections serves every subset of a dataset.

    Args:
        detections: Path of a JSON file, or its content.
        annotations: COCO file (path or content) that lists the images.
        score_threshold: Detections below this score are left out.
        skeleton: Keypoints to be estimated; those of the returned instances are 0.

    Returns:
        The instances, in the order of the detections.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file is malformed, or no instances remain after filtering.
    """
    skeleton = skeletons.get(skeleton)
    images = _images_by_id(_read_root(annotations))
    entries = as_objects(*read_json(detections, "detections"))
    rows = [row for entry in entries if (row := _detection_row(entry, skeleton))]
    kept = [row for row in rows if row[0] in images and row[2] >= score_threshold]
    if not kept:
        raise ValueError(
            "No instances remain after filtering; `detections` must include a person with a score "
            f">= {score_threshold} in one of the {len(images)} images. "
            f"Received: {len(entries)} detections"
        )
    return _instances(skeleton, images, kept)


def rescore_and_nms(
    image_ids: np.ndarray,
    keypoints: np.ndarray,
    bbox_scores: np.ndarray,
    scales: np.ndarray,
    *,
    skeleton: str | Skeleton = "coco",
    visibility_threshold: float = 0.2,
    oks_threshold: float = 0.9,
    nms: Literal["hard", "soft"] | None = "hard",
) -> list[Result]:
    """Convert the poses of a dataset to COCO results.

    A pose's score is its bounding box's score times the mean of the keypoint scores above a
    threshold.

    Args:
        image_ids: (N,).
        keypoints: (N, K, 3): x and y in image pixels, score.
        bbox_scores: (N,).
        scales: (N, 2), of the crops; the area of the padded box is used in the OKS.
        skeleton: The K keypoints.
        visibility_threshold: Keypoint scores up to this value do not enter the mean.
        oks_threshold: OKS threshold of the non-maximum suppression.
        nms: `"hard"` removes poses whose OKS with a better pose of the same image exceeds the
            threshold, `"soft"` keeps the best 20 by decaying scores, None keeps all.

    Returns:
        A dict of image_id, category_id, keypoints (3K numbers) and score for each remaining pose.
    """
    keypoints = np.asarray(keypoints, np.float64)
    confident = keypoints[..., 2] > visibility_threshold
    means = (keypoints[..., 2] * confident).sum(-1) / np.maximum(confident.sum(-1), 1)
    scores = means * np.asarray(bbox_scores, np.float64)
    areas = np.prod(PIXEL_STD * np.asarray(scales, np.float64), axis=-1)
    suppress = {"hard": oks_nms, "soft": soft_oks_nms}.get(nms or "")
    results = []
    for image_id, rows in _rows_by_image(image_ids):
        if suppress:
            similarity = oks(keypoints[rows], areas[rows], skeleton)
            rows = rows[suppress(similarity, scores[rows], oks_threshold)]
        results += [_result(image_id, keypoints[row], scores[row]) for row in rows]
    return results


def save_results(results: list[Result], path: str | Path) -> None:
    """Write results as the JSON list that COCO's evaluation server accepts."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, lambda partial: partial.write_text(json.dumps(results), encoding="utf-8"))


def evaluate_keypoints(
    annotations: Source, results: str | Path | list[Result], skeleton: str | Skeleton = "coco"
) -> dict[str, float]:
    """Score results with pycocotools.

    Args:
        annotations: COCO file with the ground truth (path or content).
        results: A list of dicts of image_id, keypoints (3K numbers), score and category_id (1 by
            default), or the path of such a JSON file. The list may be empty.
        skeleton: The K keypoints; its sigmas define the OKS.

    Returns:
        COCO's ten metrics by their names in `METRICS`, between 0 and 1; -1 where there is no
        ground truth of that size.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file is malformed, or a result refers to an unknown image.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    skeleton, root = skeletons.get(skeleton), _read_root(annotations)
    images = _images_by_id(root)
    checked = _check_results(results, images, skeleton)
    truth, found = COCO(), COCO()
    truth.dataset = _ground_truth(root, images, skeleton)
    with redirect_stdout(io.StringIO()):
        truth.createIndex()
        if checked:  # pycocotools cannot load an empty list
            found = truth.loadRes(checked)
        evaluator = COCOeval(truth, found, "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array(skeleton.sigmas)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(METRICS, map(float, evaluator.stats), strict=True))


def _read_root(annotations: Source) -> JSONObject:
    content, name = read_json(annotations, "annotations")
    return JSONObject(content, name)


def _images_by_id(root: JSONObject) -> dict[int, JSONObject]:
    return {image.integer("id"): image for image in root.objects("images")}


def _image_id(entry: JSONObject, images: Mapping[int, JSONObject]) -> int:
    """Return the image id of an annotation or a result."""
    image_id = entry.integer("image_id")
    if image_id not in images:
        raise ValueError(
            f"{entry.place}: 'image_id' must be the id of a listed image. Received: {image_id}"
        )
    return image_id


def _annotation_row(
    entry: JSONObject, images: dict[int, JSONObject], skeleton: Skeleton
) -> Row | None:
    """Return an annotated person, or None for annotations that are left out."""
    if entry.value.get("category_id", PERSON) != PERSON:
        return None
    image_id, box = _image_id(entry, images), entry.numbers("bbox", 4)
    keypoints = np.array(entry.numbers("keypoints", 3 * len(skeleton)), np.float64)
    image = images[image_id]
    clipped = clip_box(box, (image.integer("height"), image.integer("width")))
    area = entry.number("area") if "area" in entry.value else box[2] * box[3]
    is_labeled = keypoints.max() > 0 and entry.value.get("num_keypoints", 1) != 0
    if entry.value.get("iscrowd") or clipped is None or area <= 0 or not is_labeled:
        return None
    return image_id, clipped, 1.0, keypoints.reshape(-1, 3), area


def _detection_row(entry: JSONObject, skeleton: Skeleton) -> Row | None:
    """Return a detected person, or None for other categories."""
    box = np.array(entry.numbers("bbox", 4), np.float64)
    image_id, score = entry.integer("image_id"), entry.number("score")
    if entry.integer("category_id") != PERSON:
        return None
    return image_id, box, score, np.zeros((len(skeleton), 3)), box[2] * box[3]


def _instances(skeleton: Skeleton, images: dict[int, JSONObject], rows: list[Row]) -> PoseInstances:
    image_ids, boxes, scores, keypoints, areas = zip(*rows, strict=True)
    row_images = [images[image_id] for image_id in image_ids]
    points = np.stack(keypoints)
    return PoseInstances(
        skeleton=skeleton,
        image_id=np.array(image_ids, np.int64),
        file_name=np.array([image.text("file_name") for image in row_images]),
        image_size=np.array([(i.integer("height"), i.integer("width")) for i in row_images]),
        bboxes=np.stack(boxes),
        bbox_scores=np.array(scores, np.float64),
        keypoints=points[..., :2].astype(np.float32),
        keypoints_visible=(points[..., 2] > 0).astype(np.float32),
        areas=np.array(areas, np.float64),
    )


def _rows_by_image(image_ids: Iterable[int]) -> list[tuple[int, np.ndarray]]:
    """Return every image with the indices of its poses, in order of appearance."""
    rows = defaultdict(list)
    for row, image_id in enumerate(image_ids):
        rows[int(image_id)].append(row)
    return [(image_id, np.array(indices)) for image_id, indices in rows.items()]


def _result(image_id: int, keypoints: np.ndarray, score: float) -> Result:
    return {
        "image_id": image_id,
        "category_id": PERSON,
        "keypoints": keypoints.ravel().tolist(),
        "score": float(score),
    }


def _ground_truth(
    root: JSONObject, images: Mapping[int, JSONObject], skeleton: Skeleton
) -> dict[str, Any]:
    """Return a copy of the fields that pycocotools reads; pycocotools modifies it."""
    entries = root.objects("annotations")
    persons = [entry for entry in entries if entry.integer("category_id") == PERSON]
    return {
        "images": [{"id": image_id} for image_id in images],
        # pycocotools takes the id 0 for "no match"
        "annotations": [
            {"id": index, **_person_truth(person, images, skeleton)}
            for index, person in enumerate(persons, start=1)
        ],
        "categories": [{"id": PERSON, "name": "person"}],
    }


def _person_truth(
    entry: JSONObject, images: Mapping[int, JSONObject], skeleton: Skeleton
) -> dict[str, Any]:
    keypoints = entry.numbers("keypoints", 3 * len(skeleton))
    return {
        "image_id": _image_id(entry, images),
        "category_id": PERSON,
        "bbox": entry.numbers("bbox", 4),
        "area": entry.number("area"),
        "keypoints": keypoints,
        "num_keypoints": entry.value.get("num_keypoints", sum(v > 0 for v in keypoints[2::3])),
        "iscrowd": int(bool(entry.value.get("iscrowd"))),
    }


def _check_results(
    results: str | Path | list[Result], images: Mapping[int, JSONObject], skeleton: Skeleton
) -> list[Result]:
    """Return checked copies of results; pycocotools modifies them."""
    return [
        _result(
            _image_id(entry, images),
            np.array(entry.numbers("keypoints", 3 * len(skeleton)), np.float64),
            entry.number("score"),
        )
        for entry in as_objects(*read_json(results, "results"))
    ]
