"""Predictions as json and csv files."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_shufflenet._files import atomic_write
from keras_shufflenet.detection.decoding import Detections
from keras_shufflenet.keypoints.skeletons import Skeleton

if TYPE_CHECKING:
    from keras_shufflenet.inference.pose import Poses

JSON_NAME = "predictions.json"
CSV_NAME = "predictions.csv"
FILE_NAME = "file_name"  # the only column of a csv without records
DIGITS = 4  # after the point


def save_predictions(records: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write predictions to `predictions.json` and `predictions.csv`.

    Args:
        records: One mapping per prediction, with the name of its image: text, numbers, and mappings
            or lists of numbers, which become a column each in the csv.
        folder: An existing folder.

    Returns:
        The paths of the two files.
    """
    json_path, csv_path = folder / JSON_NAME, folder / CSV_NAME
    text = json.dumps(list(records), indent=1, ensure_ascii=False)
    atomic_write(json_path, lambda partial: partial.write_text(text, encoding="utf-8"))
    atomic_write(csv_path, lambda partial: _write_csv(records, partial))
    return [json_path, csv_path]


def class_record(file_name: str, classes: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return the record of a classified image: its most probable classes, best first."""
    return {
        FILE_NAME: file_name,
        "classes": [name for name, _ in classes],
        "scores": [round(score, DIGITS + 2) for _, score in classes],
    }


def detection_records(
    file_name: str, detections: Detections, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a record for each object of an image.

    Args:
        file_name: Name of the image.
        detections: Boxes in pixels.
        class_names: Names of the classes.

    Returns:
        Records with `file_name`, `category`, `score` and `bbox` [x, y, width, height].
    """
    return [
        {
            FILE_NAME: file_name,
            "category": class_names[number],
            "score": round(float(score), DIGITS),
            "bbox": np.round([*box[:2], *(box[2:] - box[:2])], DIGITS).tolist(),
        }
        for box, score, number in zip(*detections, strict=True)
    ]


def pose_records(file_name: str, poses: "Poses", skeleton: Skeleton) -> list[dict[str, Any]]:
    """Return a record for each person of an image.

    Args:
        file_name: Name of the image.
        poses: The persons.
        skeleton: The keypoints.

    Returns:
        Records with `file_name`, `bbox` [x, y, width, height], `bbox_score` (the detector's),
        `score` (the mean of the keypoints' scores) and `keypoints` {name: [x, y, score]}.
    """
    return [
        {
            FILE_NAME: file_name,
            "bbox": np.round(bbox, DIGITS).tolist(),
            "bbox_score": round(float(bbox_score), DIGITS),
            "score": round(float(pose[:, 2].mean()), DIGITS),
            "keypoints": {
                name: np.round(point, DIGITS).tolist()
                for name, point in zip(skeleton.keypoint_names, pose, strict=True)
            },
        }
        for pose, bbox, bbox_score in zip(*poses, strict=True)
    ]


def _write_csv(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    rows = [flatten(record) for record in records]
    columns = dict.fromkeys([FILE_NAME, *(column for row in rows for column in row)])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def flatten(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row whose columns are named like bbox_0 or nose_x."""
    row: dict[str, Any] = {}
    for name, value in record.items():
        if name == "keypoints":
            for keypoint, numbers in value.items():
                axes = ("x", "y", "score")
                row |= {f"{keypoint}_{axis}": n for axis, n in zip(axes, numbers, strict=True)}
        elif name == "bbox":
            fields = ("x", "y", "width", "height")
            row |= {f"bbox_{field}": n for field, n in zip(fields, value, strict=True)}
        elif isinstance(value, list):
            row |= {f"{name}_{index}": entry for index, entry in enumerate(value, start=1)}
        else:
            row[name] = value
    return row
