"""What the features of a dataset of tensorflow-datasets mean: classes, boxes, keypoints.

Features are found by their types, as datasets name them in their own way: an image and a class
label, or an image and a sequence of objects with a bounding box and a class label.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_shufflenet._read_report import ReadReport
from keras_shufflenet._types import Size
from keras_shufflenet.data.class_folders import LabeledImages
from keras_shufflenet.data.image_files import image_sizes
from keras_shufflenet.detection import coco_classes

if TYPE_CHECKING:
    from keras_shufflenet.data.tfds_source import TFDSSource

PIXELS = "bbox_xywh"  # exact boxes of coco_keypoints beside those of tfds
IMAGE_ID, HEIGHT, WIDTH = "image/id", "image/height", "image/width"
PERSONS, MPII_FIELDS = "persons", ("center", "joints", "joints_vis")
_DECIMALS = 2  # of the pixels of a box, as COCO states them; tfds stores float32 fractions


class Features(NamedTuple):
    """The names of features.

    Attributes:
        image: That of the image.
        label: That of its class, or None.
        objects: That of the sequence of objects or persons, or None.
        bbox: That of their bounding boxes within it, or None.
        object_label: That of their classes within it, or None.
        class_names: The names of the classes.
        all: All features as text, for messages.
    """

    image: str
    label: str | None
    objects: str | None
    bbox: str | None
    object_label: str | None
    class_names: tuple[str, ...]
    all: str


def find(info: Any) -> Features:
    """Find the features by their types.

    Args:
        info: `builder.info`.

    Raises:
        ValueError: If there is no image, or there are several and none is named "image".
    """
    from tensorflow_datasets import features as kinds

    features, listed = dict(info.features), ", ".join(info.features)
    supervised = info.supervised_keys or ()
    image = _only(features, kinds.Image, ("image", *supervised[:1]))
    if image is None:
        raise ValueError(
            f"A dataset must have an image in each record. Received: {info.full_name} with the "
            f"features {listed}"
        )
    label = _only(features, kinds.ClassLabel, (*supervised[1:2], "label"))
    names = _names(features[label]) if label else ()
    for name, feature in features.items():
        inner = getattr(feature, "feature", None)
        if not isinstance(feature, kinds.Sequence) or not isinstance(inner, kinds.FeaturesDict):
            continue
        bbox = _only(dict(inner), kinds.BBoxFeature, ("bbox",))
        object_label = _only(dict(inner), kinds.ClassLabel, ("label",))
        if bbox and object_label:
            names = _names(inner[object_label])
            return Features(image, label, name, bbox, object_label, names, listed)
        if name == PERSONS and set(MPII_FIELDS) <= set(inner):
            return Features(image, label, name, None, None, names, listed)
    return Features(image, label, None, None, None, names, listed)


def parse_example(record: bytes) -> dict[str, Any]:
    """Return the numbers or bytes of each feature of a serialized `tf.train.Example`."""
    from tensorflow.train import Example

    found = {}
    for name, feature in Example.FromString(record).features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = getattr(feature, kind).value if kind else ()
    return found


def labeled_images(features: Features, source: "TFDSSource") -> LabeledImages:
    """Return the images of a source and their classes.

    Raises:
        ValueError: If there are none.
    """
    label = features.label
    if label is None or not len(source):
        raise ValueError(
            "A dataset to classify must have images with an image and a class label each. "
            f"Received: {source.place} with {len(source)} images and the features {features.all}"
        )
    classes = np.array([int(example[label][0]) for example in source.examples()], np.int64)
    report = ReadReport(source.place, len(classes), unit="records")
    report.log()
    return LabeledImages(source.paths, classes, features.class_names, report)


def annotations(features: Features, source: "TFDSSource") -> Any:
    """Return the content of a COCO json, or of the json of MPII.

    Raises:
        ValueError: If the dataset has neither boxes with a class nor the persons of MPII.
    """
    if features.objects is None:
        raise ValueError(
            "A dataset to detect objects or keypoints must have objects with a bounding box and a "
            f"class label. Received: {source.place} with the features {features.all}"
        )
    return _coco(features, source) if features.bbox else _mpii(features, source)


def _coco(features: Features, source: "TFDSSource") -> dict[str, Any]:
    names = features.class_names
    is_coco = names == coco_classes.NAMES
    ids = coco_classes.IDS if is_coco else range(1, len(names) + 1)
    images: list[dict[str, Any]] = []
    entries: list[dict[str, Any]] = []
    for path, example in zip(source.paths, source.examples(), strict=True):
        image_id = int(example[IMAGE_ID][0]) if IMAGE_ID in example else len(images) + 1
        height, width = _size(features, example, path)
        images.append({"id": image_id, "file_name": path, "height": height, "width": width})
        for entry in _objects(features, example, (height, width), ids):
            number = {"id": len(entries) + 1, "image_id": image_id}
            entries.append(number | entry)
    categories = [{"id": id_, "name": name} for id_, name in zip(ids, names, strict=True)]
    return {"images": images, "annotations": entries, "categories": categories}


def _size(features: Features, example: dict[str, Any], path: str) -> Size:
    if HEIGHT in example and WIDTH in example:
        return int(example[HEIGHT][0]), int(example[WIDTH][0])
    return image_sizes(example[features.image][0], path)[1]


def _objects(
    features: Features, example: dict[str, Any], size: Size, ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the annotations of an image."""

    def column(name: str, *shape: int) -> np.ndarray | None:
        return _column(example, f"{features.objects}/{name}", *shape)

    corners = column(str(features.bbox), 4)
    labels = column(str(features.object_label))
    if corners is None or labels is None:
        return []
    boxes = column(PIXELS, 4)
    if boxes is None:
        top, left, bottom, right = (corners * (size * 2)).T
        boxes = np.stack([left, top, right - left, bottom - top], axis=1).round(_DECIMALS)
    columns: dict[str, np.ndarray | None] = {
        "id": column("id"),
        "category_id": np.array(ids)[labels],
        "bbox": boxes,
        "iscrowd": column("is_crowd"),
        "area": column("area"),
        "num_keypoints": column("num_keypoints"),
    }
    points = column("keypoints")
    if points is not None:
        columns["keypoints"] = points.reshape(len(labels), -1)
    known = {name: values.tolist() for name, values in columns.items() if values is not None}
    return [dict(zip(known, row, strict=True)) for row in zip(*known.values(), strict=True)]


def _mpii(features: Features, source: "TFDSSource") -> list[dict[str, Any]]:
    """Return the persons in the order of the json."""
    persons: list[tuple[int, dict[str, Any]]] = []
    for path, example in zip(source.paths, source.examples(), strict=True):
        fields = {
            "center": _column(example, f"{PERSONS}/center", 2),
            "scale": _column(example, f"{PERSONS}/scale"),
            "joints": _column(example, f"{PERSONS}/joints", 16, 2),
            "joints_vis": _column(example, f"{PERSONS}/joints_vis", 16),
        }
        known = {name: values.tolist() for name, values in fields.items() if values is not None}
        rows = zip(example[f"{PERSONS}/id"], *known.values(), strict=True)
        persons += [
            (int(number), {"image": path} | dict(zip(known, values, strict=True)))
            for number, *values in rows
        ]
    return [person for _, person in sorted(persons, key=lambda pair: pair[0])]


def _column(example: dict[str, Any], name: str, *shape: int) -> np.ndarray | None:
    """Return the values of a feature of all objects; None if there are none."""
    values = example.get(name, ())
    if not len(values):
        return None
    if isinstance(values[0], bytes):  # float64 numbers that are kept exactly
        return np.frombuffer(b"".join(values), "<f8").reshape(-1, *shape)
    return np.array(values).reshape(-1, *shape)


def _names(label: Any) -> tuple[str, ...]:
    """Return the names of classes, COCO's for 80 classes without names."""
    names, count = tuple(label.names), label.num_classes
    return coco_classes.class_names(() if names == tuple(map(str, range(count))) else names, count)


def _only(features: dict[str, Any], kind: type, preferred: Sequence[str]) -> str | None:
    """Return the name of the feature of a type: the only one, or a preferred one of several."""
    names = [name for name, feature in features.items() if isinstance(feature, kind)]
    if len(names) == 1:
        return names[0]
    return next((name for name in preferred if name in names), None)
