"""Images with boxes and their files: the datasets of the detection pipeline."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from keras_shufflenet._checks import check_bool, check_names
from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.data.annotated_files import (
    Folder,
    check_image_sizes,
    pair_with_folders,
    resolve_image_files,
)
from keras_shufflenet.data.tfds_source import opened
from keras_shufflenet.detection import coco_classes
from keras_shufflenet.detection.coco_boxes import COCOBox, COCOBoxes
from keras_shufflenet.keypoints.coco_file import CROWD, DUPLICATE, OTHER_CATEGORY, OUTSIDE

THIN = "with a box thinner than a pixel"
MIN_SIZE = 1.0  # pixels of width and height inside of the image, as in NanoDet
_NAMED = 5  # classes that a message names


@dataclass(frozen=True, eq=False)
class DetectionDataset:
    """N images with their boxes.

    Attributes:
        class_names: Names of the classes.
        paths: (N,) strings, the image files.
        image_sizes: (N, 2) int64 as (height, width) in pixels.
        boxes: For each image (n, 4) float64: left, top, right and bottom in pixels, inside of the
            image.
        labels: For each image (n,) int64, indices of the classes.
        report: How many boxes of the annotation files were read, and which were left out and why.
    """

    class_names: tuple[str, ...]
    paths: np.ndarray
    image_sizes: np.ndarray
    boxes: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]
    report: ReadReport

    def __len__(self) -> int:
        """Return N."""
        return len(self.paths)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of batches that contain every image."""
        return ceil(len(self) / batch_size)

    def select(self, rows: np.ndarray | slice) -> "DetectionDataset":
        """Return the images of some rows, given as indices, a mask or a slice."""
        index = np.arange(len(self))[rows]
        return DetectionDataset(
            self.class_names,
            self.paths[index],
            self.image_sizes[index],
            tuple(self.boxes[row] for row in index),
            tuple(self.labels[row] for row in index),
            self.report,
        )


def load_detection_dataset(
    annotations: Any,
    image_dir: Folder | Sequence[Folder] = None,
    *,
    class_names: Sequence[str] | None = None,
    filter_empty_images: bool = False,
) -> DetectionDataset:
    """Read the boxes of COCO files and resolve their image paths.

    Boxes are clipped to their image. Crowds, boxes of other categories, repeated ones, and those
    of which less than a pixel is inside of the image are left out.

    Args:
        annotations: A COCO json with boxes (path, content or a `detection.COCOBoxes`), a dataset of
            `data.tfds` or its name ("tfds:coco/2017:train"), or a list of them to concatenate.
            Annotations need no keypoints.
        image_dir: Image folder, or a list with one for each annotation file; None for datasets of
            tfds.
        class_names: Names of the classes, which categories go by, without regard to case, spaces
            and punctuation. Defaults to the 80 of COCO.
        filter_empty_images: Whether images without a box are left out. If False, they are examples
            of images with nothing to be found.

    Returns:
        The images in the order of the files. `report` says what was left out.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file is malformed or has none of the classes, no box remains, or the
            numbers of annotation files and image folders differ.
    """
    check_bool("filter_empty_images", filter_empty_images)
    names: tuple[str, ...] = coco_classes.NAMES
    if class_names is not None:
        names = check_names("class_names", class_names, "a list of names")
    pairs = pair_with_folders(annotations, image_dir)
    parts = [_read(opened(file), folder, names, filter_empty_images) for file, folder in pairs]
    return DetectionDataset(
        names,
        np.concatenate([part.paths for part in parts]),
        np.concatenate([part.image_sizes for part in parts]),
        tuple(boxes for part in parts for boxes in part.boxes),
        tuple(labels for part in parts for labels in part.labels),
        ReadReport.merge(part.report for part in parts),
    )


def _read(
    annotations: Any, folder: Folder, names: tuple[str, ...], filter_empty: bool
) -> DetectionDataset:
    file = annotations if isinstance(annotations, COCOBoxes) else COCOBoxes(annotations)
    label_of = {category_id: label for label, category_id in file.classes(names).items()}
    left_out = Counter[str]()
    found: dict[int, dict[bytes, tuple[np.ndarray, int]]] = {
        image_id: {} for image_id in file.images
    }
    for box in file.boxes:
        reason, corners = _check(box, label_of, file)
        label = label_of.get(box.category_id, -1)
        key = corners.tobytes() + bytes(str(label), "ascii")
        if not reason and key in found[box.image_id]:
            reason = DUPLICATE
        if reason:
            left_out[reason] += 1
        else:
            found[box.image_id][key] = corners, label
    empty = sum(not boxes for boxes in found.values())
    report = _report(file, left_out, empty, filter_empty)
    if empty == len(found):
        raise ValueError(
            f"{file.place} must have at least one box (iscrowd 0) of the classes "
            f"{', '.join(map(repr, names[:_NAMED]))}{', …' if len(names) > _NAMED else ''} inside "
            f"of its image; none remains. Received: {len(file.images)} images, {len(file.boxes)} "
            f"boxes{report.remarks}"
        )
    report.log()
    kept = {
        image_id: list(boxes.values())
        for image_id, boxes in found.items()
        if boxes or not filter_empty
    }
    images = [file.images[image_id] for image_id in kept]
    paths = resolve_image_files([image.file_name for image in images], folder, file.place)
    sizes = np.array([image.size for image in images], np.int64)
    check_image_sizes(paths, sizes)
    return DetectionDataset(
        names,
        np.array(paths),
        sizes,
        tuple(np.reshape([box for box, _ in boxes], (-1, 4)) for boxes in kept.values()),
        tuple(np.array([label for _, label in boxes], np.int64) for boxes in kept.values()),
        report,
    )


def _check(box: COCOBox, label_of: dict[int, int], file: COCOBoxes) -> tuple[str, np.ndarray]:
    """Return why a box is left out, or nothing, and its corners clipped to the image."""
    height, width = file.images[box.image_id].size
    corners = np.concatenate([box.bbox[:2], box.bbox[:2] + box.bbox[2:]])
    clipped = np.clip(corners, 0, (width, height, width, height))
    sides = clipped[2:] - clipped[:2]
    reasons = {
        OTHER_CATEGORY: box.category_id not in label_of,
        CROWD: box.iscrowd,
        THIN: box.bbox[2:].min() < MIN_SIZE,
        OUTSIDE: sides.min() < MIN_SIZE,
    }
    return next((reason for reason, applies in reasons.items() if applies), ""), clipped


def _report(file: COCOBoxes, left_out: Counter[str], empty: int, filter_empty: bool) -> ReadReport:
    without = (
        f", {empty} without a box {'left out' if filter_empty else 'as negatives'}" if empty else ""
    )
    return ReadReport(
        f"{file.place} ({len(file.images)} images{without})",
        len(file.boxes),
        dict(left_out),
        frozenset(left_out) - {CROWD},
        "boxes",
    )
