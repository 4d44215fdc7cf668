"""The persons of videos as json and csv files, written frame by frame."""

import csv
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from keras_shufflenet.inference.pose import Poses
from keras_shufflenet.inference.predictions import (
    CSV_NAME,
    DIGITS,
    FILE_NAME,
    JSON_NAME,
    flatten,
    pose_records,
)
from keras_shufflenet.inference.video import TrackedPoses
from keras_shufflenet.keypoints.skeletons import Skeleton

FIELDS = ("frame", "time", "track_id")


class VideoRecords:
    """Writes `predictions.json` and `predictions.csv` with a record for each person of each frame.

    Both are written beside their paths and renamed when the `with` statement ends, also by Ctrl-C;
    after any other error they are removed. A video of hours needs no more memory than a short one.

    Attributes:
        paths: The two files.
    """

    def __init__(self, folder: Path, skeleton: Skeleton) -> None:
        """Open the files.

        Args:
            folder: An existing folder.
            skeleton: The keypoints.
        """
        self.paths = [folder / JSON_NAME, folder / CSV_NAME]
        self._skeleton = skeleton
        self._partial = [path.with_name(f".{os.getpid()}-{path.name}") for path in self.paths]
        self._json, self._csv = (
            path.open("w", newline="", encoding="utf-8") for path in self._partial
        )
        point = [0.0, 0.0, 0.0]
        keypoints = dict.fromkeys(skeleton.keypoint_names, point)
        boxes = {"bbox": [*point, 0.0], "bbox_score": 0.0, "score": 0.0, "keypoints": keypoints}
        columns = flatten(dict.fromkeys((FILE_NAME, *FIELDS), 0) | boxes)
        self._rows = csv.DictWriter(self._csv, list(columns))
        self._rows.writeheader()
        self._json.write("[")
        self._separator = "\n"

    def write(self, file_name: str, poses: TrackedPoses) -> None:
        """Write the persons of a frame.

        Args:
            file_name: Name of the video.
            poses: The persons.
        """
        persons = Poses(poses.keypoints, poses.bboxes, poses.scores)
        records = pose_records(file_name, persons, self._skeleton)
        for track_id, record in zip(poses.track_ids.tolist(), records, strict=True):
            values = (poses.frame_id, round(poses.time, DIGITS), track_id)
            full: dict[str, Any] = {
                FILE_NAME: file_name,
                **dict(zip(FIELDS, values, strict=True)),
                **record,
            }
            self._json.write(self._separator + json.dumps(full, ensure_ascii=False))
            self._separator = ",\n"
            self._rows.writerow(flatten(full))

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
