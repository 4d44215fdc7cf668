"""Tracking metrics: CLEAR MOT (misses, false positives, identity switches, MOTA) and IDF1.

Sources: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT
Metrics", 2008; Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera
Tracking", arXiv 1609.01775.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_shufflenet.detection.decoding import iou
from keras_shufflenet.inference.tracking import assign

IOU_THRESHOLD = 0.5


class TrackedBoxes(NamedTuple):
    """The N persons of a frame, annotated or tracked.

    Attributes:
        ids: (N,), the id of each person, unique in the frame.
        boxes: (N, 4): left, top, right and bottom in pixels.
    """

    ids: ArrayLike
    boxes: ArrayLike


class TrackingMetrics(NamedTuple):
    """How well tracks follow the annotated persons.

    Attributes:
        mota: 1 minus misses, false positives and switches, relative to the annotated persons.
        idf1: F1 score of the persons that have the right id, 0..1, with the best mapping from ids
            of tracks to annotated ids.
        id_switches: How often a person got another id than it had before.
        misses: Annotated persons without a track, in all frames.
        false_positives: Tracks without an annotated person, in all frames.
        objects: Annotated persons, in all frames.
    """

    mota: float
    idf1: float
    id_switches: int
    misses: int
    false_positives: int
    objects: int


def evaluate_tracking(
    frames: Iterable[tuple[TrackedBoxes, TrackedBoxes]], iou_threshold: float = IOU_THRESHOLD
) -> TrackingMetrics:
    """Compare tracks with annotations.

    Args:
        frames: For each frame the annotated and the tracked persons.
        iou_threshold: Minimum IoU of an annotated and a tracked person that match.

    Returns:
        The metrics.

    Raises:
        ValueError: If no person is annotated.
    """
    last: dict[int, int] = {}  # the track that each annotated person had last
    pairs: Counter[tuple[int, int]] = Counter()  # frames in which both overlap
    objects, tracked, matched, switches = 0, 0, 0, 0
    for annotated, found in frames:
        overlaps, true_ids, ids = _overlaps(annotated, found, iou_threshold)
        objects, tracked = objects + len(true_ids), tracked + len(ids)
        pairs.update((true_ids[row], ids[column]) for row, column in np.argwhere(overlaps > 0))
        for row, column in _match(overlaps, true_ids, ids, last):
            person, track = true_ids[row], ids[column]
            matched += 1
            switches += last.get(person, track) != track
            last[person] = track
    if not objects:
        raise ValueError("`frames` must have at least one annotated person. Received: none")
    misses, false_positives = objects - matched, tracked - matched
    return TrackingMetrics(
        mota=1 - (misses + false_positives + switches) / objects,
        idf1=2 * _most_identified(pairs) / (objects + tracked),
        id_switches=switches,
        misses=misses,
        false_positives=false_positives,
        objects=objects,
    )


def _overlaps(
    annotated: TrackedBoxes, found: TrackedBoxes, threshold: float
) -> tuple[NDArray[np.float64], list[int], list[int]]:
    """Return the IoU of every pair, 0 below the threshold, and the ids of both."""
    truth, boxes = (
        np.asarray(each.boxes, np.float64).reshape(-1, 4) for each in (annotated, found)
    )
    true_ids, ids = (np.asarray(each.ids, np.int64).tolist() for each in (annotated, found))
    overlaps = np.array([iou(box, boxes) for box in truth]).reshape(len(truth), len(boxes))
    return np.where(overlaps >= threshold, overlaps, 0), true_ids, ids


def _match(
    overlaps: NDArray[np.float64], true_ids: list[int], ids: list[int], last: dict[int, int]
) -> list[tuple[int, int]]:
    """Match persons with tracks: those of the frame before first, then the best of the others."""
    column_of = {track: column for column, track in enumerate(ids)}
    kept = [
        (row, column_of[last[person]])
        for row, person in enumerate(true_ids)
        if last.get(person) in column_of and overlaps[row, column_of[last[person]]] > 0
    ]
    free = overlaps.copy()
    for row, column in kept:
        free[row], free[:, column] = 0, 0
    return kept + assign(free, 0)


def _most_identified(pairs: Counter[tuple[int, int]]) -> int:
    """Return how many pairs have the right id with the best mapping of ids."""
    if not pairs:
        return 0
    persons, tracks = (sorted(set(each)) for each in zip(*pairs, strict=True))
    counts = np.array([[pairs[person, track] for track in tracks] for person in persons])
    return sum(int(counts[pair]) for pair in assign(counts, 0))
