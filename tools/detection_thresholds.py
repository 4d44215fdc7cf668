"""Precision, recall and F1 of a detector at thresholds of the score and of the suppression.

They tell which thresholds suit pictures, where a false box is as bad as a missing one::

    python tools/detection_thresholds.py nanodet_plus_m_416 --annotations val.json \
        --image-dir val2017 --results-csv results/detection_thresholds.csv

A box is right if its IoU with an annotated box is at least 0.5. As in COCO's AP, each annotated box
counts once, boxes in crowds are ignored, and so are objects below the minimum area.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet._results import append_row
from keras_shufflenet.data.annotated_files import resolve_image_files
from keras_shufflenet.detection import COCOBoxes
from keras_shufflenet.detection.decoding import iou, nms
from keras_shufflenet.inference import Detector

MATCH = 0.5
SCORES = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
OVERLAPS = (0.3, 0.4, 0.5, 0.6, 0.7)
AREAS = (0, 32**2)  # square pixels; below the second, COCO calls objects small
FEWEST = min(SCORES)


class Counts(NamedTuple):
    """What became of the boxes of an image.

    Attributes:
        scores: Scores (D,) of the boxes that count.
        right: Whether each is right (D,).
        objects: Number of annotated objects.
    """

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    objects: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        arguments: Command-line arguments. Defaults to those of the process.
    """
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("model", help="a .keras or .tflite file, or the name of a published model")
    parser.add_argument("--annotations", type=Path, required=True, help="COCO json of boxes")
    parser.add_argument("--image-dir", type=Path, required=True, help="folder of its images")
    parser.add_argument("--category", default="person")
    parser.add_argument("--results-csv", type=Path, help="csv file to append the metrics to")
    options = parser.parse_args(arguments)
    detector = Detector.load(options.model, score_threshold=FEWEST, iou_threshold=1.0)
    detector = replace(detector.of_category(options.category), max_detections=10**6)
    file = COCOBoxes(options.annotations, options.category)
    names = [image.file_name for image in file.images.values()]
    paths = resolve_image_files(names, options.image_dir, file.place)
    found = [detector.detect([path])[0] for path in paths]
    for area in AREAS:
        for overlap in OVERLAPS:
            counts = []
            for image_id, (boxes, scores, _) in zip(file.images, found, strict=True):
                kept = nms(boxes, scores, overlap)
                truth = [each for each in file.boxes if each.image_id == image_id]
                corners = np.array([[*b[:2], *(b[:2] + b[2:])] for _, _, b, _, _ in truth])
                ignored = np.array([each.iscrowd or each.area < area for each in truth], bool)
                crowds = np.array([each.iscrowd for each in truth], bool)
                counts.append(
                    count_right(boxes[kept], scores[kept], corners, ignored, crowds, area)
                )
            for score in SCORES:
                row = {
                    **{"model": Path(options.model).name, "data": options.annotations.name},
                    **{"min_area": area, "iou_threshold": overlap, "score_threshold": score},
                    **summarize(counts, score),
                }
                print("  ".join(f"{key} {value}" for key, value in list(row.items())[2:]))
                if options.results_csv is not None:
                    append_row(options.results_csv, row, "python tools/detection_thresholds.py")


def count_right(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    truth: NDArray[np.float64],
    ignored: NDArray[np.bool_],
    crowds: NDArray[np.bool_],
    min_area: float = 0,
) -> Counts:
    """Match the boxes of an image, best first, with the annotated boxes.

    Args:
        boxes: (D, 4): left, top, right, bottom, in the order of their scores.
        scores: (D,).
        truth: (T, 4), in the same form.
        ignored: Which of them (T,) neither count nor make a box wrong.
        crowds: Which of them (T,) are groups: boxes inside of these are ignored.
        min_area: Boxes that match nothing count from this area on, in square pixels.
    """
    free = ~crowds
    right, counted = np.zeros(len(boxes), bool), np.ones(len(boxes), bool)
    for row, box in enumerate(boxes):
        overlaps = np.where(free, iou(box, truth.reshape(-1, 4)), 0)
        area = (box[2:] - box[:2]).prod()
        if overlaps.max(initial=0) >= MATCH:
            best = int(overlaps.argmax())
            free[best], right[row], counted[row] = False, True, not ignored[best]
        else:
            counted[row] = area >= min_area and not _is_in(box, truth.reshape(-1, 4)[crowds])
    return Counts(scores[counted], right[counted], int((~ignored).sum()))


def _is_in(box: NDArray[np.float64], crowds: NDArray[np.float64]) -> bool:
    """Return whether at least half of a box is in a crowd."""
    sides = np.minimum(box[2:], crowds[:, 2:]) - np.maximum(box[:2], crowds[:, :2])
    shared = np.maximum(sides, 0).prod(-1)
    return bool((shared >= MATCH * (box[2:] - box[:2]).prod()).any())


def summarize(counts: Sequence[Counts], score_threshold: float) -> dict[str, float]:
    """Return precision, recall and F1 of all images at a threshold of the score."""
    right = sum(int(each.right[each.scores >= score_threshold].sum()) for each in counts)
    boxes = sum(int((each.scores >= score_threshold).sum()) for each in counts)
    objects = sum(each.objects for each in counts)
    return {
        "precision": round(right / max(1, boxes), 4),
        "recall": round(right / max(1, objects), 4),
        "f1": round(2 * right / max(1, boxes + objects), 4),
    }


if __name__ == "__main__":
    main()
