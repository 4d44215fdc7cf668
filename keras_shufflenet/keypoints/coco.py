"""Scoring of COCO keypoints: rescoring and suppression of poses, and pycocotools' ten numbers.

Source: mmpose v0.29.
"""

import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_shufflenet._files import write_whole
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.boxes import PIXEL_STD
from keras_shufflenet.keypoints.coco_reader import (
    PERSON,
    Source,
    image_of,
    images_of,
    root_of,
)
from keras_shufflenet.keypoints.json_files import Entry, as_entries, load
from keras_shufflenet.keypoints.nms import oks, oks_nms, soft_oks_nms
from keras_shufflenet.keypoints.skeletons import Skeleton

METRICS = (
    *("AP", "AP .5", "AP .75", "AP (M)", "AP (L)"),
    *("AR", "AR .5", "AR .75", "AR (M)", "AR (L)"),
)

Result = dict[str, Any]


def rescore_and_nms(
    image_ids: np.ndarray,
    keypoints: np.ndarray,
    box_scores: np.ndarray,
    scales: np.ndarray,
    *,
    skeleton: str | Skeleton = "coco",
    visibility_threshold: float = 0.2,
    oks_threshold: float = 0.9,
    nms: Literal["hard", "soft"] | None = "hard",
) -> list[Result]:
    """Turn the poses of a data set into COCO results.

    A pose's score is its box's times the mean of its keypoint scores above a threshold.

    Args:
        image_ids: (N,).
        keypoints: (N, K, 3): x and y in image pixels, score.
        box_scores: (N,).
        scales: (N, 2), of the crops; the padded box is the area of the OKS.
        skeleton: the K keypoints.
        visibility_threshold: keypoint scores up to it do not enter the mean.
        oks_threshold: of the suppression.
        nms: `"hard"` drops poses that are more similar than the threshold to a better one of the
            image, `"soft"` keeps the best 20 by sinking scores, None keeps all.

    Returns:
        A dict of image_id, category_id, keypoints (3K numbers) and score for each kept pose.
    """
    keypoints = np.asarray(keypoints, np.float64)
    counted = keypoints[..., 2] > visibility_threshold
    means = (keypoints[..., 2] * counted).sum(-1) / np.maximum(counted.sum(-1), 1)
    scores = means * np.asarray(box_scores, np.float64)
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
    """Write results as the json list that COCO's evaluation server takes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda beside: beside.write_text(json.dumps(results), encoding="utf-8"))


def evaluate_keypoints(
    annotations: Source, results: str | Path | list[Result], skeleton: str | Skeleton = "coco"
) -> dict[str, float]:
    """Score results with pycocotools.

    Args:
        annotations: the COCO file with the ground truth, or what it holds.
        results: a list of dicts of image_id, keypoints (3K numbers), score and category_id (1 if
            absent), or the json file of one; it may be empty.
        skeleton: gives the tolerance of each joint.

    Returns:
        The ten numbers of COCO by their names in `METRICS`, between 0 and 1; -1 where there is no
        ground truth of that size.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file does not hold what it should, or a result names an unknown image.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    skeleton, root = skeletons.get(skeleton), root_of(annotations)
    images = images_of(root)
    checked = _checked(results, images, skeleton)
    truth, found = COCO(), COCO()
    truth.dataset = _truth(root, images, skeleton)
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


def _rows_by_image(image_ids: Iterable[int]) -> list[tuple[int, np.ndarray]]:
    """Return every image with the indices of its people, in order of appearance."""
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


def _truth(root: Entry, images: Mapping[int, Entry], skeleton: Skeleton) -> dict[str, Any]:
    """Return what pycocotools needs of the ground truth, as a copy that it may write to."""
    entries = root.entries("annotations")
    people = [entry for entry in entries if entry.integer("category_id") == PERSON]
    return {
        "images": [{"id": image_id} for image_id in images],
        # pycocotools takes the id 0 for "no match"
        "annotations": [
            {"id": index, **_true_person(person, images, skeleton)}
            for index, person in enumerate(people, start=1)
        ],
        "categories": [{"id": PERSON, "name": "person"}],
    }


def _true_person(entry: Entry, images: Mapping[int, Entry], skeleton: Skeleton) -> dict[str, Any]:
    keypoints = entry.numbers("keypoints", 3 * len(skeleton))
    return {
        "image_id": image_of(entry, images),
        "category_id": PERSON,
        "bbox": entry.numbers("bbox", 4),
        "area": entry.number("area"),
        "keypoints": keypoints,
        "num_keypoints": entry.value.get("num_keypoints", sum(v > 0 for v in keypoints[2::3])),
        "iscrowd": int(bool(entry.value.get("iscrowd"))),
    }


def _checked(
    results: str | Path | list[Result], images: Mapping[int, Entry], skeleton: Skeleton
) -> list[Result]:
    """Return copies of valid results, which pycocotools may write to."""
    return [
        _result(
            image_of(entry, images),
            np.array(entry.numbers("keypoints", 3 * len(skeleton)), np.float64),
            entry.number("score"),
        )
        for entry in as_entries(*load(results, "results"))
    ]
