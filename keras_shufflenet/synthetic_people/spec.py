"""The images of a synthetic dataset, as pure functions of its arguments."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_shufflenet._checks import check_integer, check_size
from keras_shufflenet._files import atomic_write
from keras_shufflenet._types import Size
from keras_shufflenet.synthetic_people.labels import annotate
from keras_shufflenet.synthetic_people.scene import render_scene

RENDERER_VERSION = 1  # to be increased whenever the same arguments give other images
DESCRIPTION = "keras-shufflenet synthetic people"
MIN_SIZE, MAX_SIZE = 64, 4096
MAX_PER_IMAGE = 6
MAX_ATTEMPTS = 12
MIN_KEYPOINTS, MIN_AREA = 6, 0.004  # of every person: labeled keypoints, fraction of the image


@dataclass(frozen=True)
class DatasetSpec:
    """The arguments that determine the images, see `create_dataset`."""

    count: int
    seed: int
    image_size: Size
    people_per_image: tuple[int, int]
    difficulty: float

    def check(self) -> None:
        """Check the arguments.

        Raises:
            ValueError: If an argument is out of range.
        """
        check_integer("count", self.count)
        check_integer("seed", self.seed, minimum=0)
        check_size("image_size", self.image_size)
        if not all(MIN_SIZE <= side <= MAX_SIZE for side in self.image_size):
            raise ValueError(
                f"`image_size` must be (height, width), each between {MIN_SIZE} and {MAX_SIZE} "
                f"pixels. Received: image_size={self.image_size}"
            )
        limits = self.people_per_image
        if len(limits) != 2 or not 1 <= limits[0] <= limits[1] <= MAX_PER_IMAGE:
            raise ValueError(
                "`people_per_image` must be (minimum, maximum) with 1 <= minimum <= maximum <= "
                f"{MAX_PER_IMAGE}. Received: people_per_image={limits}"
            )
        if not 0 <= self.difficulty <= 1:
            raise ValueError(
                f"`difficulty` must be between 0 and 1. Received: difficulty={self.difficulty}"
            )

    def info(self) -> dict[str, Any]:
        """Return the `info` of the annotation file, which identifies these arguments."""
        return {
            "description": DESCRIPTION,
            "version": str(RENDERER_VERSION),
            "count": self.count,
            "seed": self.seed,
            "image_size": list(self.image_size),
            "people_per_image": list(self.people_per_image),
            "difficulty": self.difficulty,
        }

    def people_counts(self) -> list[int]:
        """Return the number of people in each image; they sum up to `count`."""
        rng = np.random.default_rng([self.seed, 0])
        minimum, maximum = self.people_per_image
        remaining, counts = self.count, []
        while remaining:
            counts.append(min(int(rng.integers(minimum, maximum + 1)), remaining))
            remaining -= counts[-1]
        return counts


def file_name(index: int) -> str:
    """Return the file name of an image; the numbers in file names start at 1."""
    return f"synthetic_{index + 1:06d}.jpg"


def render_image(
    spec: DatasetSpec, index: int, num_people: int, image_dir: Path
) -> list[dict[str, Any]]:
    """Render and write image `index`, and return its annotations without ids.

    A scene that hides a person almost completely is replaced by another one.
    """
    pixels = spec.image_size[0] * spec.image_size[1]
    for attempt in range(MAX_ATTEMPTS):
        rng = np.random.default_rng([spec.seed, 1, index, attempt])
        jpeg, scene = render_scene(num_people, spec.image_size, rng, spec.difficulty)
        annotations = annotate(scene)
        if all(
            entry["num_keypoints"] >= MIN_KEYPOINTS and entry["area"] >= MIN_AREA * pixels
            for entry in annotations
        ):
            break
    atomic_write(image_dir / file_name(index), lambda partial: partial.write_bytes(jpeg))
    return annotations
