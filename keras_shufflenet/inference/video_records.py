"""The persons and objects of videos as json and csv files, written frame by frame."""

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np

from keras_shufflenet.detection.decoding import Detections
from keras_shufflenet.inference.pose import Poses
from keras_shufflenet.inference.predictions import (
    CSV_NAME,
    DIGITS,
    FILE_NAME,
    JSON_NAME,
    detection_records,
    flatten,
    pose_records,
)
from keras_shufflenet.inference.video import TrackedPoses
from keras_shufflenet.inference.video_reader import Frame
from keras_shufflenet.keypoints.skeletons import Skeleton

FRAME_FIELDS = ("frame", "time")
TRACK_ID = "track_id"


class VideoRecords:
    """Writes `predictions.json` and `predictions.csv`, with the records of each frame.

    Both are written beside their paths and renamed when the `with` statement ends, also by Ctrl-C;
    after any other error they are removed. A video of hours needs no more memory than a short one.

    Attributes:
        paths: The two files.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        """Open the files.

        Args:
            folder: An existing folder.
            columns: Those of the csv: `track_columns` or `object_columns`.
        """
        self.paths = [folder / JSON_NAME, folder / CSV_NAME]
        self._partial = [path.with_name(f".{os.getpid()}-{path.name}") for path in self.paths]
        self._json, self._csv = (
            path.open("w", newline="", encoding="utf-8") for path in self._partial
        )
        self._rows = csv.DictWriter(self._csv, columns)
        self._rows.writeheader()
        self._json.write("[")
        self._separator = "\n"

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write the records of a frame: those of `track_records` or `object_records`."""
        for record in records:
            self._json.write(self._separator + json.dumps(record, ensure_ascii=False))
            self._separator = ",\n"
            self._rows.writerow(flatten(record))

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Complete the files, or remove them after an error."""
        files: tuple[TextIO, ...] = (self._json, self._csv)
        try:
            if kind is None or issubclass(kind, (KeyboardInterrupt, SystemExit)):
                self._json.write("\n]\n")
                for file, partial, path in zip(files, self._partial, self.paths, strict=True):
                    file.close()
                    os.replace(partial, path)
        finally:
            for file, partial in zip(files, self._partial, strict=True):
                file.close()
                partial.unlink(missing_ok=True)


def track_records(file_name: str, poses: TrackedPoses, skeleton: Skeleton) -> list[dict[str, Any]]:
    """Return a record for each person of a frame.

    Args:
        file_name: Name of the video.
        poses: The persons.
        skeleton: The keypoints.

    Returns:
        The records of `pose_records`, with `frame`, `time` in seconds and `track_id`.
    """
    persons = Poses(poses.keypoints, poses.bboxes, poses.scores)
    records = pose_records(file_name, persons, skeleton)
    place = _place(file_name, poses.frame_id, poses.time)
    return [
        {**place, TRACK_ID: track_id, **record}
        for track_id, record in zip(poses.track_ids.tolist(), records, strict=True)
    ]


def track_columns(skeleton: Skeleton) -> list[str]:
    """Return the columns of `track_records` in a csv."""
    keypoints = np.zeros((1, len(skeleton), 3))
    person = TrackedPoses(0, 0.0, keypoints, np.zeros((1, 4)), np.zeros(1), np.ones(1, int), True)
    (record,) = track_records("", person, skeleton)
    return list(flatten(record))


def object_records(
    file_name: str, frame: Frame, detections: Detections, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a record for each object of a frame.

    Args:
        file_name: Name of the video.
        frame: The frame.
        detections: Boxes in pixels.
        class_names: Names of the classes.

    Returns:
        The records of `detection_records`, with `frame` and `time` in seconds.
    """
    place = _place(file_name, frame.frame_id, frame.time)
    return [place | record for record in detection_records(file_name, detections, class_names)]


def object_columns() -> list[str]:
    """Return the columns of `object_records` in a csv."""
    found = Detections(np.zeros((1, 4)), np.zeros(1), np.zeros(1, int))
    (record,) = object_records("", Frame(0, 0.0, np.zeros((1, 1, 3), np.uint8)), found, [""])
    return list(flatten(record))


def _place(file_name: str, frame_id: int, time: float) -> dict[str, Any]:
    values = (frame_id, round(time, DIGITS))
    return {FILE_NAME: file_name, **dict(zip(FRAME_FIELDS, values, strict=True))}
