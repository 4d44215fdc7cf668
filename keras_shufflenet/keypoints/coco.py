"""Scoring poses with COCO's keypoint metrics: rescoring, OKS-NMS and pycocotools.

The rules are those of mmpose v0.29.
"""

import io
import json
import warnings
from collections import defaultdict
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_shufflenet._files import atomic_write
from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.annotations import as_objects, read_json
from keras_shufflenet.keypoints.boxes import PIXEL_STD
from keras_shufflenet.keypoints.coco_fields import listed_image_id
from keras_shufflenet.keypoints.coco_file import (
    COUNT_0,
    FAR,
    NO_AREA,
    ORIGIN,
    OTHER_CATEGORY,
    UNLABELED,
    COCOFile,
    COCOPerson,
    Source,
)
from keras_shufflenet.keypoints.nms import oks, oks_nms, soft_oks_nms
from keras_shufflenet.keypoints.skeletons import Skeleton, SkeletonLike

METRICS = (
    *("AP", "AP .5", "AP .75", "AP (M)", "AP (L)"),
    *("AR", "AR .5", "AR .75", "AR (M)", "AR (L)"),
)

Result = dict[str, Any]


def rescore_and_nms(
    image_ids: np.ndarray,
    keypoints: np.ndarray,
    bbox_scores: np.ndarray,
    scales: np.ndarray,
    *,
    skeleton: SkeletonLike = "coco",
    visibility_threshold: float = 0.2,
    oks_threshold: float = 0.9,
    nms: Literal["hard", "soft"] | None = "hard",
    category_id: int = 1,
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
        category_id: The category of the poses.

    Returns:
        A dict of image_id, category_id, keypoints (3K numbers) and score for each remaining pose.
    """
    skeleton = skeletons.get(skeleton)
    keypoints = np.asarray(keypoints, np.float64)
    confident = keypoints[..., 2] > visibility_threshold
    sums = np.where(confident, keypoints[..., 2], 0).sum(-1)  # without NaN of a diverged network
    means = sums / np.maximum(confident.sum(-1), 1)
    scores = means * np.asarray(bbox_scores, np.float64)
    areas = np.prod(PIXEL_STD * np.asarray(scales, np.float64), axis=-1)
    suppress = {"hard": oks_nms, "soft": soft_oks_nms}.get(nms or "")
    results = []
    for image_id, rows in _rows_by_image(image_ids):
        if suppress:
            similarity = oks(keypoints[rows], areas[rows], skeleton)
            rows = rows[suppress(similarity, scores[rows], oks_threshold)]
        results += [
            {
                "image_id": image_id,
                "category_id": category_id,
                "keypoints": keypoints[row].ravel().tolist(),
                "score": float(scores[row]),
            }
            for row in rows
        ]
    return results


def save_results(results: list[Result], path: str | Path) -> None:
    """Write results as the JSON list that COCO's evaluation server accepts."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, lambda partial: partial.write_text(json.dumps(results), encoding="utf-8"))


def evaluate_keypoints(
    annotations: Source | COCOFile,
    results: str | Path | list[Result],
    skeleton: SkeletonLike | None = None,
    category: str | int | None = None,
) -> dict[str, float]:
    """Score results with pycocotools.

    Annotations that `read_coco` leaves out for their keypoints or for want of area are ignored:
    a pose there counts neither for nor against. The same holds for crowds.

    Args:
        annotations: COCO file with the ground truth: path, content, or a `COCOFile`.
        results: A list of dicts of image_id, keypoints (3K numbers, in the order of the COCO file),
            score and category_id (by default that of the ground truth), or the path of such a JSON
            file. Results of other categories are left out; the log says so. The list may be empty,
            of a network that found no person, but not the file.
        skeleton: The K keypoints; its sigmas define the OKS. Defaults to the keypoints of the
            category. A warning says if they have no sigmas of their own, but the mean of COCO's.
        category: Name or id of the category to be scored; by default the only one with annotations.

    Returns:
        COCO's ten metrics by their names in `METRICS`, between 0 and 1; -1 where there is no
        ground truth of that size.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file is malformed or has no instance for `read_coco`, a result refers to an
            unknown image, no result is of the category, or the file of results has none.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    file = COCOFile.open(annotations, category, skeleton)
    file.check_readable()
    _warn_of_sigmas(file.skeleton)
    checked = _checked_results(results, file)
    truth, found = COCO(), COCO()
    truth.dataset = _ground_truth(file)
    with redirect_stdout(io.StringIO()):
        truth.createIndex()
        if checked:  # pycocotools cannot load an empty list
            found = truth.loadRes(checked)
        evaluator = COCOeval(truth, found, "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array(file.skeleton.sigmas)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(METRICS, map(float, evaluator.stats), strict=True))


def _warn_of_sigmas(skeleton: Skeleton) -> None:
    if skeleton.has_mean_sigmas:
        warnings.warn(
            f"The skeleton {skeleton.name!r} has no sigmas: the OKS takes the mean of COCO's, "
            f"{skeleton.sigmas[0]:.3f}, for each keypoint. AP and AR compare models on this data, "
            "but not with other datasets; 'sigmas' in the json of the skeleton replace it.",
            stacklevel=3,
        )


def _rows_by_image(image_ids: Iterable[int]) -> list[tuple[int, np.ndarray]]:
    """Return every image with the indices of its poses, in order of appearance."""
    rows = defaultdict(list)
    for row, image_id in enumerate(image_ids):
        rows[int(image_id)].append(row)
    return [(image_id, np.array(indices)) for image_id, indices in rows.items()]


def _ground_truth(file: COCOFile) -> dict[str, Any]:
    """Return what pycocotools reads; it modifies it."""
    return {
        "images": [{"id": image_id} for image_id in file.images],
        # pycocotools takes the id 0 for "no match"
        "annotations": [
            {"id": number, "category_id": file.category.id, **_annotation(person)}
            for number, person in enumerate(file.persons, start=1)
        ],
        "categories": [{"id": file.category.id, "name": file.category.name}],
    }


def _annotation(person: COCOPerson) -> Result:
    is_misplaced = person.left_out in (FAR, ORIGIN)
    is_ignored = is_misplaced or person.left_out in (UNLABELED, COUNT_0, NO_AREA)
    # without keypoints pycocotools compares a pose with the box
    keypoints = np.zeros_like(person.keypoints) if is_misplaced else person.keypoints
    labeled = int((keypoints[:, 2] > 0).sum())
    return {
        "image_id": person.image_id,
        "bbox": person.bbox.tolist(),
        "area": person.area,
        "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": 0 if is_ignored else labeled,
        "iscrowd": int(person.iscrowd),
    }


def _checked_results(results: str | Path | list[Result], file: COCOFile) -> list[Result]:
    """Return checked results of the category, with keypoints in the order of the skeleton."""
    content, place = read_json(results, "results")
    checked = []
    entries = as_objects(content, place)
    for entry in entries:
        stated = entry.integer("category_id") if entry.has("category_id") else file.category.id
        if stated == file.category.id:
            result = {
                "image_id": listed_image_id(entry, file.images),
                "category_id": stated,
                "keypoints": file.keypoints(entry).ravel().tolist(),
                "score": entry.number("score"),
            }
            checked.append(result)
    if not checked and (entries or isinstance(results, str | Path)):
        ids = sorted({entry.integer("category_id") for entry in entries})
        raise ValueError(
            f"{place} must have at least one result of the category {file.category}. "
            f"Received: {len(entries)} results{f', of the categories {ids}' if ids else ''}"
        )
    if others := len(entries) - len(checked):
        counts = {f"{OTHER_CATEGORY} than {file.category}": others}
        ReadReport(place, len(entries), counts, frozenset(counts), "results").log()
    return checked
