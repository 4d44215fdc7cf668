"""Head, face and hair as solids; lengths are in units of the head's radius."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_shufflenet.synthetic_people import shapes as s
from keras_shufflenet.synthetic_people.clothing import Outfit
from keras_shufflenet.synthetic_people.kinematics import PosedBody
from keras_shufflenet.synthetic_people.shapes import HEAD, Array, Material, Shape

EYE_WHITE = Material((0.75, 0.73, 0.7), gloss=0.2)
IRIS = Material((0.015, 0.01, 0.01), gloss=0.1)
LENS = Material((0.01, 0.01, 0.012), gloss=0.4)

Triple = tuple[float, float, float]


class HeadFrame(NamedTuple):
    """Coordinates of a head: offsets and radii are (left, forward, up)."""

    center: Array
    frame: Array
    radius: float

    def at(self, offset: Triple) -> Array:
        """Return a point of the head in body coordinates."""
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
        """Return an ellipsoid with its up axis tilted back by `tip` and truncated to `span`."""
        left, forward, up = self.frame
        frame = s.axis_frame(up - tip * forward, left) if tip else self.frame
        a, b, c = (radius * self.radius for radius in radii)
        whole = span == (-1.0, 1.0)
        return s.ellipsoid(
            self.at(offset), frame, (a, b, c), material, span=span, hollow=not whole, part=HEAD
        )


def build_head(posed: PosedBody, outfit: Outfit) -> list[Shape]:
    """Return the neck, head, face and hair of a person."""
    head = HeadFrame(posed.points["skull"], posed.head, posed.shape.head)
    skin, size = outfit.skin, posed.shape.stature / 1.75
    nape = posed.points["neck"] - posed.chest[2] * 0.03
    thick = 0.058 * size * posed.shape.build**0.5
    neck = s.limb(
        nape, head.at((0, -0.12, -0.3)), (thick * 1.1, thick, thick), skin, side=posed.head[0]
    )
    brow, jaw = head.at((0, 0.02, 0.3)), head.at((0, 0.18, -0.85))
    taper = (0.745 * head.radius, 0.71 * head.radius, 0.42 * head.radius)
    shapes = [
        neck,
        head.oval((0, 0, 0.18), (0.76, 0.98, 0.95), skin),
        s.limb(brow, jaw, taper, skin, side=posed.head[0], flat=1.22, part=HEAD),
        head.oval((0, 0.36, -0.84), (0.34, 0.42, 0.3), skin),
    ]
    return shapes + _face(head, outfit) + HAIR[outfit.hair_style](head, outfit)


def _face(head: HeadFrame, outfit: Outfit) -> list[Shape]:
    skin, hair = outfit.skin, outfit.hair
    shapes = [
        head.oval((0, 0.96, -0.1), (0.12, 0.2, 0.19), skin),
        head.oval((0, 0.84, -0.58), (0.25, 0.08, 0.085), outfit.lips),
    ]
    for x in (0.33, -0.33):
        if outfit.glasses:
            shapes.append(head.oval((x, 0.87, 0.13), (0.26, 0.1, 0.2), LENS))
        else:
            shapes.append(head.oval((x, 0.82, 0.14), (0.16, 0.09, 0.1), EYE_WHITE))
            shapes.append(head.oval((x, 0.87, 0.14), (0.085, 0.07, 0.085), IRIS))
        shapes.append(head.oval((x, 0.83, 0.36), (0.23, 0.08, 0.05), hair))
        shapes.append(head.oval((x * 2.36, 0.0, 0.02), (0.09, 0.17, 0.28), skin))
    if outfit.beard:
        jaw = head.oval((0, 0.2, -0.5), (0.68, 0.76, 0.72), hair, tip=-0.6, span=(-1.0, -0.2))
        shapes += [jaw, head.oval((0, 0.4, -0.9), (0.36, 0.43, 0.32), hair)]
        shapes.append(head.oval((0, 0.84, -0.42), (0.26, 0.09, 0.07), hair))
    return shapes


def _bald(head: HeadFrame, outfit: Outfit) -> list[Shape]:
    return []


def _short(head: HeadFrame, outfit: Outfit) -> list[Shape]:
    cover = head.oval((0, -0.02, 0.22), (0.84, 1.04, 1.02), outfit.hair, tip=0.62, span=(0.08, 1.0))
    return [cover, head.oval((0, -0.5, -0.12), (0.72, 0.5, 0.72), outfit.hair)]


def _long(head: HeadFrame, outfit: Outfit) -> list[Shape]:
    locks = [head.oval((x, -0.12, -0.5), (0.2, 0.4, 1.0), outfit.hair) for x in (0.74, -0.74)]
    fall = head.oval((0, -0.55, -0.8), (0.86, 0.42, 1.25), outfit.hair)
    return [*_short(head, outfit), *locks, fall]


def _tail(head: HeadFrame, outfit: Outfit) -> list[Shape]:
    start, end = head.at((0, -0.95, 0.25)), head.at((0, -1.15, -1.6))
    radii = (0.2 * head.radius, 0.28 * head.radius, 0.06 * head.radius)
    tail = s.limb(start, end, radii, outfit.hair, side=head.frame[0], part=HEAD)
    return [*_short(head, outfit), tail]


def _bun(head: HeadFrame, outfit: Outfit) -> list[Shape]:
    return [*_short(head, outfit), head.oval((0, -0.8, 0.85), (0.4, 0.4, 0.4), outfit.hair)]


def _cap(head: HeadFrame, outfit: Outfit) -> list[Shape]:
    dome = head.oval((0, 0, 0.27), (0.88, 1.08, 1.0), outfit.hat, tip=0.1, span=(0.2, 1.0))
    brim = head.oval((0, 0.98, 0.5), (0.6, 0.6, 0.06), outfit.hat)
    return [*_short(head, outfit), dome, brim]


def _beanie(head: HeadFrame, outfit: Outfit) -> list[Shape]:
    return [head.oval((0, -0.04, 0.25), (0.88, 1.08, 1.12), outfit.hat, tip=0.3, span=(0.05, 1.0))]


def _hood(head: HeadFrame, outfit: Outfit) -> list[Shape]:
    collar = head.oval((0, -0.3, -1.0), (0.8, 0.75, 0.4), outfit.top)
    cover = head.oval((0, -0.1, 0.15), (0.95, 1.12, 1.15), outfit.top, tip=0.75, span=(-0.2, 1.0))
    return [cover, collar]


HAIR: dict[str, Callable[[HeadFrame, Outfit], list[Shape]]] = {
    "bald": _bald,
    "short": _short,
    "long": _long,
    "tail": _tail,
    "bun": _bun,
    "cap": _cap,
    "beanie": _beanie,
    "hood": _hood,
}
