"""COCO keypoint files, checked as a whole, so that every file that is read can be evaluated.

Format: https://cocodataset.org/#format-data. Rules on what is read: mmpose v0.29.
"""

from collections import Counter
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.annotations import MAX_COORDINATE, JSONObject, read_json
from keras_shufflenet.keypoints.boxes import clip_box
from keras_shufflenet.keypoints.coco_categories import (
    COCOCategory,
    choose_category,
    keypoint_order,
    read_categories,
)
from keras_shufflenet.keypoints.coco_fields import (
    are_at_origin,
    are_far_outside,
    category_ids,
    check_id,
    counts_keypoints,
    length,
    listed_image_id,
    read_area,
    read_box,
    read_images,
)
from keras_shufflenet.keypoints.skeleton_files import add_sigmas, category_skeleton
from keras_shufflenet.keypoints.skeletons import SkeletonLike

# Reasons to leave out an annotation, in the words of `ReadReport`.
CROWD, UNLABELED = "crowd", "without keypoints"
COUNT_0 = "with labeled keypoints but num_keypoints 0"
FAR, ORIGIN = "with keypoints far outside of the image", "with all labeled keypoints at (0, 0)"
NO_AREA, OUTSIDE = "with a box of no area", "with a box outside of the image"
DUPLICATE, OTHER_CATEGORY = "repeated", "of other categories"
EXPECTED = {CROWD, UNLABELED}
# What is replaced.
BOX = "with a box of no area (taken from the keypoints)"
NO_BOX = "without a box (taken from the keypoints)"
AREA = "with an area of 0 (taken from the box)"

Source = str | Path | Mapping[str, Any]


class COCOPerson(NamedTuple):
    """An annotation of the category that is read.

    Attributes:
        position: Index in the file's annotations.
        image_id: Id of a listed image.
        bbox: (4,) float64 as (x, y, width, height).
        clipped_bbox: The same, clipped to the image; 0 if it is outside.
        area: Square pixels.
        keypoints: (K, 3) float64 as (x, y, visibility), in the order of the skeleton; 0 for an
            annotation without keypoints.
        keypoint_weights: (K,) float64, 0 for keypoints that are not labeled, 1 for those that are,
            or their `keypoint_scores`.
        iscrowd: Whether it is a group of persons.
        left_out: Why the annotation is not read; None for those that are read.
        changed: What was replaced.
    """

    position: int
    image_id: int
    bbox: np.ndarray
    clipped_bbox: np.ndarray
    area: float
    keypoints: np.ndarray
    keypoint_weights: np.ndarray
    iscrowd: bool
    left_out: str | None
    changed: tuple[str, ...]


class COCOFile:
    """The images and persons of a COCO keypoint file.

    - Ids may be written as 7, 7.0 or "7"; optional fields may be null.
    - Without `category_id` an annotation is of the only category, without `iscrowd` it is no
      crowd, and without `num_keypoints` its labeled keypoints are counted.
    - Without `area`, or with an area of 0, the area of the bounding box counts. A bounding box of
      no area, or none, is replaced by the extent of the labeled keypoints.
    - Annotations without keypoints are left out, and those that are there twice (equal, with the
      same id or without one) count once. Otherwise the ids of annotations do not matter.
    - `keypoint_scores`, if there, are a number of 0 to 1 for each keypoint: how sure its label is,
      as a network predicts it. It becomes the weight of the keypoint in training.
    - Coordinates lie between -100000 and 100000. Keypoints of a visibility above 0, up to 2, are
      labeled. They may lie outside of the image. A person is left out if more than half of them
      lie outside by more than the image's width or height, or if several are labeled, all at
      (0, 0).

    The log and `report` say what was left out.

    Args:
        annotations: Path of a COCO keypoint file, or its content.
        category: Name or id of the category to be read; by default the only one with annotations.
        skeleton: Keypoints to be read. If the category names its keypoints, they may be in another
            order. Defaults to those of the category, whose sigmas count if it has none.

    Attributes:
        place: Name of the file.
        skeleton: The skeleton.
        category: The category.
        images: The images by their ids.
        persons: The annotations of the category, without duplicates.
        report: How many annotations were read.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is malformed, has several categories and `category` is none of
            them, or has other keypoints than the skeleton.
    """

    def __init__(
        self,
        annotations: Source,
        category: str | int | None = None,
        skeleton: SkeletonLike | None = None,
    ) -> None:
        content, self.place = read_json(annotations, "annotations")
        root = JSONObject(content, self.place)
        self.images = read_images(root)
        entries = root.objects("annotations")
        categories = read_categories(root)
        ids = category_ids(entries, categories)
        categories = categories or [COCOCategory(id_) for id_ in sorted(set(ids)) or [1]]
        self.category = choose_category(categories, set(ids), category, self.place)
        wanted = category_skeleton(self.category) if skeleton is None else skeletons.get(skeleton)
        self._order = keypoint_order(self.category, wanted, self.place)
        self.skeleton = add_sigmas(wanted, self.category)
        indices = [index for index, id_ in enumerate(ids) if id_ == self.category.id]
        chosen = [entries[index] for index in indices]
        self._check_count(chosen)
        everyone = [
            self._person(entry, index) for entry, index in zip(chosen, indices, strict=True)
        ]
        self.persons = _without_duplicates(everyone, chosen)
        _check_pixels(self.persons, self.place)
        others = Counter({OTHER_CATEGORY: len(entries) - len(chosen)})
        others[DUPLICATE] = len(everyone) - len(self.persons)
        self.report = self._report(
            others, EXPECTED | ({OTHER_CATEGORY} if category is not None else set())
        )
        self.report.log()

    @classmethod
    def open(
        cls,
        annotations: "Source | COCOFile",
        category: str | int | None = None,
        skeleton: SkeletonLike | None = None,
    ) -> "COCOFile":
        """Read a file, or copy a `COCOFile`, with the sigmas of the skeleton.

        Raises:
            FileNotFoundError: If the file does not exist.
            ValueError: As the class, or if the `COCOFile` has another skeleton.
        """
        if not isinstance(annotations, COCOFile):
            return cls(annotations, category, skeleton)
        wanted = annotations.skeleton if skeleton is None else skeletons.get(skeleton)
        if annotations.skeleton.keypoint_names != wanted.keypoint_names:
            raise ValueError(
                f"`skeleton` must be that of the COCOFile, {annotations.skeleton.name!r}. "
                f"Received: skeleton={skeleton!r}"
            )
        file = copy(annotations)
        file.images = dict(annotations.images)  # which the caller may change
        file.skeleton = add_sigmas(wanted, file.category)
        return file

    def check_readable(self) -> None:
        """Raise ValueError if every person is left out."""
        if self.report.read == 0:
            raise ValueError(
                f"{self.place} must have at least one person (iscrowd 0) with a labeled keypoint "
                "and a bounding box inside the image; no instances remain. "
                f"Received: {len(self.images)} images, {self.report.total} annotations"
                f"{self.report.remarks}"
            )

    def readable(self) -> list[COCOPerson]:
        """Return the persons that are not left out, ordered by image, then by annotation.

        Raises:
            ValueError: If there are none.
        """
        self.check_readable()
        rank = {image_id: index for index, image_id in enumerate(self.images)}
        persons = [person for person in self.persons if not person.left_out]
        return sorted(persons, key=lambda person: rank[person.image_id])

    def keypoints(self, entry: JSONObject) -> np.ndarray:
        """Return the keypoints (K, 3) of an annotation or a result in the skeleton's order.

        Raises:
            ValueError: If they are not three numbers for each keypoint.
        """
        count, given = len(self._order), length(entry.get("keypoints"))
        if given not in (1, 3 * count):  # 1 may be anything but a list
            raise entry.error(
                "keypoints",
                f"a list of {3 * count} finite numbers, 3 for each of the {count} keypoints of "
                f"{self._owner()}",
                f"a list of {given}",
            )
        numbers = entry.numbers("keypoints", 3 * count, MAX_COORDINATE)
        return np.array(numbers, np.float64).reshape(-1, 3)[self._order]

    def _owner(self) -> str:
        """Return whose keypoints annotations have, for messages."""
        if self.category.keypoint_names:
            return f"the category {self.category}"
        return (
            f"the skeleton {self.skeleton.name!r}, as the category {self.category} names none (add "
            "its 'keypoints' to the file, or pass them as `skeleton`)"
        )

    def in_file_order(self, keypoints: np.ndarray) -> np.ndarray:
        """Return keypoints (..., K, 3) in the order of the file instead of the skeleton's."""
        return keypoints[..., np.argsort(self._order), :]

    def _report(self, others: Counter[str], expected: set[str]) -> ReadReport:
        persons = self.persons
        counts = Counter(person.left_out for person in persons if person.left_out) + others
        changed = Counter(
            what for person in persons if not person.left_out for what in person.changed
        )
        total = len(persons) + others.total()
        unexpected = frozenset(counts) - expected
        return ReadReport(self.place, total, dict(counts), unexpected, changed=dict(changed))

    def _person(self, entry: JSONObject, position: int) -> COCOPerson:
        check_id(entry)
        image_id, iscrowd = listed_image_id(entry, self.images), entry.flag("iscrowd")
        stated, size = read_box(entry), self.images[image_id].size
        bbox = np.zeros(4) if stated is None else stated
        keypoints = self._annotated_keypoints(entry)
        labeled, counted = keypoints[keypoints[:, 2] > 0, :2], counts_keypoints(entry)
        area, changed = read_area(entry), []
        if len(labeled) and bbox[2:].min() == 0:
            bbox = np.concatenate([labeled.min(0), np.ptp(labeled, 0)])
            changed.append(NO_BOX if stated is None else BOX)
        if area == 0:
            changed.append(AREA)
        clipped = clip_box(bbox, size)
        reasons = {
            CROWD: iscrowd,
            UNLABELED: len(labeled) == 0,
            COUNT_0: not counted,
            FAR: are_far_outside(labeled, size),
            ORIGIN: are_at_origin(labeled),
            NO_AREA: bbox[2:].min() == 0,
            OUTSIDE: clipped is None,
        }
        return COCOPerson(
            position,
            image_id,
            bbox,
            np.zeros(4) if clipped is None else clipped,
            area or float(bbox[2] * bbox[3]),
            keypoints,
            self._keypoint_weights(entry, keypoints),
            iscrowd,
            next((reason for reason, applies in reasons.items() if applies), None),
            tuple(changed),
        )

    def _keypoint_weights(self, entry: JSONObject, keypoints: np.ndarray) -> np.ndarray:
        weights = (keypoints[:, 2] > 0).astype(np.float64)
        if entry.has("keypoint_scores"):
            scores = np.array(entry.numbers("keypoint_scores", len(self._order), 1.0))
            if scores.min() < 0:
                raise entry.error("keypoint_scores", "numbers between 0 and 1")
            weights *= scores[self._order]
        return weights

    def _check_count(self, entries: list[JSONObject]) -> None:
        """Raise ValueError if all persons of a category without names have another skeleton."""
        lengths = {length(entry.value.get("keypoints")) for entry in entries} - {0}
        if self.category.keypoint_names or len(lengths) != 1:
            return
        count, rest = divmod(lengths.pop(), 3)
        if rest == 0 and count != len(self._order):
            raise ValueError(
                f"{self.place}: `skeleton` must be the {count} keypoints of the category "
                f"{self.category}, which names none; or add its 'keypoints' to the file. "
                f"Received: {self.skeleton.name!r} with {len(self._order)} keypoints"
            )

    def _annotated_keypoints(self, entry: JSONObject) -> np.ndarray:
        if length(entry.value.get("keypoints")) == 0:
            return np.zeros((len(self._order), 3))
        keypoints = self.keypoints(entry)
        visibility = keypoints[:, 2]
        if visibility.min() < 0 or visibility.max() > 2:
            raise entry.error(
                "keypoints", "x, y and visibility: 0 (not labeled), 1 (occluded) or 2 (visible)"
            )
        return keypoints


def _without_duplicates(persons: list[COCOPerson], entries: list[JSONObject]) -> list[COCOPerson]:
    """Return the persons without those that are equal to an earlier one, with the same id."""
    unique = {
        (
            *(str(entry.value.get("id")), person.image_id, person.iscrowd),
            *(person.bbox.tobytes(), person.keypoints.tobytes()),
        ): person
        for person, entry in zip(reversed(persons), reversed(entries), strict=True)
    }
    return list(unique.values())[::-1]


def _check_pixels(persons: list[COCOPerson], place: str) -> None:
    """Raise ValueError if all coordinates are fractions of the image size."""
    read = [person for person in persons if not person.left_out]
    if read and all(max(np.abs(p.bbox).max(), p.keypoints[:, :2].max()) <= 1 for p in read):
        raise ValueError(
            f"{place}: coordinates must be pixels, not fractions of the image size. Received: "
            f"'bbox' {read[0].bbox.tolist()}"
        )
