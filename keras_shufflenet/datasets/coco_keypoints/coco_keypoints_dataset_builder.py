"""COCO person keypoints for tensorflow-datasets, from the official zip files or their folders."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets.public_api as tfds

from keras_shufflenet._read_report import LOGGER
from keras_shufflenet.keypoints.skeletons import COCO

URL = "http://images.cocodataset.org/"
ANNOTATIONS_ZIP = "annotations/annotations_trainval2017.zip"
FOLDERS = {"train": "train2017", "validation": "val2017"}
NUM_IMAGES = {"train": 118_287, "validation": 5_000}
NUM_INSTANCES = {"train": 149_813, "validation": 6_352}  # persons with labeled keypoints
TEXTS = ("coco_url", "flickr_url", "date_captured")
DESCRIPTIONS = {
    "2017": "The official files, whose numbers of images are checked.",
    "custom": "Files of one's own with the names and the layout of the official ones, unchecked.",
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """A record per image, with all persons in it."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name=name, description=text) for name, text in DESCRIPTIONS.items()
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Files that you have are taken from `manual_dir`: train2017.zip, val2017.zip and
    annotations_trainval2017.zip, or the folders train2017/, val2017/ and annotations/ in them.
    Without them the config 2017 downloads them, 20 GB.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        """Return the features; float64 numbers are kept as their bytes, exactly."""
        exact = {"dtype": np.float64, "encoding": tfds.features.Encoding.BYTES}
        person = {
            "id": np.int64,
            "area": tfds.features.Tensor(shape=(), **exact),
            "bbox": tfds.features.BBoxFeature(),
            "bbox_xywh": tfds.features.Tensor(shape=(4,), **exact),
            "is_crowd": np.bool_,
            "keypoints": tfds.features.Tensor(shape=(len(COCO), 3), **exact),
            "label": tfds.features.ClassLabel(names=["person"]),
            "num_keypoints": np.int64,
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "image/filename": tfds.features.Text(),
                    "image/id": np.int64,
                    "image/height": np.int64,
                    "image/width": np.int64,
                    "image/license": np.int64,
                    **{f"image/{name}": tfds.features.Text() for name in TEXTS},
                    "objects": tfds.features.Sequence(person),
                }
            ),
            homepage="https://cocodataset.org/",
            license="Annotations: CC BY 4.0. Images: each of its own, `image/license`.",
            disable_shuffling=True,  # the order of the json
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        """Find the files in `manual_dir`, or download them."""
        manual = _manual_dir(dl_manager)
        names = {split: f"person_keypoints_{name}.json" for split, name in FOLDERS.items()}
        folders = [*FOLDERS.values(), "annotations"]
        archives = [f"zips/{name}.zip" for name in FOLDERS.values()] + [ANNOTATIONS_ZIP]
        found = {}
        for folder, archive in zip(folders, archives, strict=True):
            zipped = manual / archive.rpartition("/")[2] if manual else None
            if manual and (manual / folder).exists():
                found[folder] = manual / folder
            elif zipped and zipped.exists():
                found[folder] = dl_manager.extract(zipped) / folder
            elif self.builder_config.name == "custom":
                raise FileNotFoundError(
                    f"`manual_dir` must contain {folder} or {archive.rpartition('/')[2]} for the "
                    f"config custom. Received: manual_dir={manual}"
                )
            else:
                found[folder] = dl_manager.download_and_extract(URL + archive) / folder
        jsons = {split: found["annotations"] / name for split, name in names.items()}
        return {
            split: self._generate_examples(found[folder], jsons[split], split)
            for split, folder in FOLDERS.items()
        }

    def _generate_examples(
        self, image_dir: Any, json_path: Any, split: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        content = json.loads(json_path.read_text())
        images, persons = content["images"], content["annotations"]
        categories = {person.get("category_id", 1) for person in persons}
        if len(categories) > 1:
            raise ValueError(
                f"{json_path.name} must have persons alone. Received: annotations of the "
                f"categories {sorted(categories)}"
            )
        if self.builder_config.name != "custom":
            check_numbers(split, len(images), sum(map(is_labeled, persons)))
        of_image: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in images}
        for person in persons:
            of_image[person["image_id"]].append(person)
        for number, image in enumerate(images):
            size = image["height"], image["width"]
            yield (
                number,
                {
                    "image": image_dir / image["file_name"],
                    "image/filename": image["file_name"],
                    "image/id": image["id"],
                    "image/height": size[0],
                    "image/width": size[1],
                    "image/license": image.get("license") or 0,
                    **{f"image/{name}": image.get(name) or "" for name in TEXTS},
                    "objects": [_person(person, size) for person in of_image[image["id"]]],
                },
            )


def check_numbers(split: str, images: int, instances: int) -> None:
    """Compare the numbers of images and of persons with keypoints with the official ones.

    Raises:
        ValueError: If there is another number of images.
    """
    if images != NUM_IMAGES[split]:
        raise ValueError(
            f"The split {split} must have {NUM_IMAGES[split]} images; the config custom takes "
            f"others. Received: {images} images"
        )
    if instances != NUM_INSTANCES[split]:
        LOGGER.warning(
            "coco_keypoints: the split %s has %d persons with keypoints, officially %d",
            *(split, instances, NUM_INSTANCES[split]),
        )


def is_labeled(person: Mapping[str, Any]) -> bool:
    """Return whether a person has labeled keypoints and is no crowd."""
    return person.get("num_keypoints", 0) > 0 and not person.get("iscrowd", 0)


def _person(person: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    x, y, width, height = bbox = person.get("bbox") or (0.0, 0.0, 0.0, 0.0)
    corners = np.array([y, x, y + height, x + width]) / np.array(size * 2)
    keypoints = np.reshape(person.get("keypoints") or np.zeros(3 * len(COCO)), (-1, 3))
    return {
        "id": person["id"],
        "area": np.float64(person.get("area") or 0),
        "bbox": corners.clip(0, 1),
        "bbox_xywh": np.array(bbox, np.float64),
        "is_crowd": bool(person.get("iscrowd", 0)),
        "keypoints": keypoints.astype(np.float64),
        "label": "person",
        "num_keypoints": person.get("num_keypoints", int((keypoints[:, 2] > 0).sum())),
    }


def _manual_dir(dl_manager: Any) -> Any:
    """Return the folder of the user's files, or None."""
    try:
        return dl_manager.manual_dir
    except AssertionError:  # there is none
        return None
