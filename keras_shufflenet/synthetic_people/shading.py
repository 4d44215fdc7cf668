"""Shading of visible surfaces: light, cloth patterns, wrinkles."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.synthetic_people import shapes as s
from keras_shufflenet.synthetic_people.rendering import Buffers, Camera, Float

Index = NDArray[np.int64]


class Light(NamedTuple):
    """A distant lamp and ambient light; directions are in camera coordinates."""

    direction: s.Array
    lamp: s.Array
    ambient: s.Array
    up: s.Array


class Hits(NamedTuple):
    """N samples that show a shape; vectors are (3, N).

    Attributes:
        shape: Index of the shape.
        ray: Direction from the camera, with z = 1.
        local: Local coordinates of the point.
        meters: Local coordinates in meters.
        normal: Unit normal, towards the camera.
    """

    shape: NDArray[np.int16]
    ray: Float
    local: Float
    meters: Float
    normal: Float


def _split(index: NDArray[np.int16], n: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return masks (H, W) of pixels whose samples show one shape, and of mixed pixels."""
    first = index[::n, ::n]
    same, most = np.ones(first.shape, bool), first
    for i, j in np.ndindex(n, n):
        same &= index[i::n, j::n] == first
        most = np.maximum(most, index[i::n, j::n])
    return same & (first >= 0), ~same & (most >= 0)


def _hits(
    surfaces: s.Surfaces, buffers: Buffers, rays: tuple[Float, Float], rows: Index, columns: Index
) -> Hits:
    """Return local coordinates and normals of samples that show a shape."""
    number = buffers.index[rows, columns]
    depth, x, y = buffers.depth[rows, columns], rays[0][columns], rays[1][rows]
    matrix = _take(surfaces.matrix.reshape(-1, 9), number).reshape(3, 3, -1)
    local = (matrix[:, 0] * x + matrix[:, 1] * y + matrix[:, 2]) * depth
    local += _take(surfaces.offset, number)
    gradient = _gradient(surfaces, number, local)
    normal = matrix[0] * gradient[0] + matrix[1] * gradient[1] + matrix[2] * gradient[2]
    towards = normal[0] * x + normal[1] * y + normal[2]
    normal = _unit(normal) * -np.copysign(np.float32(1), towards)
    ray = np.stack([x, y, np.ones_like(x)])
    return Hits(number, ray, local, local * _take(surfaces.size, number), normal)


def _take(table: NDArray[np.floating], number: NDArray[np.integer]) -> Float:
    """Return the rows of a table (shapes, k) for every hit, as (k, N)."""
    return np.take(np.ascontiguousarray(table.T, np.float32), number, axis=1)


def _unit(vectors: Float) -> Float:
    x, y, z = vectors
    return vectors / np.sqrt(np.maximum(x * x + y * y + z * z, 1e-20))


def _gradient(surfaces: s.Surfaces, number: NDArray[np.int16], local: Float) -> Float:
    """Return the gradient of the implicit surface in local coordinates, (3, N)."""
    profile = _take(surfaces.profile, number)
    gradient = local.copy()
    gradient[2] = -(profile[2] * local[2] + profile[1] / 2)
    boxes = np.nonzero(surfaces.is_box[number])[0]
    faces = local[:, boxes]
    gradient[:, boxes] = np.where(np.abs(faces) == np.abs(faces).max(axis=0), faces, 0)
    return gradient


def _values(surfaces: s.Surfaces, name: str) -> Float:
    """Return a property of every shape's material."""
    return np.array([getattr(material, name) for material in surfaces.materials], np.float32)


def _second_color(surfaces: s.Surfaces, hits: Hits) -> NDArray[np.bool_]:
    """Return where a pattern has its second color."""
    pattern = _values(surfaces, "pattern").astype(np.int8)[hits.shape]
    shown = np.zeros(len(pattern), bool)
    patterned = np.nonzero(pattern)[0]
    number, local = hits.shape[patterned], hits.local[:, patterned]
    x, y, z = hits.meters[:, patterned]
    period = _values(surfaces, "period")[number]
    along, around = z / period, np.arctan2(local[1], local[0]) * 0.15 / period
    strip = (y > 0) & (np.abs(x) < period)
    cases = {
        s.HOOPS: along % 1 < 0.5,
        s.STRIPES: around % 1 < 0.35,
        s.CHECKS: (along % 1 < 0.5) != (around % 1 < 0.5),
        s.SPECKLE: np.sin(along * 7.1) * np.sin(around * 6.3 + along) > 0.35,
        s.OPEN: strip,
        s.PRINT: strip & (np.abs(local[2] - 0.45) < 0.25),
    }
    for kind, where in cases.items():
        shown[patterned] |= (pattern[patterned] == kind) & where
    return shown


def _wrinkled(surfaces: s.Surfaces, hits: Hits) -> Float:
    """Return normals perturbed by wrinkles."""
    strength = _values(surfaces, "wrinkle")[hits.shape]
    x, y, z = hits.meters
    phase = hits.shape * np.float32(1.7)
    normal = hits.normal.copy()
    normal[0] += strength * np.sin(38 * x + 61 * z + phase + 2 * np.sin(29 * z + 17 * y))
    normal[1] += strength * np.sin(47 * z - 33 * y + phase + 2 * np.sin(23 * x))
    return _unit(normal)


def _lit(surfaces: s.Surfaces, hits: Hits, light: Light) -> Float:
    """Return linear RGB, (3, N)."""
    colors = np.concatenate([_values(surfaces, "color"), _values(surfaces, "second")])
    second = len(surfaces.materials) * _second_color(surfaces, hits)
    color = _take(colors, hits.shape + second)
    normal = _wrinkled(surfaces, hits)
    direction, lamp, ambient, up = (vector.astype(np.float32) for vector in light)
    lamp_weight = np.maximum(direction @ normal * 0.85 + 0.15, 0)
    sky_weight = 0.65 + 0.35 * (up @ normal)
    sky_weight *= 0.55 + 0.45 * np.abs((normal * hits.ray).sum(axis=0))
    color *= lamp[:, None] * lamp_weight + ambient[:, None] * sky_weight
    half = s.unit(light.direction - np.array([0.0, 0.0, 1.0])).astype(np.float32)
    shine = np.maximum(half @ normal, 0) ** 24
    color += _values(surfaces, "gloss")[hits.shape] * shine
    return color


def _ambient_occlusion(depth: Float, reach: int) -> Float:
    """Return ambient occlusion, 0..1: how much closer the neighborhood is than a pixel."""
    solid = np.isfinite(depth)
    near = np.where(solid, depth, depth.max(where=solid, initial=0) + 2)
    total = np.pad(near, (reach + 1, reach), mode="edge").cumsum(0, np.float64).cumsum(1)
    side = 2 * reach + 1
    mean = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return np.clip((near - mean / side**2) * 3, 0, 1).astype(np.float32)


def shade(
    surfaces: s.Surfaces, buffers: Buffers, camera: Camera, light: Light
) -> tuple[Float, Float]:
    """Shade the visible shapes.

    A pixel that shows one shape is shaded once, a mixed pixel once per sample.

    Returns:
        Linear RGB (H, W, 3), black where there is no shape, and the coverage (H, W, 1).
    """
    n, rays = camera.supersampling, camera.rays()
    image = np.zeros((camera.height, camera.width, 4), np.float32)
    alike, mixed = _split(buffers.index, n)
    rows, columns = np.nonzero(alike)
    image[alike, :3] = _lit(
        surfaces, _hits(surfaces, buffers, rays, rows * n, columns * n), light
    ).T
    image[alike, 3] = 1
    rows, columns = np.nonzero(mixed)
    i, j = np.indices((n, n)).reshape(2, -1)
    rows, columns = (rows[:, None] * n + i).ravel(), (columns[:, None] * n + j).ravel()
    seen = buffers.index[rows, columns] >= 0
    samples = np.zeros((len(seen), 4), np.float32)
    hits = _hits(surfaces, buffers, rays, rows[seen], columns[seen])
    samples[seen, :3] = _lit(surfaces, hits, light).T
    samples[seen, 3] = 1
    image[mixed] = samples.reshape(-1, n * n, 4).mean(axis=1)
    dark = _ambient_occlusion(buffers.depth[:: 2 * n, :: 2 * n], max(camera.height // 120, 1))
    dark = dark.repeat(2, axis=0).repeat(2, axis=1)[: camera.height, : camera.width, None]
    return image[..., :3] * (1 - 0.5 * dark), image[..., 3:]
