"""Instances with their image files: the datasets of the keypoint pipelines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.data.annotated_files import (
    Folder,
    check_image_sizes,
    pair_with_folders,
    resolve_image_files,
)
from keras_shufflenet.data.image_files import displayed_size
from keras_shufflenet.data.tfds_source import is_mpii, opened
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.annotations import PoseInstances
from keras_shufflenet.keypoints.coco_file import COCOFile
from keras_shufflenet.keypoints.coco_reader import read_coco, read_detections
from keras_shufflenet.keypoints.mpii import is_mpii_json, read_mpii
from keras_shufflenet.keypoints.skeletons import MPII, Skeleton, SkeletonLike


@dataclass(frozen=True, eq=False)
class KeypointDataset:
    """N instances and their image files.

    Attributes:
        instances: Annotations or detections, with all image sizes.
        paths: (N,) strings, the image file of each instance.
    """

    instances: PoseInstances
    paths: np.ndarray

    def __len__(self) -> int:
        """Return N."""
        return len(self.instances)

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton of the instances."""
        return self.instances.skeleton

    @property
    def report(self) -> ReadReport:
        """How many entries of the annotation files were read, and which were left out and why."""
        return self.instances.report

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of batches that contain every instance."""
        return ceil(len(self) / batch_size)

    def select(self, rows: np.ndarray | slice) -> "KeypointDataset":
        """Return the instances of some rows, given as indices, a mask or a slice."""
        return KeypointDataset(self.instances.select(rows), self.paths[rows])


def load_keypoint_dataset(
    annotations: Any,
    image_dir: Folder | Sequence[Folder] = None,
    *,
    skeleton: SkeletonLike | None = None,
    category: str | int | None = None,
    detections: Any = None,
    score_threshold: float = 0.0,
) -> KeypointDataset:
    """Read the instances of COCO files and resolve their image paths.

    Args:
        annotations: A COCO keypoint file (path, content or a `keypoints.COCOFile`), an MPII json as
            mmpose has it, a dataset of `data.tfds` or its name ("tfds:coco_keypoints:train"), or a
            list of them to concatenate.
        image_dir: Image folder, or a list with one for each annotation file; None for datasets of
            tfds.
        skeleton: Keypoints of the annotation files, which may have them in another order. Defaults
            to those of the category in the first file, or COCO's if it names none.
        category: Name or id of the category to be read; by default the only one with annotations.
        detections: Bounding boxes of a detector (path or content) to use instead of the annotated
            ones; only with a single annotation file.
        score_threshold: Detections below this score are left out.

    Returns:
        The instances with their image files. `report` says what was left out.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file is malformed, has several categories or other keypoints, no instances
            remain, or the numbers of annotation files and image folders differ.
    """
    pairs = pair_with_folders(annotations, image_dir)
    files, folders = [opened(file) for file, _ in pairs], [folder for _, folder in pairs]
    if any(_has_mpii(file) for file in files):
        return _load_mpii(files, folders, skeleton, detections)
    files[0] = COCOFile.open(files[0], category, skeleton)
    skeleton = files[0].skeleton
    if detections is None:
        return _concatenate(_read_once(files, folders, skeleton, category))
    if len(files) > 1:
        raise ValueError(
            "`annotations` must be a single file if `detections` are given. "
            f"Received: {len(files)} annotation files"
        )
    found = read_detections(detections, files[0], score_threshold, skeleton, category)
    return _concatenate([resolve_image_paths(found, folders[0])])


def _read_once(
    files: list[Any], folders: list[Folder], skeleton: SkeletonLike, category: str | int | None
) -> list[KeypointDataset]:
    """Read files with their folders, those that are given several times only once."""
    read: dict[tuple[Any, Any], KeypointDataset] = {}
    keys = []
    for file, folder in zip(files, folders, strict=True):
        keys.append((str(file) if isinstance(file, str | Path) else id(file), str(folder)))
        if keys[-1] not in read:
            read[keys[-1]] = resolve_image_paths(read_coco(file, skeleton, category), folder)
    return [read[key] for key in keys]


def resolve_image_paths(instances: PoseInstances, image_dir: Folder) -> KeypointDataset:
    """Find the image files of instances.

    Args:
        instances: Instances, as from `keypoints.read_mpii`; image sizes that are not known are
            read from the files.
        image_dir: Image folder; None for images in records.

    Returns:
        The instances with their image files.

    Raises:
        FileNotFoundError: If images do not exist.
        ValueError: If an image has another size than the annotations state. A few images are
            checked here, and all when they are read.
    """
    names, index = np.unique(instances.file_name, return_inverse=True)
    paths = resolve_image_files(names.tolist(), image_dir, instances.report.source)
    unknown = np.flatnonzero((instances.image_size <= 0).any(axis=1))
    if len(unknown):
        sizes = instances.image_size.copy()
        sizes[unknown] = [displayed_size(paths[image]) for image in index[unknown]]
        instances = replace(instances, image_size=sizes)
    first = np.unique(index, return_index=True)[1]
    check_image_sizes(paths, instances.image_size[first])
    return KeypointDataset(instances, np.array(paths)[index])


def _has_mpii(source: Any) -> bool:
    return is_mpii(source) or is_mpii_json(source)


def _load_mpii(
    files: list[Any], folders: list[Folder], skeleton: SkeletonLike | None, detections: Any
) -> KeypointDataset:
    names = MPII.keypoint_names if skeleton is None else skeletons.get(skeleton).keypoint_names
    if names != MPII.keypoint_names or detections is not None or not all(map(_has_mpii, files)):
        raise ValueError(
            "Persons of MPII must be read without those of other keypoints and without "
            f"`detections`. Received: {', '.join(map(str, files))}, skeleton={skeleton!r}, "
            f"detections={detections!r}"
        )
    return _concatenate(
        [
            resolve_image_paths(read_mpii(file), folder)
            for file, folder in zip(files, folders, strict=True)
        ]
    )


def _concatenate(parts: list[KeypointDataset]) -> KeypointDataset:
    instances = PoseInstances.concatenate(part.instances for part in parts)
    return KeypointDataset(instances, np.concatenate([part.paths for part in parts]))
