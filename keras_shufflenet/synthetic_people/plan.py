"""What a drawn dataset consists of, as a pure function of its arguments."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_shufflenet._files import write_whole
from keras_shufflenet.synthetic_people.labels import annotate
from keras_shufflenet.synthetic_people.scene import draw_scene

DRAWING = 1  # raise it whenever the same arguments give other pictures
DESCRIPTION = "keras-shufflenet synthetic people"
MAX_PER_IMAGE = 6
ATTEMPTS = 12
MIN_JOINTS, MIN_SHARE = 6, 0.004  # what must be left to see of everybody: joints, of the picture


@dataclass(frozen=True)
class Plan:
    """The arguments that determine the pictures."""

    count: int
    seed: int
    image_size: tuple[int, int]
    people_per_image: tuple[int, int]
    difficulty: float

    def check(self) -> None:
        """Raise a ValueError for arguments out of range."""
        if self.count < 1:
            raise ValueError(f"count must be a positive number of people. Received: {self.count}")
        if self.seed < 0:
            raise ValueError(f"seed must be a non-negative integer. Received: {self.seed}")
        if len(self.image_size) != 2 or not all(64 <= side <= 4096 for side in self.image_size):
            raise ValueError(
                "image_size must be (height, width), each between 64 and 4096 pixels. "
                f"Received: {self.image_size}"
            )
        limits = self.people_per_image
        if len(limits) != 2 or not 1 <= limits[0] <= limits[1] <= MAX_PER_IMAGE:
            raise ValueError(
                "people_per_image must be (fewest, most) with 1 <= fewest <= most <= "
                f"{MAX_PER_IMAGE}. Received: {limits}"
            )
        if not 0 <= self.difficulty <= 1:
            raise ValueError(f"difficulty must be between 0 and 1. Received: {self.difficulty}")

    def info(self) -> dict[str, Any]:
        """The `info` of the annotation file: tells whether a file comes from these arguments."""
        return {
            "description": DESCRIPTION,
            "version": str(DRAWING),
            "count": self.count,
            "seed": self.seed,
            "image_size": list(self.image_size),
            "people_per_image": list(self.people_per_image),
            "difficulty": self.difficulty,
        }

    def crowds(self) -> list[int]:
        """Number of people of every image; they add up to `count`."""
        rng = np.random.default_rng([self.seed, 0])
        fewest, most = self.people_per_image
        left, crowds = self.count, []
        while left:
            crowds.append(min(int(rng.integers(fewest, most + 1)), left))
            left -= crowds[-1]
        return crowds


def file_name(index: int) -> str:
    """Name of an image; numbers start at 1 as COCO's do."""
    return f"synthetic_{index + 1:06d}.jpg"


def draw_image(plan: Plan, index: int, people: int, images: Path) -> list[dict[str, Any]]:
    """Draw image `index`, write it, and return its annotations (without ids).

    A scene that hides somebody almost completely is drawn again.
    """
    pixels = plan.image_size[0] * plan.image_size[1]
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([plan.seed, 1, index, attempt])
        picture = draw_scene(people, plan.image_size, rng, plan.difficulty)
        annotations = annotate(picture)
        if all(
            entry["num_keypoints"] >= MIN_JOINTS and entry["area"] >= MIN_SHARE * pixels
            for entry in annotations
        ):
            break
    write_whole(images / file_name(index), lambda beside: beside.write_bytes(picture.jpeg))
    return annotations
