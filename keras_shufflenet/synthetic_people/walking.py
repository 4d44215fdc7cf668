"""A video of synthetic people who walk: they enter, cross, occlude each other and leave.

Its frames are a pure function of the arguments, and every person keeps its number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_shufflenet._checks import check_integer, check_positive, check_size
from keras_shufflenet._types import Size
from keras_shufflenet.synthetic_people import shapes as s
from keras_shufflenet.synthetic_people.background import backdrop
from keras_shufflenet.synthetic_people.clothing import Outfit, sample_outfit
from keras_shufflenet.synthetic_people.figure import build_figure
from keras_shufflenet.synthetic_people.kinematics import (
    PosedBody,
    Proportions,
    pose_body,
    rotation_matrix,
    sample_proportions,
)
from keras_shufflenet.synthetic_people.labels import annotate
from keras_shufflenet.synthetic_people.rendering import Camera, render
from keras_shufflenet.synthetic_people.scene import (
    FACING,
    Person,
    Scene,
    compose,
    sample_light,
    shadow_places,
)
from keras_shufflenet.synthetic_people.shapes import Array

CAMERA_HEIGHT = 1.3  # meters above the ground
STEP_LENGTH = 0.44  # of a step, in statures
NEAREST, SPACING = 4.0, 1.3  # meters: distance of the first person, and from one to the next
SPEED = (0.9, 1.5)  # meters per second


@dataclass(frozen=True)
class Walker:
    """A person who walks straight on at constant speed.

    Attributes:
        shape: The proportions.
        outfit: The clothes.
        start: (x, z) at the time 0, in meters to the right of the camera and in front of it.
        velocity: (x, z), in meters per second.
        phase: Phase of the gait at the time 0, in radians.
    """

    shape: Proportions
    outfit: Outfit
    start: Array
    velocity: Array
    phase: float

    def at(self, time: float) -> Person:
        """Return the person at a time in seconds, in camera coordinates."""
        speed = float(np.hypot(*self.velocity))
        turn = np.pi * speed * time / (STEP_LENGTH * self.shape.stature)
        posed = walking_pose(self.shape, self.phase + turn)
        heading = np.degrees(np.arctan2(self.velocity[0], -self.velocity[1]))
        x, z = self.start + self.velocity * time
        lowest = min(float(point[1]) for name, point in posed.points.items() if "toes" in name)
        origin = np.array([x, CAMERA_HEIGHT + lowest, z])
        return Person(posed, FACING @ rotation_matrix(1, float(heading)), origin)


def walking_pose(shape: Proportions, phase: float) -> PosedBody:
    """Return a body in stride; a cycle of two steps is 2π, and the arms swing against the legs."""
    limbs = []
    for side in (0.0, np.pi):
        swing = float(np.sin(phase + side))
        lift = max(0.0, float(np.cos(phase + side)))  # the knee bends while the leg swings forward
        arm = [3 - 22 * swing, 7.0, 10.0, 22 - 10 * swing]
        limbs.append((arm, [4 + 24 * swing, 2.0, 5.0, 8 + 44 * lift**2]))
    twist = 5 * float(np.sin(phase))
    return pose_body("walk", shape, [3.0, 0.0, twist, 2.0], [0.0, 0.0, -twist], limbs)


def sample_walkers(
    num_people: int, duration: float, camera: Camera, rng: np.random.Generator
) -> list[Walker]:
    """Sample people who walk through the view, alternately to the right and to the left.

    They cross in front of each other about the middle of the video, at different distances; the
    last of them enter after its beginning or leave before its end.
    """
    walkers = []
    for number in range(num_people):
        shape = sample_proportions(rng)
        direction = 1 if number % 2 else -1
        distance = NEAREST + SPACING * number
        half_view = camera.width / camera.focal * distance / 2
        velocity = np.array([direction * rng.uniform(*SPEED), rng.uniform(-0.08, 0.08)])
        middle = np.array([rng.uniform(-0.4, 0.4) * half_view, distance])
        passed = rng.uniform(0.35, 0.65) * duration  # when the middle of the view is passed
        outfit = sample_outfit(rng, shape.curve)
        start = middle - velocity * passed
        walkers.append(Walker(shape, outfit, start, velocity, float(rng.uniform(0, 2 * np.pi))))
    return walkers


def walking_people(
    num_frames: int = 90,
    *,
    fps: float = 30.0,
    image_size: Size = (240, 320),
    num_people: int = 3,
    seed: int = 0,
) -> Iterator[tuple[NDArray[np.uint8], list[dict[str, Any]]]]:
    """Render people who walk past a camera at rest.

    Args:
        num_frames: Number of frames.
        fps: Frames per second.
        image_size: (height, width) in pixels.
        num_people: Number of people.
        seed: Seed of all random numbers.

    Yields:
        A frame, uint8 (H, W, 3) RGB, and the COCO annotations of the people in it, those of the
        dataset with a `track_id` from 1 on. People of whom nothing is visible have none.

    Raises:
        ValueError: If an argument is out of range.
    """
    check_integer("num_frames", num_frames)
    check_positive("fps", fps)
    check_integer("num_people", num_people)
    check_integer("seed", seed, minimum=0)
    height, width = check_size("image_size", image_size)
    rng = np.random.default_rng([seed, 2])
    camera = Camera(height, width, 1.1 * max(height, width))
    walkers = sample_walkers(num_people, num_frames / fps, camera, rng)
    light = sample_light(np.eye(3), rng)
    scenery = int(rng.integers(2**31))
    for frame in range(num_frames):
        people = [walker.at(frame / fps) for walker in walkers]
        assembly = s.Assembly()
        for number, (walker, person) in enumerate(zip(walkers, people, strict=True), start=1):
            figure = build_figure(person.posed, walker.outfit)
            assembly.add(figure, person.rotation, person.origin, number)
        surfaces = assembly.surfaces()
        buffers = render(surfaces, camera)
        behind = _scenery(scenery, camera, people)
        values = compose(surfaces, buffers, camera, behind, light)
        grain = rng.standard_normal((height, width, 1), dtype=np.float32) * 3
        image = np.clip(values + grain, 0, 255).astype(np.uint8)
        scene = Scene(camera, people, buffers, surfaces.owner, surfaces.part)
        yield (
            image,
            [
                entry | {"track_id": number}
                for number, entry in enumerate(annotate(scene), start=1)
                if entry["area"] > 0
            ],
        )


def _scenery(seed: int, camera: Camera, people: list[Person]) -> Image.Image:
    """Return the background with the shadows of the people; it is the same in every frame."""
    size = (camera.height, camera.width)
    rng = np.random.default_rng(seed)
    return backdrop(rng, size, camera.height // 2, shadow_places(people, camera), 0.5)
