"""Head, face and hair as solids; lengths are in units of the head's radius."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_shufflenet.synthetic_people import shapes as s
from keras_shufflenet.synthetic_people.clothing import Outfit
from keras_shufflenet.synthetic_people.pose import Posed
from keras_shufflenet.synthetic_people.shapes import HEAD, Array, Material, Shape

EYE_WHITE = Material((0.75, 0.73, 0.7), gloss=0.2)
IRIS = Material((0.015, 0.01, 0.01), gloss=0.1)
LENS = Material((0.01, 0.01, 0.012), gloss=0.4)

Triple = tuple[float, float, float]


class Kit(NamedTuple):
    """Places solids on a head: offsets and radii are (left, forward, up)."""

    center: Array
    frame: Array
    radius: float

    def at(self, offset: Triple) -> Array:
        """A point of the head in the body's system."""
        return self.center + np.asarray(offset) @ self.frame * self.radius

    def oval(
        self,
        offset: Triple,
        radii: Triple,
        material: Material,
        *,
        tip: float = 0.0,
        span: tuple[float, float] = (-1.0, 1.0),
    ) -> Shape:
        """An ellipsoid; its up axis is tipped backwards by `tip` and cut to `span`."""
        left, forward, up = self.frame
        frame = s.axis_frame(up - tip * forward, left) if tip else self.frame
        a, b, c = (radius * self.radius for radius in radii)
        whole = span == (-1.0, 1.0)
        return s.ellipsoid(
            self.at(offset), frame, (a, b, c), material, span=span, hollow=not whole, part=HEAD
        )


def build_head(posed: Posed, outfit: Outfit) -> list[Shape]:
    """Neck, head, face and hair of a person."""
    kit = Kit(posed.points["skull"], posed.head, posed.shape.head)
    skin, size = outfit.skin, posed.shape.stature / 1.75
    nape = posed.points["neck"] - posed.chest[2] * 0.03
    thick = 0.058 * size * posed.shape.build**0.5
    neck = s.limb(
        nape, kit.at((0, -0.12, -0.3)), (thick * 1.1, thick, thick), skin, side=posed.head[0]
    )
    brow, jaw = kit.at((0, 0.02, 0.3)), kit.at((0, 0.18, -0.85))
    taper = (0.745 * kit.radius, 0.71 * kit.radius, 0.42 * kit.radius)
    shapes = [
        neck,
        kit.oval((0, 0, 0.18), (0.76, 0.98, 0.95), skin),
        s.limb(brow, jaw, taper, skin, side=posed.head[0], flat=1.22, part=HEAD),
        kit.oval((0, 0.36, -0.84), (0.34, 0.42, 0.3), skin),
    ]
    return shapes + _face(kit, outfit) + HAIR[outfit.hair_style](kit, outfit)


def _face(kit: Kit, outfit: Outfit) -> list[Shape]:
    skin, hair = outfit.skin, outfit.hair
    shapes = [
        kit.oval((0, 0.96, -0.1), (0.12, 0.2, 0.19), skin),
        kit.oval((0, 0.84, -0.58), (0.25, 0.08, 0.085), outfit.lips),
    ]
    for x in (0.33, -0.33):
        if outfit.glasses:
            shapes.append(kit.oval((x, 0.87, 0.13), (0.26, 0.1, 0.2), LENS))
        else:
            shapes.append(kit.oval((x, 0.82, 0.14), (0.16, 0.09, 0.1), EYE_WHITE))
            shapes.append(kit.oval((x, 0.87, 0.14), (0.085, 0.07, 0.085), IRIS))
        shapes.append(kit.oval((x, 0.83, 0.36), (0.23, 0.08, 0.05), hair))
        shapes.append(kit.oval((x * 2.36, 0.0, 0.02), (0.09, 0.17, 0.28), skin))
    if outfit.beard:
        jaw = kit.oval((0, 0.2, -0.5), (0.68, 0.76, 0.72), hair, tip=-0.6, span=(-1.0, -0.2))
        shapes += [jaw, kit.oval((0, 0.4, -0.9), (0.36, 0.43, 0.32), hair)]
        shapes.append(kit.oval((0, 0.84, -0.42), (0.26, 0.09, 0.07), hair))
    return shapes


def _bald(kit: Kit, outfit: Outfit) -> list[Shape]:
    return []


def _short(kit: Kit, outfit: Outfit) -> list[Shape]:
    cover = kit.oval((0, -0.02, 0.22), (0.84, 1.04, 1.02), outfit.hair, tip=0.62, span=(0.08, 1.0))
    return [cover, kit.oval((0, -0.5, -0.12), (0.72, 0.5, 0.72), outfit.hair)]


def _long(kit: Kit, outfit: Outfit) -> list[Shape]:
    locks = [kit.oval((x, -0.12, -0.5), (0.2, 0.4, 1.0), outfit.hair) for x in (0.74, -0.74)]
    fall = kit.oval((0, -0.55, -0.8), (0.86, 0.42, 1.25), outfit.hair)
    return [*_short(kit, outfit), *locks, fall]


def _tail(kit: Kit, outfit: Outfit) -> list[Shape]:
    start, end = kit.at((0, -0.95, 0.25)), kit.at((0, -1.15, -1.6))
    radii = (0.2 * kit.radius, 0.28 * kit.radius, 0.06 * kit.radius)
    tail = s.limb(start, end, radii, outfit.hair, side=kit.frame[0], part=HEAD)
    return [*_short(kit, outfit), tail]


def _bun(kit: Kit, outfit: Outfit) -> list[Shape]:
    return [*_short(kit, outfit), kit.oval((0, -0.8, 0.85), (0.4, 0.4, 0.4), outfit.hair)]


def _cap(kit: Kit, outfit: Outfit) -> list[Shape]:
    dome = kit.oval((0, 0, 0.27), (0.88, 1.08, 1.0), outfit.hat, tip=0.1, span=(0.2, 1.0))
    brim = kit.oval((0, 0.98, 0.5), (0.6, 0.6, 0.06), outfit.hat)
    return [*_short(kit, outfit), dome, brim]


def _beanie(kit: Kit, outfit: Outfit) -> list[Shape]:
    return [kit.oval((0, -0.04, 0.25), (0.88, 1.08, 1.12), outfit.hat, tip=0.3, span=(0.05, 1.0))]


def _hood(kit: Kit, outfit: Outfit) -> list[Shape]:
    collar = kit.oval((0, -0.3, -1.0), (0.8, 0.75, 0.4), outfit.top)
    cover = kit.oval((0, -0.1, 0.15), (0.95, 1.12, 1.15), outfit.top, tip=0.75, span=(-0.2, 1.0))
    return [cover, collar]


HAIR: dict[str, Callable[[Kit, Outfit], list[Shape]]] = {
    "bald": _bald,
    "short": _short,
    "long": _long,
    "tail": _tail,
    "bun": _bun,
    "cap": _cap,
    "beanie": _beanie,
    "hood": _hood,
}
