"""The solids that people and things are made of: quadrics with an elliptic section, boxes."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PLAIN, HOOPS, STRIPES, CHECKS, SPECKLE, OPEN, PRINT = range(7)

# What a shape belongs to; visibility of the face depends on whether it is the head that hides it.
THING, BODY, HEAD = range(3)


@dataclass(frozen=True)
class Material:
    """How a surface looks: colors are linear RGB in 0..1, the pattern's period is in meters."""

    color: tuple[float, float, float]
    second: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pattern: int = PLAIN
    period: float = 0.05
    wrinkle: float = 0.0
    gloss: float = 0.0


@dataclass(frozen=True)
class Shape:
    """One solid in meters.

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
    part: int = THING


def unit(vector: Array) -> Array:
    """The vector scaled to length one."""
    return vector / max(float(np.sqrt(vector @ vector)), 1e-9)


def cross(a: Array, b: Array) -> Array:
    """Cross product of two 3-vectors; much faster than `numpy.cross` on single ones."""
    return np.array(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )


def axis_frame(axis: Array, side: Array) -> Array:
    """Rows: a first direction close to `side`, a second one, and `axis`, all orthonormal."""
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
    """A tapered, bulging tube from `start` to `end`.

    Args:
        start: center of the first section.
        end: center of the last section.
        radii: radius along `side` at the start, the middle and the end.
        material: how it looks.
        side: direction of the section's first half axis.
        flat: second half axis of the section, relative to the first.
        hollow: whether the inside can be seen through the open ends.
        part: THING, BODY or HEAD.
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
    """An ellipsoid with half axes `radii` along the rows of `frame`, cut to `span` of the third."""
    size = np.asarray(radii, dtype=float)
    return Shape(center, frame, size, material, (1.0, 0.0, -1.0), span, hollow, part)


def ball(center: Array, radius: float, material: Material, part: int = BODY) -> Shape:
    """A sphere."""
    return ellipsoid(center, np.eye(3), (radius, radius, radius), material, part=part)


def box(center: Array, frame: Array, half: tuple[float, float, float], material: Material) -> Shape:
    """A cuboid with half edges `half` along the rows of `frame`."""
    return Shape(center, frame, np.asarray(half, dtype=float), material)


class Surfaces(NamedTuple):
    """Shapes as arrays, in camera coordinates (x right, y down, z away from the camera).

    Attributes:
        matrix: (N, 3, 3), and offset: (N, 3): local coordinates = matrix @ point + offset.
        profile: (N, 3) coefficients of the squared radius.
        span: (N, 2) range of the third local coordinate.
        reach: (N,) largest section radius in local units.
        size: (N, 3) half axes in meters.
        is_box: (N,) and hollow: (N,) booleans.
        part: (N,) THING, BODY or HEAD.
        owner: (N,) 0 for things, 1.. for people.
        materials: one per shape.
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
    """Collects placed shapes of a scene."""

    shapes: list[Shape] = field(default_factory=list)
    placements: list[tuple[Array, Array, int]] = field(default_factory=list)

    def add(self, shapes: list[Shape], rotation: Array, origin: Array, owner: int) -> None:
        """Place shapes: their point p goes to rotation @ p + origin in the camera's system."""
        self.shapes += shapes
        self.placements += [(rotation, origin, owner)] * len(shapes)

    def surfaces(self) -> Surfaces:
        """All shapes as arrays."""
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
    """Largest radius of each quadric over its span."""
    c0, c1, c2 = profile.T
    with np.errstate(divide="ignore", invalid="ignore"):
        turning = np.where(c2 < 0, -c1 / (2 * c2), span[:, 0])
    where = np.stack([span[:, 0], span[:, 1], np.clip(turning, span[:, 0], span[:, 1])])
    return np.sqrt(np.maximum(c0 + c1 * where + c2 * where**2, 0.0).max(axis=0))
