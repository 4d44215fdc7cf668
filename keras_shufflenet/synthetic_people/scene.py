"""Scenes: placement of people and objects, rendering, and the simulated camera."""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from keras_shufflenet.synthetic_people import shapes as s
from keras_shufflenet.synthetic_people.background import backdrop, held_object, seat, solid_object
from keras_shufflenet.synthetic_people.clothing import sample_outfit
from keras_shufflenet.synthetic_people.figure import build_figure
from keras_shufflenet.synthetic_people.kinematics import (
    PosedBody,
    rotation_matrix,
    sample_pose,
    sample_proportions,
)
from keras_shufflenet.synthetic_people.rendering import Buffers, Camera, render
from keras_shufflenet.synthetic_people.shading import Light, shade
from keras_shufflenet.synthetic_people.shapes import Array

OCCLUDED = ("left_knee", "right_hip", "left_ankle", "right_elbow")  # what objects may occlude
FACING = np.diag([1.0, -1.0, -1.0])  # body to camera coordinates, facing the camera


class Person(NamedTuple):
    """A posed body and its placement in camera coordinates."""

    posed: PosedBody
    rotation: Array
    origin: Array

    def place(self, names: list[str]) -> Array:
        """Return the positions (N, 3) of named points in camera coordinates."""
        points = np.stack([self.posed.points[name] for name in names])
        return points @ self.rotation.T + self.origin


class Scene(NamedTuple):
    """What is seen in an image.

    Attributes:
        camera: The camera.
        people: The people; the person with index n is owner n + 1.
        buffers: Depth and shape index of every sample.
        owner: (N,), the owner of each shape, 0 for objects.
        part: (N,), OBJECT, BODY or HEAD for each shape.
    """

    camera: Camera
    people: list[Person]
    buffers: Buffers
    owner: NDArray[np.int64]
    part: NDArray[np.int64]


def _yaw(rng: np.random.Generator, difficulty: float) -> float:
    """Return a heading in degrees: mostly frontal, some from the side or from behind."""
    kind = rng.random()
    if kind < 0.4 * difficulty:
        return float(rng.choice([-1, 1]) * rng.normal(75, 25))
    if kind < 0.75 * difficulty:
        return float(rng.normal(180, 35))
    return float(rng.normal(0, 25))


def _extent(points: Array) -> tuple[Array, Array]:
    return points.min(axis=0), points.max(axis=0)


def _place_person(
    posed: PosedBody, turn: Array, camera: Camera, rng: np.random.Generator, fraction: float
) -> Person:
    """Place a person at random so that it fills a fraction of the image's height."""
    low, high = _extent(np.stack(list(posed.points.values())) @ turn.T)
    tall = max(float(high[1] - low[1]) + 0.2, 0.8 * float(high[0] - low[0]) + 0.16)
    depth = camera.focal * tall / (fraction * camera.height)
    depth = max(depth, 0.6 + float(high[2] - low[2]))
    middle = (low + high) / 2
    half_view = np.array([camera.width, camera.height]) / camera.focal * depth / 2
    free = np.maximum(half_view - (high - low)[:2] / 2 - 0.1, 0.12 * half_view)
    place = np.append(rng.uniform(-1, 1, 2) * free, depth)
    return Person(posed, turn, place - middle)


def _box(person: Person, camera: Camera) -> Array:
    """Return the corners (x0, y0, x1, y1) of a person's points in the image."""
    low, high = _extent(camera.project(person.place(list(person.posed.points))))
    return np.concatenate([low, high])


def _overlap(one: Array, other: Array) -> float:
    """Return the intersection area relative to the smaller box."""
    shared = np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0)
    areas = [float(np.prod(box[2:] - box[:2])) for box in (one, other)]
    return float(np.prod(shared)) / max(min(areas), 1.0)


def _place_people(
    count: int, camera: Camera, tilt: Array, rng: np.random.Generator, difficulty: float
) -> list[Person]:
    """Place people so that they occlude each other only in part."""
    people: list[Person] = []
    for _ in range(count):
        posed = sample_pose(sample_proportions(rng), rng, difficulty)
        turn = (
            FACING
            @ rotation_matrix(1, _yaw(rng, difficulty))
            @ rotation_matrix(2, float(rng.normal(0, 3)))
        )
        fraction = rng.uniform(0.6, 0.95) if count == 1 else rng.uniform(0.42, 0.85)
        if rng.random() < 0.3 * difficulty:
            fraction *= rng.uniform(1.15, 1.6)
        tries: list[tuple[float, int, Person]] = []
        for _ in range(8):
            person = _place_person(posed, tilt @ turn, camera, rng, fraction)
            box = _box(person, camera)
            worst = max((_overlap(box, _box(other, camera)) for other in people), default=0.0)
            tries.append((worst, len(tries), person))
            if worst < 0.4 * difficulty:
                break
        people.append(min(tries)[2])
    return people


def _add_props(
    assembly: s.Assembly, person: Person, rng: np.random.Generator, difficulty: float
) -> None:
    """Add seats below sitting people and objects in hands."""
    posed = person.posed
    if posed.activity == "sit" and rng.random() < 0.85:
        drop = posed.points["pelvis"] - [0, 0.1 * posed.shape.build, 0]
        ankles = min(posed.points["left_ankle"][1], posed.points["right_ankle"][1])
        origin = person.rotation @ drop + person.origin
        assembly.add(seat(rng, max(float(drop[1] - ankles), 0.15)), person.rotation, origin, 0)
    if rng.random() < 0.5 * difficulty:
        side = ("left", "right")[rng.integers(2)]
        wrist, knuckles = posed.points[f"{side}_wrist"], posed.points[f"{side}_knuckles"]
        props = held_object(rng, wrist, s.unit(knuckles - wrist))
        assembly.add(props, person.rotation, person.origin, 0)


def _add_objects(
    assembly: s.Assembly,
    camera: Camera,
    tilt: Array,
    people: list[Person],
    rng: np.random.Generator,
    difficulty: float,
) -> None:
    """Add objects behind all people and sometimes one in front of a person."""
    turn = tilt @ FACING
    far = max(float(person.origin[2]) for person in people) + 1.0
    for _ in range(rng.integers(0, 1 + round(8 * difficulty))):
        depth = far + rng.uniform(0, 3)
        view = np.array([camera.width, camera.height]) / camera.focal * depth
        place = np.append(rng.uniform((-0.6, 0.1), (0.6, 0.5)) * view, depth)
        assembly.add(solid_object(rng, rng.uniform(0.3, 1.3)), turn, place, 0)
    if rng.random() < 0.5 * difficulty:
        person = people[rng.integers(len(people))]
        size = rng.uniform(0.1, 0.38)
        assembly.add(solid_object(rng, size), turn, _in_front_of(person, size, rng), 0)


def _in_front_of(person: Person, size: float, rng: np.random.Generator) -> Array:
    """Return a position in front of one of a person's keypoints."""
    keypoint = person.place([OCCLUDED[rng.integers(len(OCCLUDED))]])[0]
    reach = float(np.stack(list(person.posed.points.values())).max())
    place = keypoint * max(1 - (0.35 + 0.3 * reach) / float(keypoint[2]), 0.45)
    return place + np.array([rng.normal() * 0.15, 0.5 * size, 0.0])


def shadow_places(people: list[Person], camera: Camera) -> Array:
    """Return rows (x, y, radius) (N, 3) in pixels of the shadows on the ground."""
    feet = np.stack([person.place(["left_toes", "right_toes"]) for person in people])
    pixels = camera.project(feet)
    radius = 0.2 * camera.focal / feet[..., 2].mean(axis=1)
    spread = np.abs(pixels[:, 0, 0] - pixels[:, 1, 0]) / 2
    low = np.maximum(pixels[:, 0, 1], pixels[:, 1, 1])
    return np.stack([pixels[:, :, 0].mean(axis=1), low, radius + spread], axis=1)


def sample_light(tilt: Array, rng: np.random.Generator) -> Light:
    """Sample a light from above and behind the camera, which `tilt` turns."""
    direction = s.unit(np.array([rng.normal(), -abs(rng.normal()) - 0.4, -abs(rng.normal()) - 0.3]))
    warm = np.array([1.0, 1.0, 1.0]) + rng.normal() * np.array([0.08, 0.0, -0.08])
    strength = rng.uniform(0.35, 0.95)
    ambient = rng.uniform(0.35, 0.65) * (2 - warm)
    return Light(direction, strength * warm, ambient, tilt @ np.array([0.0, -1.0, 0.0]))


def compose(
    surfaces: s.Surfaces, buffers: Buffers, camera: Camera, behind: Image.Image, light: Light
) -> NDArray[np.float32]:
    """Composite the shaded shapes over the backdrop; return display values 0..255."""
    image, cover = shade(surfaces, buffers, camera, light)
    far = np.asarray(behind, np.float32) / 255
    return np.sqrt(np.clip(image + (1 - cover) * far * far, 0, 1)) * 255


def _motion_blur(rng: np.random.Generator) -> ImageFilter.Kernel:
    """Return a filter for motion blur in a random direction."""
    kernel = np.zeros((5, 5))
    dx, dy = s.unit(rng.normal(size=2)) * rng.uniform(0.8, 2.0)
    for step in np.linspace(-1, 1, 9):
        kernel[round(2 + step * dy), round(2 + step * dx)] += 1
    return ImageFilter.Kernel((5, 5), kernel.ravel().tolist(), float(kernel.sum()))


def _encode_jpeg(values: NDArray[np.float32], rng: np.random.Generator, difficulty: float) -> bytes:
    """Apply exposure, noise and blur, and encode as JPEG."""
    grain = rng.standard_normal((*values.shape[:2], 1), dtype=np.float32)
    grain *= rng.uniform(0, 14 * difficulty)
    values = values * rng.uniform(0.85, 1.3) + (rng.uniform(-12, 12) + grain)
    image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    blur = rng.random()
    if blur < 0.16 * difficulty:
        image = image.filter(_motion_blur(rng))
    elif blur < difficulty:
        image = image.filter(ImageFilter.BoxBlur(float(rng.uniform(0.2, 0.9))))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(60, 96)))
    return file.getvalue()


def render_scene(
    count: int, image_size: tuple[int, int], rng: np.random.Generator, difficulty: float
) -> tuple[bytes, Scene]:
    """Render an image of `count` people.

    Args:
        count: Number of people.
        image_size: Image size (height, width) in pixels.
        rng: Random number generator.
        difficulty: Between 0 and 1, see `create_dataset`.

    Returns:
        The image as JPEG, and the scene.
    """
    height, width = image_size
    camera = Camera(height, width, float(max(image_size) * rng.uniform(1.1, 2.6)))
    pitch = float(np.clip(rng.normal(-4, 4 + 8 * difficulty), -30, 15))
    tilt = rotation_matrix(0, -pitch) @ rotation_matrix(2, float(rng.normal(0, 2)))
    people = _place_people(count, camera, tilt, rng, difficulty)
    assembly = s.Assembly()
    for number, person in enumerate(people):
        outfit = sample_outfit(rng, person.posed.shape.curve)
        figure = build_figure(person.posed, outfit)
        assembly.add(figure, person.rotation, person.origin, number + 1)
        _add_props(assembly, person, rng, difficulty)
    _add_objects(assembly, camera, tilt, people, rng, difficulty)
    surfaces = assembly.surfaces()
    buffers = render(surfaces, camera)
    horizon = height * rng.normal(0.5, 0.05) + camera.focal * np.tan(np.radians(pitch))
    behind = backdrop(rng, image_size, int(horizon), shadow_places(people, camera), difficulty)
    values = compose(surfaces, buffers, camera, behind, sample_light(tilt, rng))
    scene = Scene(camera, people, buffers, surfaces.owner, surfaces.part)
    return _encode_jpeg(values, rng, difficulty), scene
