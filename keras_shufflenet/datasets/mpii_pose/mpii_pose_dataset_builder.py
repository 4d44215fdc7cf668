"""MPII Human Pose for tensorflow-datasets, from the official archive and the json of mmpose."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets.public_api as tfds

from keras_shufflenet.keypoints.skeletons import MPII

ARCHIVE, IMAGES = "mpii_human_pose_v1.tar.gz", "images"
FILES = {"train": "mpii_train.json", "validation": "mpii_val.json"}
NUM_PERSONS = {"train": 22_246, "validation": 2_958}
DESCRIPTIONS = {
    "v1": "The official files, whose numbers of persons are checked.",
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
    Put into `manual_dir` mpii_human_pose_v1.tar.gz of http://human-pose.mpi-inf.mpg.de/, or the
    folder images/ in it, and mpii_train.json and mpii_val.json, which mmpose's documentation of
    MPII offers as mpii_annotations.tar.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        """Return the features; float64 numbers are kept as their bytes, exactly."""
        exact = {"dtype": np.float64, "encoding": tfds.features.Encoding.BYTES}
        person = {
            "id": np.int64,
            "center": tfds.features.Tensor(shape=(2,), **exact),
            "scale": tfds.features.Tensor(shape=(), **exact),
            "joints": tfds.features.Tensor(shape=(len(MPII), 2), **exact),
            "joints_vis": tfds.features.Tensor(shape=(len(MPII),), dtype=np.int64),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "image/filename": tfds.features.Text(),
                    "persons": tfds.features.Sequence(person),
                }
            ),
            homepage="http://human-pose.mpi-inf.mpg.de/",
            license="Annotations: Simplified BSD License. Images: of their owners.",
            disable_shuffling=True,  # the order of the json
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        """Find the files in `manual_dir`."""
        manual = dl_manager.manual_dir
        image_dir = manual / IMAGES
        if not image_dir.exists():
            image_dir = _extracted(dl_manager, manual / ARCHIVE)
        missing = [name for name in FILES.values() if not (manual / name).exists()]
        if missing:
            raise FileNotFoundError(
                f"`manual_dir` must contain {' and '.join(FILES.values())}. "
                f"Received: no {' and no '.join(missing)} in {manual}"
            )
        return {
            split: self._generate_examples(image_dir, manual / name, split)
            for split, name in FILES.items()
        }

    def _generate_examples(
        self, image_dir: Any, json_path: Any, split: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        persons = json.loads(json_path.read_text())
        wanted = NUM_PERSONS[split]
        if self.builder_config.name != "custom" and len(persons) != wanted:
            raise ValueError(
                f"{json_path.name} must have {wanted} persons; the config custom takes others. "
                f"Received: {len(persons)} persons"
            )
        of_image: dict[str, list[dict[str, Any]]] = {}
        for number, person in enumerate(persons):
            of_image.setdefault(person["image"], []).append(_person(person, number))
        for number, (name, found) in enumerate(of_image.items()):
            yield (
                number,
                {"image": image_dir / name, "image/filename": name, "persons": found},
            )


def _person(person: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "id": number,
        "center": np.array(person["center"], np.float64),
        "scale": np.float64(person["scale"]),
        "joints": np.array(person["joints"], np.float64),
        "joints_vis": np.array(person["joints_vis"], np.int64),
    }


def _extracted(dl_manager: Any, archive: Any) -> Any:
    """Return the folder of the images in the archive, which may be below its top."""
    if not archive.exists():
        raise FileNotFoundError(
            f"`manual_dir` must contain {ARCHIVE}, or the folder {IMAGES} in it. "
            f"Received: neither in {archive.parent}"
        )
    root = dl_manager.extract(archive)
    return next((path for path in root.glob(f"*/{IMAGES}") if path.is_dir()), root / IMAGES)
