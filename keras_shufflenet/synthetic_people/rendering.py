"""Rendering of shapes into depth and index buffers by exact ray intersection."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.synthetic_people import shapes as s

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]


class Camera(NamedTuple):
    """A pinhole camera looking along +z; pixel centers have integer coordinates."""

    height: int
    width: int
    focal: float
    supersampling: int = 2

    def project(self, points: s.Array) -> s.Array:
        """Project points (N, 3) to pixels (N, 2) as (x, y)."""
        center = np.array([(self.width - 1) / 2, (self.height - 1) / 2])
        return points[..., :2] / points[..., 2:] * self.focal + center

    def sample(self, pixels: s.Array) -> s.Array:
        """Convert pixels to fractional buffer positions, both as (x, y)."""
        return (pixels + 0.5) * self.supersampling - 0.5

    def rays(self) -> tuple[Float, Float]:
        """Return the slopes x/z of the buffer columns and y/z of the buffer rows."""
        columns = (np.arange(self.width * self.supersampling) + 0.5) / self.supersampling - 0.5
        rows = (np.arange(self.height * self.supersampling) + 0.5) / self.supersampling - 0.5
        columns = (columns - (self.width - 1) / 2) / self.focal
        rows = (rows - (self.height - 1) / 2) / self.focal
        return columns.astype(np.float32), rows.astype(np.float32)


@dataclass(frozen=True)
class Buffers:
    """Depth in meters (inf for none) and shape index (-1 for none) of every sample."""

    depth: Float
    index: NDArray[np.int16]


def windows(surfaces: s.Surfaces, camera: Camera) -> NDArray[np.int64]:
    """Return the buffer windows (x0, y0, x1, y1) (N, 4) of the shapes; empty if not visible."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 1)])
    corners = np.empty((len(surfaces.reach), 8, 3))
    corners[:, :, :2] = signs[None, :, :2] * surfaces.reach[:, None, None]
    corners[:, :, 2] = np.where(signs[:, 2] == 1, surfaces.span[:, 1:], surfaces.span[:, :1])
    inverse = np.linalg.inv(surfaces.matrix)
    points = np.einsum("nij,nkj->nki", inverse, corners - surfaces.offset[:, None])
    behind = (points[..., 2] < 0.05).any(axis=1)
    points[..., 2] = np.maximum(points[..., 2], 0.05)
    samples = camera.sample(camera.project(points))
    low, high = samples.min(axis=1), samples.max(axis=1)
    limit = np.array([camera.width, camera.height]) * camera.supersampling
    found = np.concatenate([np.floor(low), np.ceil(high) + 1], axis=1)
    found = np.clip(found, 0, np.tile(limit, 2)).astype(np.int64)
    found[behind] = 0
    return found


class _Equations(NamedTuple):
    """Intersections of rays and shapes, as polynomials of slopes relative to the window center.

    A ray s * (x, y, 1) has the local coordinates s * g + offset with linear g, and intersects a
    quadric where a s^2 + 2 b s + c = 0 with a quadratic a, a linear b and a constant c. Quadratic
    polynomials have the coefficients of 1, x, y, xx, xy, yy; linear ones those of 1, x, y.

    Attributes:
        center: (N, 2), slopes of the window center.
        divisor: (N, 6), a.
        radicand: (N, 6), b^2 - a c.
        middle: (N, 3), -b.
        local: (N, 3, 3), g.
        limits: (N, 2), range of s * g2.
    """

    center: s.Array
    divisor: s.Array
    radicand: s.Array
    middle: s.Array
    local: s.Array
    limits: s.Array


def _square(form: s.Array) -> s.Array:
    """Return the squares of linear polynomials (N, 3) as quadratic ones (N, 6)."""
    k, x, y = form.T
    return np.stack([k * k, 2 * k * x, 2 * k * y, x * x, 2 * x * y, y * y], axis=1)


def _equations(surfaces: s.Surfaces, center: s.Array) -> _Equations:
    local = surfaces.matrix[..., [2, 0, 1]].copy()
    local[..., 0] += (surfaces.matrix[..., :2] * center[:, None]).sum(axis=-1)
    offset, (c0, c1, c2) = surfaces.offset, surfaces.profile.T
    weights = np.stack([offset[:, 0], offset[:, 1], -c2 * offset[:, 2] - c1 / 2], axis=1)
    b = (weights[:, :, None] * local).sum(axis=1)
    c = (offset[:, :2] ** 2).sum(axis=1) - (c2 * offset[:, 2] + c1) * offset[:, 2] - c0
    a = _square(local[:, 0]) + _square(local[:, 1]) - c2[:, None] * _square(local[:, 2])
    limits = surfaces.span - offset[:, 2:]
    return _Equations(center, a, _square(b) - a * c[:, None], -b, local, limits)


def _linear(coefficients: s.Array, x: Float, y: Float) -> Float:
    """Evaluate a linear polynomial on the grid of a row `x` and a column `y`."""
    k0, k1, k2 = coefficients.tolist()
    return (k0 + k1 * x) + k2 * y


def _quadratic(coefficients: s.Array, x: Float, y: Float) -> Float:
    k0, k1, k2, k3, k4, k5 = coefficients.tolist()
    return ((k0 + x * (k1 + k3 * x)) + y * (k2 + k5 * y)) + (k4 * y) * x


def render(surfaces: s.Surfaces, camera: Camera) -> Buffers:
    """Find the nearest surface of every sample."""
    columns, rows = camera.rays()
    depth = np.full((len(rows), len(columns)), np.inf, np.float32)
    index = np.full(depth.shape, -1, np.int16)
    areas = windows(surfaces, camera)
    middle = np.minimum((areas[:, :2] + areas[:, 2:]) // 2, [len(columns) - 1, len(rows) - 1])
    center = np.stack([columns[middle[:, 0]], rows[middle[:, 1]]], axis=1).astype(np.float64)
    equations = _equations(surfaces, center)
    with np.errstate(invalid="ignore", divide="ignore"):
        for number in np.nonzero((areas[:, :2] < areas[:, 2:]).all(axis=1))[0].tolist():
            x0, y0, x1, y1 = areas[number].tolist()
            x = columns[x0:x1] - np.float32(center[number, 0])
            y = rows[y0:y1, None] - np.float32(center[number, 1])
            intersect = _box if surfaces.is_box[number] else _quadric
            seen, known = depth[y0:y1, x0:x1], index[y0:y1, x0:x1]
            for found, valid in intersect(surfaces, equations, number, x, y):
                nearer = (found < seen) & valid
                np.copyto(seen, found, where=nearer)
                np.copyto(known, number, where=nearer)
    return Buffers(depth, index)


# Depths, and whether the ray intersects the surface there.
Intersections = Iterator[tuple[Float, Bool]]


def _quadric(
    surfaces: s.Surfaces, equations: _Equations, number: int, x: Float, y: Float
) -> Intersections:
    """Yield the intersections with a quadric; depths are NaN where there is none."""
    root = np.sqrt(_quadratic(equations.radicand[number], x, y))
    divisor = _quadratic(equations.divisor[number], x, y)
    if surfaces.profile[number, 2] > 0:
        root = np.copysign(root, divisor)
    middle = _linear(equations.middle[number], x, y)
    along = _linear(equations.local[number, 2], x, y)
    low, high = equations.limits[number].tolist()
    for sign in (-1, 1) if surfaces.hollow[number] else (-1,):
        depth = (middle + sign * root) / divisor
        place = depth * along
        yield depth, (place >= low) & (place <= high)


def _box(
    surfaces: s.Surfaces, equations: _Equations, number: int, x: Float, y: Float
) -> Intersections:
    """Yield the intersections where rays enter a box."""
    enter = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    leave = np.full(enter.shape, np.inf, np.float32)
    for local, offset in zip(
        equations.local[number], surfaces.offset[number].tolist(), strict=True
    ):
        inverse = 1 / _linear(local, x, y)
        middle, half = -offset * inverse, np.abs(inverse)
        np.maximum(enter, middle - half, out=enter)
        np.minimum(leave, middle + half, out=leave)
    yield enter, (enter < leave) & (enter > 0)
