"""The solids of people and objects: quadrics with an elliptic section, and boxes."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PLAIN, HOOPS, STRIPES, CHECKS, SPECKLE, OPEN, PRINT = range(7)

# What a shape belongs to: keypoints of the face behind the own head are not labeled.
OBJECT, BODY, HEAD = range(3)


@dataclass(frozen=True)
class Material:
    """Appearance of a surface: colors are linear RGB 0..1, the pattern's period is in meters."""

    color: tuple[float, float, float]
    second: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pattern: int = PLAIN
    period: float = 0.05
    wrinkle: float = 0.0
    gloss: float = 0.0


@dataclass(frozen=True)
class Shape:
    """A solid in meters.

    A point p has the local coordinates l = frame @ (p - center) / size. A quadric is the surface
    l0^2 + l1^2 = c0 + c1 * l2 + c2 * l2^2 with (c0, c1, c2) = profile and l2 within span; this
    covers ellipsoids, cones, cylinders and bulging limbs. Without one it is the box |l| <= 1.
    """

    center: Array
    frame: Array
    size: Array
    material: Material
    profile: tuple[float, float, float] | None = None
    span: tuple[float, float] = (-1.0, 1.0)
    hollow: bool = False
    part: int = OBJECT


def unit(vector: Array) -> Array:
    """Return the vector scaled to unit length."""
    return vector / max(float(np.sqrt(vector @ vector)), 1e-9)


def cross(a: Array, b: Array) -> Array:
    """Return the cross product of two 3-vectors, much faster than `numpy.cross`."""
    return np.array(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )


def axis_frame(axis: Array, side: Array) -> Array:
    """Return orthonormal rows: a direction close to `side`, a second one, and `axis`."""
    axis = unit(axis)
    first = side - (side @ axis) * axis
    if first @ first < 1e-6:
        first = np.array([axis[1], axis[2], axis[0]])
        first = first - (first @ axis) * axis
    first = unit(first)
    return np.stack([first, cross(axis, first), axis])


def limb(
    start: Array,
    end: Array,
    radii: tuple[float, float, float],
    material: Material,
    *,
    side: Array,
    flat: float = 1.0,
    hollow: bool = False,
    part: int = BODY,
) -> Shape:
    """Return a tapered, bulging tube from `start` to `end`.

    Args:
        start: Center of the first section.
        end: Center of the last section.
        radii: Radius along `side` at the start, the middle and the end.
        material: Material of the surface.
        side: Direction of the section's first half axis.
        flat: Second half axis of the section, relative to the first.
        hollow: Whether the inside is visible through the open ends.
        part: OBJECT, BODY or HEAD.
    """
    axis = end - start
    first, middle, last = (radius * radius for radius in radii)
    profile = (first, 4 * middle - 3 * first - last, 2 * first + 2 * last - 4 * middle)
    size = np.array([1.0, flat, max(float(np.sqrt(axis @ axis)), 1e-6)])
    return Shape(start, axis_frame(axis, side), size, material, profile, (0.0, 1.0), hollow, part)


def ellipsoid(
    center: Array,
    frame: Array,
    radii: tuple[float, float, float],
    material: Material,
    *,
    span: tuple[float, float] = (-1.0, 1.0),
    hollow: bool = False,
    part: int = BODY,
) -> Shape:
    """Return an ellipsoid with half axes along the rows of `frame`, truncated to `span`."""
    size = np.asarray(radii, dtype=float)
    return Shape(center, frame, size, material, (1.0, 0.0, -1.0), span, hollow, part)


def ball(center: Array, radius: float, material: Material, part: int = BODY) -> Shape:
    """Return a sphere."""
    return ellipsoid(center, np.eye(3), (radius, radius, radius), material, part=part)


def box(center: Array, frame: Array, half: tuple[float, float, float], material: Material) -> Shape:
    """Return a cuboid with half edges `half` along the rows of `frame`."""
    return Shape(center, frame, np.asarray(half, dtype=float), material)


class Surfaces(NamedTuple):
    """Shapes as arrays, in camera coordinates (x right, y down, z away from the camera).

    Attributes:
        matrix: (N, 3, 3), local coordinates are matrix @ point + offset.
        offset: (N, 3), see `matrix`.
        profile: (N, 3), coefficients of the squared radius.
        span: (N, 2), range of the third local coordinate.
        reach: (N,), maximum section radius in local units.
        size: (N, 3), half axes in meters.
        is_box: (N,) bool.
        hollow: (N,) bool.
        part: (N,), OBJECT, BODY or HEAD.
        owner: (N,), 0 for objects, 1.. for people.
        materials: The material of each shape.
    """

    matrix: Array
    offset: Array
    profile: Array
    span: Array
    reach: Array
    size: Array
    is_box: NDArray[np.bool_]
    hollow: NDArray[np.bool_]
    part: NDArray[np.int64]
    owner: NDArray[np.int64]
    materials: list[Material]


@dataclass
class Assembly:
    """The shapes of a scene and their placements."""

    shapes: list[Shape] = field(default_factory=list)
    placements: list[tuple[Array, Array, int]] = field(default_factory=list)

    def add(self, shapes: list[Shape], rotation: Array, origin: Array, owner: int) -> None:
        """Add shapes; their points p are at rotation @ p + origin in camera coordinates."""
        self.shapes += shapes
        self.placements += [(rotation, origin, owner)] * len(shapes)

    def surfaces(self) -> Surfaces:
        """Return all shapes as arrays."""
        shapes = self.shapes
        rotation = np.stack([placement[0] for placement in self.placements])
        origin = np.stack([placement[1] for placement in self.placements])
        size = np.stack([shape.size for shape in shapes])
        center = np.stack([shape.center for shape in shapes])
        matrix = np.stack([shape.frame for shape in shapes]) / size[:, :, None]
        matrix = matrix @ rotation.transpose(0, 2, 1)
        center = np.einsum("nij,nj->ni", rotation, center) + origin
        profile = np.array([shape.profile or (1.0, 0.0, 0.0) for shape in shapes])
        span = np.array([shape.span for shape in shapes])
        is_box = np.array([shape.profile is None for shape in shapes])
        return Surfaces(
            matrix=matrix,
            offset=-np.einsum("nij,nj->ni", matrix, center),
            profile=profile,
            span=span,
            reach=np.where(is_box, 1.0, _reach(profile, span)),
            size=size,
            is_box=is_box,
            hollow=np.array([shape.hollow for shape in shapes]),
            part=np.array([shape.part for shape in shapes]),
            owner=np.array([placement[2] for placement in self.placements]),
            materials=[shape.material for shape in shapes],
        )


def _reach(profile: Array, span: Array) -> Array:
    """Return the maximum radius of each quadric over its span."""
    c0, c1, c2 = profile.T
    with np.errstate(divide="ignore", invalid="ignore"):
        turning = np.where(c2 < 0, -c1 / (2 * c2), span[:, 0])
    where = np.stack([span[:, 0], span[:, 1], np.clip(turning, span[:, 0], span[:, 1])])
    return np.sqrt(np.maximum(c0 + c1 * where + c2 * where**2, 0.0).max(axis=0))
