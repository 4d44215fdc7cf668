"""Pseudo-labels: keypoints that trained networks, the teachers, predict, to train on.

Photographs without annotations get persons and keypoints; annotations that lack keypoints, such as
those of sports data without faces, are completed, and labels that a sure teacher contradicts are
dropped. The sources of every number are in the file: `keypoint_scores`, 1 for what a person has
labeled, becomes the weight of a keypoint in training.

Source: Lee, "Pseudo-Label", 2013; Radosavovic et al., "Data Distillation: Towards Omni-Supervised
Learning", 2018, https://arxiv.org/abs/1712.04440 (averaging over flips, labels above a threshold).
"""

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from keras_shufflenet import data
from keras_shufflenet._checks import check_fraction
from keras_shufflenet._read_report import LOGGER
from keras_shufflenet.data.image_files import find_image_files
from keras_shufflenet.inference.image_io import to_array
from keras_shufflenet.inference.movenet import MoveNet, is_movenet
from keras_shufflenet.inference.person_boxes import PersonDetector
from keras_shufflenet.inference.pose import PosePredictor, predict_dataset
from keras_shufflenet.keypoints.annotations import read_json
from keras_shufflenet.keypoints.boxes import clip_box
from keras_shufflenet.keypoints.coco_file import COCOFile
from keras_shufflenet.keypoints.skeletons import Skeleton
from keras_shufflenet.litert.interpreter import open_interpreter

NEAR = 0.1  # of the square root of the box's area: predictions that agree
AGREES = 0.12  # of it: a label and a prediction that agree
SURE = 0.6  # score of a prediction that outweighs a label
DOUBTFUL = 0.6  # weight of a label that an unsure prediction contradicts
KEYPOINT_THRESHOLD = 0.3
PERSON_THRESHOLD = 0.35
BEST = 8  # keypoints whose mean score is that of a person
MIN_KEYPOINTS = 4

KeypointPredictor = PosePredictor | MoveNet


def load_teachers(models: Sequence[Any]) -> list[KeypointPredictor]:
    """Open pose estimators.

    Args:
        models: As for `PosePredictor.load`, or `.tflite` files of MoveNet.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If there is none, one is no pose estimator, or their keypoints differ.
    """
    if not models:
        raise ValueError("`models` must have at least one pose estimator. Received: none")
    teachers = [_load_teacher(model) for model in models]
    names = [teacher.skeleton.keypoint_names for teacher in teachers]
    if len(set(names)) > 1:
        received = [f"{len(each)} of {model}" for each, model in zip(names, models, strict=True)]
        raise ValueError(
            f"`models` must predict the same keypoints. Received: {', '.join(received)}"
        )
    return teachers


def fuse_keypoints(predictions: Sequence[np.ndarray], sizes: np.ndarray) -> np.ndarray:
    """Fuse the predictions of several networks.

    Those near the surest one are averaged, weighted by their scores; the score is their sum,
    divided by the number of networks.

    Args:
        predictions: For each network (N, K, 3): x, y in pixels, and score.
        sizes: (N,) sizes of the persons in pixels.

    Returns:
        (N, K, 3): x, y, score.
    """
    found = np.stack(predictions)
    scores = np.clip(found[..., 2], 0, 1)
    surest = np.take_along_axis(found, scores.argmax(axis=0)[None, ..., None], axis=0)
    distances = np.linalg.norm(found[..., :2] - surest[..., :2], axis=-1)
    shares = scores * (distances <= NEAR * sizes[:, None])
    total = np.maximum(shares.sum(axis=0), 1e-9)
    points = (found[..., :2] * shares[..., None]).sum(axis=0) / total[..., None]
    points = np.where(shares.any(axis=0)[..., None], points, surest[0, ..., :2])
    return np.concatenate([points, (shares.sum(axis=0) / len(found))[..., None]], axis=-1)


def label_images(
    image_dir: str | Path,
    models: Sequence[Any],
    detector: Any,
    *,
    person_threshold: float = PERSON_THRESHOLD,
    keypoint_threshold: float = KEYPOINT_THRESHOLD,
    verbose: bool = True,
) -> dict[str, Any]:
    """Annotate the persons in photographs.

    Args:
        image_dir: Folder of the photographs, with its subfolders.
        models: Pose estimators, as for `load_teachers`; several are fused.
        detector: Finds the persons, as for `PersonDetector.load`.
        person_threshold: Minimum mean score of the 8 best keypoints of a person, 0..1.
        keypoint_threshold: Keypoints with a lower score are not labeled.
        verbose: Whether to show a progress bar.

    Returns:
        A COCO keypoint json. Images without a person are not in it, nor those that cannot be read,
        each of which is logged; `info` counts images and persons.

    Raises:
        FileNotFoundError: If a file is missing, or the folder has no image.
        ValueError: If no image can be read, or an argument is out of range.
    """
    check_fraction("person_threshold", person_threshold)
    check_fraction("keypoint_threshold", keypoint_threshold)
    teachers = load_teachers(models)
    folder = Path(image_dir)
    paths, _ = find_image_files(folder)
    images, detections = _detect(PersonDetector.load(detector), folder, paths, verbose)
    if paths and not images:
        raise ValueError(f"`image_dir` must have an image that can be read. Received: {folder}")
    category = _category(teachers[0].skeleton)
    content = {"images": images, "annotations": [], "categories": [category]}
    labels: list[dict[str, Any]] = []
    if detections:
        dataset = data.load_keypoint_dataset(
            content, folder, skeleton=teachers[0].skeleton, detections=detections
        )
        poses = _predict(teachers, dataset, verbose)
        labels = _labels(dataset, poses, category["id"], person_threshold, keypoint_threshold)
    used = {label["image_id"] for label in labels}
    counts = {
        "photographs": len(images),
        "photographs_left_out": len(paths) - len(images),
        "persons_detected": len(detections),
        "persons_labeled": len(labels),
    }
    return {
        "info": _info(models) | counts,
        "images": [image for image in images if image["id"] in used],
        "annotations": labels,
        "categories": [category],
    }


def complete_annotations(
    annotations: str | Path,
    image_dir: str | Path,
    models: Sequence[Any],
    *,
    keypoint_threshold: float = KEYPOINT_THRESHOLD,
    category: str | int | None = None,
    verbose: bool = True,
) -> dict[str, Any]:
    """Complete and check annotated keypoints by predicted ones.

    A keypoint that is not labeled gets the predicted position, if its score reaches the threshold,
    with this score. A label near the prediction is averaged with it, by the score, and counts 1; a
    label that a prediction above 0.6 contradicts is dropped, and one that an unsure prediction
    contradicts counts 0.6.

    Args:
        annotations: A COCO keypoint json.
        image_dir: Folder of its images.
        models: Pose estimators, as for `load_teachers`; several are fused.
        keypoint_threshold: Keypoints with a lower score are not added.
        category: Name or id of the category of the persons; by default the only one with
            annotations.
        verbose: Whether to show a progress bar.

    Returns:
        The content of the json with changed persons, each with `keypoint_scores`. `info` counts
        what became of the keypoints.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the json is malformed, or an argument is out of range.
    """
    check_fraction("keypoint_threshold", keypoint_threshold)
    teachers = load_teachers(models)
    file = COCOFile(annotations, category, teachers[0].skeleton)
    dataset = data.load_keypoint_dataset(file, image_dir, skeleton=file.skeleton)
    poses = _predict(teachers, dataset, verbose)
    sizes = _sizes(dataset.instances.bboxes)
    content = deepcopy(read_json(annotations, "annotations")[0])
    counts: Counter[str] = Counter()
    for person, pose, size in zip(file.readable(), poses, sizes, strict=True):
        keypoints, weights = _complete(
            person.keypoints, person.keypoint_weights, pose, size, keypoint_threshold, counts
        )
        rows = file.in_file_order(np.column_stack([keypoints, weights]))
        content["annotations"][person.position] |= _as_fields(rows[:, :3], rows[:, 3])
    content["info"] = {**(content.get("info") or {}), **_info(models), **counts}
    return dict(content)


def _load_teacher(model: Any) -> KeypointPredictor:
    is_file = isinstance(model, str | Path) and Path(model).suffix == ".tflite"
    if is_file and is_movenet(open_interpreter(Path(model))):
        return MoveNet.load(Path(model))
    return PosePredictor.load(model)


def _predict(teachers: list[KeypointPredictor], dataset: Any, verbose: bool) -> np.ndarray:
    found = [predict_dataset(teacher, dataset, verbose=verbose) for teacher in teachers]
    return fuse_keypoints(found, _sizes(dataset.instances.bboxes))


def _labels(
    dataset: data.KeypointDataset,
    poses: np.ndarray,
    category_id: int,
    person_threshold: float,
    keypoint_threshold: float,
) -> list[dict[str, Any]]:
    """Return the annotations of the persons whose poses (N, K, 3) are sure enough."""
    labels: list[dict[str, Any]] = []
    people = dataset.instances
    for image_id, bbox, score, pose in zip(
        people.image_id.tolist(), people.bboxes, people.bbox_scores, poses, strict=True
    ):
        is_labeled = pose[:, 2] >= keypoint_threshold
        is_sure = np.sort(pose[:, 2])[-BEST:].mean() >= person_threshold
        if not is_sure or is_labeled.sum() < min(MIN_KEYPOINTS, len(pose)):
            continue
        keypoints = np.column_stack([pose[:, :2], np.full(len(pose), 2)]) * is_labeled[:, None]
        labels.append(
            {
                "id": len(labels) + 1,
                "image_id": image_id,
                "category_id": category_id,
                "iscrowd": 0,
                "bbox": [round(float(x), 2) for x in bbox],
                "area": round(float(bbox[2] * bbox[3]), 1),
                "score": round(float(score), 3),
                **_as_fields(keypoints, pose[:, 2] * is_labeled),
            }
        )
    return labels


def _sizes(bboxes: np.ndarray) -> np.ndarray:
    return np.sqrt(bboxes[:, 2] * bboxes[:, 3])


def _detect(
    detector: PersonDetector, folder: Path, paths: Sequence[Path], verbose: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return COCO's entries of the images of a folder and of the persons in them.

    An image that cannot be read is left out, as a folder of many thousands may have some.
    """
    from rich.progress import track

    images, detections = [], []
    for number, path in enumerate(track(paths, "Detection", disable=not verbose), start=1):
        try:
            image = to_array(path)
        except ValueError as error:
            LOGGER.warning("left out: %s", error)
            continue
        height, width = image.shape[:2]
        name = path.relative_to(folder).as_posix()
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        (persons,) = detector.detect([image])
        for bbox, score in zip(persons.bboxes, persons.scores.tolist(), strict=True):
            clipped = clip_box(bbox, (height, width))  # as it is read again
            if clipped is not None:
                detections.append({"image_id": number, "bbox": clipped.tolist(), "score": score})
    return images, detections


def _complete(
    keypoints: np.ndarray,
    weights: np.ndarray,
    pose: np.ndarray,
    size: float,
    threshold: float,
    counts: Counter[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the keypoints (K, 3) and weights (K,) of a person."""
    scores = np.clip(pose[:, 2], 0, 1)
    near = np.linalg.norm(keypoints[:, :2] - pose[:, :2], axis=1) <= AGREES * size
    is_labeled = keypoints[:, 2] > 0
    kinds = {
        "keypoints_agreed": is_labeled & near,
        "keypoints_dropped": is_labeled & ~near & (scores > SURE),
        "keypoints_doubted": is_labeled & ~near & (scores <= SURE),
        "keypoints_added": ~is_labeled & (scores >= threshold),
    }
    agreed, dropped, doubted, added = kinds.values()
    counts.update({kind: int(chosen.sum()) for kind, chosen in kinds.items()})
    share = np.where(agreed, scores / (1 + scores), np.where(added, 1.0, 0.0))[:, None]
    points = (1 - share) * keypoints[:, :2] + share * pose[:, :2]
    visibility = np.where(added, 2, np.where(dropped, 0, keypoints[:, 2]))
    new = np.where(added, scores, np.where(doubted, np.minimum(weights, DOUBTFUL), weights))
    is_kept = visibility > 0
    return np.column_stack([points, visibility]) * is_kept[:, None], new * is_kept


def _as_fields(keypoints: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Return the fields of an annotation: keypoints (K, 3) and their weights (K,)."""
    rows = [[round(float(x), 2), round(float(y), 2), int(v)] for x, y, v in keypoints]
    return {
        "keypoints": [number for row in rows for number in row],
        "keypoint_scores": [round(float(score), 3) for score in np.clip(scores, 0, 1)],
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
    }


def _category(skeleton: Skeleton) -> dict[str, Any]:
    return {"id": 1, "name": "person", "keypoints": list(skeleton.keypoint_names)}


def _info(models: Sequence[Any]) -> dict[str, Any]:
    names = [Path(model).name if isinstance(model, str | Path) else str(model) for model in models]
    return {"description": f"keypoints predicted by {', '.join(names)}", "date": str(date.today())}
