"""PoseInstances in photographs: what the keypoint pipelines draw their samples from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.annotations import PoseInstances
from keras_shufflenet.keypoints.coco import read_coco, read_detections
from keras_shufflenet.keypoints.skeletons import Skeleton

Folder = str | Path


@dataclass(frozen=True, eq=False)
class KeypointDataset:
    """N people and the files that show them.

    Attributes:
        instances: the annotations or detections; every image size is known.
        paths: (N,) strings, the image file of each person.
    """

    instances: PoseInstances
    paths: np.ndarray

    def __len__(self) -> int:
        """Return N."""
        return len(self.instances)

    @property
    def skeleton(self) -> Skeleton:
        """What the keypoints are."""
        return self.instances.skeleton

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the least number of batches that hold every person."""
        return ceil(len(self) / batch_size)

    def select(self, rows: np.ndarray | slice) -> "KeypointDataset":
        """Return the samples of some rows: indices, a mask or a slice."""
        return KeypointDataset(self.instances.select(rows), self.paths[rows])


def load_keypoint_dataset(
    annotations: Any,
    image_dir: Folder | Sequence[Folder],
    *,
    skeleton: str | Skeleton = "coco",
    detections: Any = None,
    score_threshold: float = 0.0,
) -> KeypointDataset:
    """Read the people of COCO files and find their images.

    Args:
        annotations: a COCO keypoint json (path or content), or a list of them to be joined.
        image_dir: the folder of the images, or a list with one folder for each annotation file.
        skeleton: the keypoints of the files.
        detections: a detector's boxes (path or content) to be used instead of the annotated
            people; for a single annotation file.
        score_threshold: detections below this score are left out.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file does not hold what it should, nobody is left, or lists do not match.
    """
    skeleton = skeletons.get(skeleton)
    files = list(annotations) if isinstance(annotations, list | tuple) else [annotations]
    folders = [image_dir] * len(files) if isinstance(image_dir, str | Path) else list(image_dir)
    if not files or len(folders) != len(files):
        raise ValueError(
            "images is one folder, or a list with a folder for each annotation file. "
            f"Received: {len(files)} annotation files, {len(folders)} folders"
        )
    if detections is None:
        groups = [read_coco(file, skeleton) for file in files]
    elif len(files) == 1:
        groups = [read_detections(detections, files[0], score_threshold, skeleton)]
    else:
        raise ValueError(
            f"detections go with one annotation file. Received: {len(files)} annotation files"
        )
    return _join(
        [resolve_image_paths(group, folder) for group, folder in zip(groups, folders, strict=True)]
    )


def resolve_image_paths(people: PoseInstances, image_dir: Folder) -> KeypointDataset:
    """Pair people with their image files.

    Args:
        people: from the readers of `keypoints`; sizes that are not known are read from the files.
        image_dir: of the images.

    Raises:
        FileNotFoundError: images are missing.
    """
    names, index = np.unique(people.file_name, return_inverse=True)
    paths = [str(Path(image_dir) / name) for name in names]
    missing = [path for path in paths if not Path(path).is_file()]
    if missing:
        raise FileNotFoundError(
            f"Every image of the annotations must be in {image_dir}. "
            f"Received: {len(missing)} of {len(paths)} are missing, the first is {missing[0]}"
        )
    unknown = np.flatnonzero((people.image_size <= 0).any(axis=1))
    if len(unknown):
        sizes = people.image_size.copy()
        sizes[unknown] = [_image_size(paths[image]) for image in index[unknown]]
        people = replace(people, image_size=sizes)
    return KeypointDataset(people, np.array(paths)[index])


def _image_size(path: str) -> tuple[int, int]:
    """Return the (height, width) that a file's header says."""
    with Image.open(path) as image:
        return image.height, image.width


def _join(parts: list[KeypointDataset]) -> KeypointDataset:
    if len(parts) == 1:
        return parts[0]
    columns = [
        np.concatenate([getattr(part.instances, field.name) for part in parts])
        for field in fields(PoseInstances)[1:]
    ]
    return KeypointDataset(
        PoseInstances(parts[0].skeleton, *columns), np.concatenate([part.paths for part in parts])
    )
