"""Colour of what the camera sees: light, cloth patterns, wrinkles."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.data.synthetic import shapes as s
from keras_shufflenet.data.synthetic.rendering import Buffers, Camera, Float


class Light(NamedTuple):
    """A distant lamp and the light of the surroundings; directions in camera coordinates."""

    direction: s.Array
    lamp: s.Array
    ambient: s.Array
    up: s.Array


class Hits(NamedTuple):
    """The samples that see a shape."""

    where: tuple[NDArray[np.int64], NDArray[np.int64]]
    shape: NDArray[np.int16]
    ray: Float
    local: Float
    normal: Float


def _hits(surfaces: s.Surfaces, buffers: Buffers, camera: Camera) -> Hits:
    """Local coordinates and outward normals of all visible samples."""
    where = np.nonzero(buffers.index >= 0)
    number = buffers.index[where]
    columns, rows = camera.rays()
    ray = np.stack([columns[where[1]], rows[where[0]], np.ones(len(number), np.float32)], axis=1)
    point = ray * buffers.depth[where][:, None]
    matrix = surfaces.matrix.astype(np.float32)[number]
    local = np.matmul(matrix, point[:, :, None])[:, :, 0]
    local += surfaces.offset.astype(np.float32)[number]
    gradient = _gradient(surfaces, number, local)
    normal = np.matmul(gradient[:, None, :], matrix)[:, 0]
    normal *= 1 / np.sqrt(np.maximum(np.einsum("ni,ni->n", normal, normal), 1e-20))[:, None]
    away = np.einsum("ni,ni->n", normal, ray) > 0
    normal[away] *= -1
    return Hits(where, number, ray, local, normal)


def _gradient(surfaces: s.Surfaces, number: NDArray[np.int16], local: Float) -> Float:
    """Gradient of the implicit surface in local coordinates."""
    profile = surfaces.profile.astype(np.float32)[number]
    gradient = local.copy()
    gradient[:, 2] = -(profile[:, 2] * local[:, 2] + profile[:, 1] / 2)
    boxes = surfaces.is_box[number]
    if boxes.any():
        faces = local[boxes]
        largest = np.abs(faces).argmax(axis=1)
        rows = np.arange(len(faces))
        flat = np.zeros_like(faces)
        flat[rows, largest] = faces[rows, largest]
        gradient[boxes] = flat
    return gradient


def _column(surfaces: s.Surfaces, name: str) -> Float:
    return np.array([getattr(m, name) for m in surfaces.materials], np.float32)


def _mix(surfaces: s.Surfaces, hits: Hits) -> Float:
    """Share of the second colour at every sample."""
    pattern = np.array([m.pattern for m in surfaces.materials])[hits.shape]
    share = np.zeros(len(pattern), np.float32)
    patterned = np.nonzero(pattern)[0]
    if not len(patterned):
        return share
    number, local = hits.shape[patterned], hits.local[patterned]
    metres = local * surfaces.size.astype(np.float32)[number]
    period = _column(surfaces, "period")[number]
    along = metres[:, 2] / period
    around = np.arctan2(local[:, 1], local[:, 0]) * 0.15 / period
    kind = pattern[patterned]
    cases: list[tuple[int, NDArray[np.bool_]]] = [
        (s.HOOPS, along % 1 < 0.5),
        (s.STRIPES, around % 1 < 0.35),
        (s.CHECKS, (along % 1 < 0.5) != (around % 1 < 0.5)),
        (s.SPECKLE, (np.sin(along * 7.1) * np.sin(around * 6.3 + along)) > 0.35),
        (s.OPEN, (metres[:, 1] > 0) & (np.abs(metres[:, 0]) < period)),
        (
            s.PRINT,
            (metres[:, 1] > 0)
            & (np.abs(metres[:, 0]) < period)
            & (np.abs(local[:, 2] - 0.45) < 0.25),
        ),
    ]
    for case, second in cases:
        share[patterned] += (kind == case) & second
    return share


def _wrinkled(surfaces: s.Surfaces, hits: Hits) -> Float:
    """Normals disturbed by folds of the cloth."""
    strength = _column(surfaces, "wrinkle")[hits.shape]
    metres = hits.local * surfaces.size.astype(np.float32)[hits.shape]
    phase = hits.shape.astype(np.float32) * 1.7
    x, y, z = metres.T
    first = np.sin(38 * x + 61 * z + phase + 2 * np.sin(29 * z + 17 * y))
    second = np.sin(47 * z - 33 * y + 1.3 * phase + 2 * np.sin(23 * x))
    normal = hits.normal.copy()
    normal[:, 0] += strength * first
    normal[:, 1] += strength * second
    normal *= 1 / np.sqrt(np.einsum("ni,ni->n", normal, normal))[:, None]
    return normal


def shade(surfaces: s.Surfaces, buffers: Buffers, camera: Camera, light: Light) -> Float:
    """Linear RGB of every buffer sample, (h, w, 3); zero where nothing is seen."""
    hits = _hits(surfaces, buffers, camera)
    share = _mix(surfaces, hits)[:, None]
    color = _column(surfaces, "color")[hits.shape]
    color += share * (_column(surfaces, "second")[hits.shape] - color)
    normal = _wrinkled(surfaces, hits)
    lamp = np.maximum(normal @ light.direction.astype(np.float32) * 0.8 + 0.2, 0)
    sky = 0.65 + 0.35 * (normal @ light.up.astype(np.float32))
    facing = np.abs(np.einsum("ni,ni->n", normal, hits.ray))
    sky *= 0.6 + 0.4 * np.minimum(facing, 1)
    color *= lamp[:, None] * light.lamp.astype(np.float32) + sky[:, None] * light.ambient.astype(
        np.float32
    )
    half = s.unit(light.direction - np.array([0.0, 0.0, 1.0])).astype(np.float32)
    shine = np.maximum(normal @ half, 0) ** 24
    color += (_column(surfaces, "gloss")[hits.shape] * shine)[:, None]
    image = np.zeros((*buffers.depth.shape, 3), np.float32)
    image[hits.where] = color
    return image
