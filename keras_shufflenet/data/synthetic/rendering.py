"""Drawing shapes: exact ray intersection into a depth buffer, then shading of what is seen."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.data.synthetic import shapes as s

Float = NDArray[np.float32]


class Camera(NamedTuple):
    """A pinhole camera looking along +z; pixel centres have integer coordinates."""

    height: int
    width: int
    focal: float
    supersampling: int = 2

    def project(self, points: s.Array) -> s.Array:
        """(N, 3) points to (N, 2) pixels (x, y)."""
        center = np.array([(self.width - 1) / 2, (self.height - 1) / 2])
        return points[..., :2] / points[..., 2:] * self.focal + center

    def sample(self, pixels: s.Array) -> s.Array:
        """Pixels to (fractional) rows and columns of the buffers, in the same (x, y) order."""
        return (pixels + 0.5) * self.supersampling - 0.5

    def rays(self) -> tuple[Float, Float]:
        """Slopes x/z of every buffer column and y/z of every buffer row."""
        columns = (np.arange(self.width * self.supersampling) + 0.5) / self.supersampling - 0.5
        rows = (np.arange(self.height * self.supersampling) + 0.5) / self.supersampling - 0.5
        columns = (columns - (self.width - 1) / 2) / self.focal
        rows = (rows - (self.height - 1) / 2) / self.focal
        return columns.astype(np.float32), rows.astype(np.float32)


class Buffers(NamedTuple):
    """What every sample sees: depth in metres (inf: nothing) and the number of the shape (-1)."""

    depth: Float
    index: NDArray[np.int16]


def windows(surfaces: s.Surfaces, camera: Camera) -> NDArray[np.int64]:
    """(N, 4) buffer windows (x0, y0, x1, y1) that hold each shape; empty when out of sight."""
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


def render(surfaces: s.Surfaces, camera: Camera) -> Buffers:
    """Find the nearest surface of every sample."""
    columns, rows = camera.rays()
    depth = np.full((len(rows), len(columns)), np.inf, np.float32)
    index = np.full(depth.shape, -1, np.int16)
    for number, (x0, y0, x1, y1) in enumerate(windows(surfaces, camera)):
        if x0 >= x1 or y0 >= y1:
            continue
        window = (slice(y0, y1), slice(x0, x1))
        hit = _box if surfaces.is_box[number] else _quadric
        found = hit(surfaces, number, columns[x0:x1], rows[y0:y1, None])
        nearer = found < depth[window]
        np.copyto(depth[window], found, where=nearer)
        index[window][nearer] = number
    return Buffers(depth, index)


def _directions(surfaces: s.Surfaces, number: int, x: Float, y: Float) -> list[Float]:
    """Rays (x, y, 1) in the shape's local coordinates."""
    matrix = surfaces.matrix[number].astype(np.float32)
    return [x * row[0] + (y * row[1] + row[2]) for row in matrix]


def _quadric(surfaces: s.Surfaces, number: int, x: Float, y: Float) -> Float:
    """Depth where the rays meet the quadric, inf where they do not."""
    gx, gy, gz = _directions(surfaces, number, x, y)
    mx, my, mz = surfaces.offset[number].tolist()
    c0, c1, c2 = surfaces.profile[number].tolist()
    low, high = surfaces.span[number].tolist()
    a = gx * gx + gy * gy - c2 * gz * gz
    b = mx * gx + my * gy - (c2 * mz + c1 / 2) * gz
    c = mx * mx + my * my - c2 * mz * mz - c1 * mz - c0
    inside = b * b - a * c
    missed = inside <= 0
    root = np.sqrt(np.where(missed, np.float32(0), inside))
    a = np.where(np.abs(a) < 1e-9, np.float32(1e-9), a)
    root = np.copysign(root, a)
    near = (-b - root) / a
    along = near * gz + mz
    outside = missed | (along < low) | (along > high) | (near <= 0)
    near[outside] = np.inf
    if surfaces.hollow[number]:
        far = (root - b) / a
        along = far * gz + mz
        far[missed | (along < low) | (along > high) | (far <= 0)] = np.inf
        near = np.minimum(near, far)
    return near


def _box(surfaces: s.Surfaces, number: int, x: Float, y: Float) -> Float:
    """Depth where the rays enter the box, inf where they miss it."""
    enter = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    leave = np.full(enter.shape, np.inf, np.float32)
    for direction, offset in zip(
        _directions(surfaces, number, x, y), surfaces.offset[number].tolist(), strict=True
    ):
        slope = np.where(np.abs(direction) < 1e-9, np.float32(1e-9), direction)
        one, other = (-1 - offset) / slope, (1 - offset) / slope
        enter = np.maximum(enter, np.minimum(one, other))
        leave = np.minimum(leave, np.maximum(one, other))
    enter[(enter >= leave) | (enter <= 0)] = np.inf
    return enter
