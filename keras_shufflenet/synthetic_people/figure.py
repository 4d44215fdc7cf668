"""The solids of a person, from a posed body and an outfit."""

from dataclasses import replace

import numpy as np

from keras_shufflenet.synthetic_people import shapes as s
from keras_shufflenet.synthetic_people.clothing import Outfit
from keras_shufflenet.synthetic_people.head import build_head
from keras_shufflenet.synthetic_people.kinematics import PosedBody
from keras_shufflenet.synthetic_people.shapes import Array, Material, Shape

# Radii of an adult's limbs at the start, middle and end, in meters.
Radii = tuple[float, float, float]
UPPER_ARM: Radii = (0.050, 0.046, 0.037)
FOREARM: Radii = (0.040, 0.037, 0.025)
THIGH: Radii = (0.088, 0.076, 0.054)
SHANK: Radii = (0.053, 0.056, 0.034)
THUMB: Radii = (0.016, 0.014, 0.009)
COLLAR: Radii = (0.043, 0.045, 0.042)
INSTEP: Radii = (0.042, 0.044, 0.046)


def _scaled(radii: Radii, factor: float) -> Radii:
    return radii[0] * factor, radii[1] * factor, radii[2] * factor


def _truncate(radii: Radii, fraction: float) -> Radii:
    """Return the radii of the first `fraction` of a limb."""
    half, end = np.interp([fraction / 2, fraction], [0, 0.5, 1], radii)
    return radii[0], float(half), float(end)


def _tube(start: Array, end: Array, radii: Radii, material: Material, side: Array) -> list[Shape]:
    """Return a limb with rounded ends."""
    return [
        s.limb(start, end, radii, material, side=side),
        s.ball(start, radii[0], material),
        s.ball(end, radii[2], material),
    ]


def _covered(
    points: list[Array], radii: list[Radii], length: float, material: Material, side: Array
) -> list[Shape]:
    """Return a sleeve or trouser leg over the first `length` (0..2) segments of a limb."""
    shapes: list[Shape] = []
    for number in range(2):
        fraction = min(length - number, 1.0)
        if fraction <= 0:
            break
        start, end = points[number], points[number + 1]
        stop = start + fraction * (end - start)
        truncated = _truncate(radii[number], fraction)
        shapes.append(s.limb(start, stop, truncated, material, side=side, hollow=fraction < 1))
        shapes.append(s.ball(start, radii[number][0], material))
    return shapes


def _arm(posed: PosedBody, outfit: Outfit, side: str, thick: float) -> list[Shape]:
    points = [posed.points[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist")]
    front = posed.chest[1]
    upper, fore = _scaled(UPPER_ARM, thick), _scaled(FOREARM, thick)
    shapes = _tube(points[0], points[1], upper, outfit.skin, front)
    shapes += _tube(points[1], points[2], fore, outfit.skin, front)[::2]
    wide = [_scaled(upper, 1.06 * outfit.loose), _scaled(fore, 1.08 * outfit.loose)]
    shapes += _covered(points, wide, outfit.sleeve, outfit.top, front)
    return shapes + _hand(posed, outfit.skin, side)


def _hand(posed: PosedBody, skin: Material, side: str) -> list[Shape]:
    wrist, knuckles = posed.points[f"{side}_wrist"], posed.points[f"{side}_knuckles"]
    thumb, size = posed.points[f"{side}_thumb"], posed.shape.stature / 1.75
    frame = s.axis_frame(knuckles - wrist, thumb)
    across, _, along = frame * size
    palm, fingers = _scaled((0.043, 0.02, 0.055), size), _scaled((0.036, 0.014, 0.055), size)
    root, tip = wrist + 0.03 * along + 0.02 * across, wrist + 0.085 * along + 0.055 * across
    return [
        s.ellipsoid(wrist + 0.048 * along, frame, palm, skin),
        s.ellipsoid(wrist + 0.115 * along, frame, fingers, skin),
        s.limb(root, tip, _scaled(THUMB, size), skin, side=thumb),
    ]


def _leg(posed: PosedBody, outfit: Outfit, side: str, thick: float) -> list[Shape]:
    points = [posed.points[f"{side}_{name}"] for name in ("hip", "knee", "ankle")]
    left = posed.pelvis[0]
    thigh, shank = _scaled(THIGH, thick), _scaled(SHANK, thick)
    shapes = _tube(points[0], points[1], thigh, outfit.skin, left)
    shapes[1] = s.ball(points[0], thigh[0] * 0.98, outfit.bottom)
    shapes += _tube(points[1], points[2], shank, outfit.skin, left)[::2]
    loose = outfit.loose
    wide = [_scaled(thigh, 1.02 + 0.5 * (loose - 1)), _scaled(shank, 1.08 * loose)]
    shapes += _covered(points, wide, outfit.trouser or 0.75 * outfit.skirt, outfit.bottom, left)
    return shapes + _shoe(posed, outfit.shoe, side)


def _shoe(posed: PosedBody, shoe: Material, side: str) -> list[Shape]:
    ankle, toes = posed.points[f"{side}_ankle"], posed.points[f"{side}_toes"]
    size = posed.shape.stature / 1.75
    shank = s.unit(ankle - posed.points[f"{side}_knee"])
    frame = s.axis_frame(toes - ankle, s.cross(shank, toes - ankle))
    across, along = frame[0], frame[2] * size
    down = s.unit(shank - (shank @ frame[2]) * frame[2]) * size
    heel = ankle + 0.045 * down - 0.02 * along
    instep = heel + 0.15 * along
    return [
        s.limb(ankle - 0.02 * shank, heel, _scaled(COLLAR, size), shoe, side=across),
        s.limb(heel, instep, _scaled(INSTEP, size), shoe, side=across, flat=0.85),
        s.ellipsoid(instep + 0.015 * along, frame, _scaled((0.046, 0.036, 0.062), size), shoe),
        s.ball(heel, 0.042 * size, shoe),
    ]


def _trunk(posed: PosedBody, outfit: Outfit, thick: float) -> list[Shape]:
    shape, at = posed.shape, posed.points
    left, _, up = posed.chest
    wide, top, loose = shape.shoulder, outfit.top, 1 + 0.35 * (outfit.loose - 1)
    waist = (0.14 - 0.025 * shape.curve) * thick * loose
    bowl = shape.hip + 0.083 * thick
    yoke = at["shoulders"] - up * 0.03
    hem = at["pelvis"] + (at["waist"] - at["pelvis"]) * outfit.tuck
    hem_width = bowl + (waist - bowl) * outfit.tuck
    loins = (bowl, 0.5 * (bowl + waist), 0.97 * waist)
    belly = (hem_width * 1.03, (hem_width + waist) / 2 * 1.02, waist)
    bust = (waist, 0.86 * wide * loose, 0.9 * wide)
    shapes = [
        s.ellipsoid(
            at["pelvis"] + posed.pelvis[2] * 0.02,
            posed.pelvis,
            (bowl, 0.105 * thick, 0.12 * thick),
            outfit.bottom,
        ),
        s.limb(at["pelvis"], at["waist"], loins, outfit.bottom, side=left, flat=0.68),
        s.limb(hem, at["waist"], belly, top, side=left, flat=0.72, hollow=True),
        s.limb(at["waist"], yoke, bust, top, side=left, flat=0.66),
        s.ellipsoid(at["waist"], posed.chest, (waist, waist * 0.7, waist * 0.7), top),
        s.ellipsoid(yoke - up * 0.01, posed.chest, (1.0 * wide, 0.6 * wide, 0.078 * thick), top),
    ]
    for sign in (1, -1):
        shapes += _side(posed, top, sign, thick)
    return shapes + _skirt(posed, outfit, bowl)


def _side(posed: PosedBody, top: Material, sign: int, thick: float) -> list[Shape]:
    """Return the slope of one shoulder, and the bust."""
    shape, at = posed.shape, posed.points
    left, forward, up = posed.chest
    end = at["shoulders"] + sign * left * shape.shoulder * 0.85
    size = shape.stature / 1.75
    slope = (0.05 * thick, 0.05 * size, 0.046 * size)
    shapes = [s.limb(at["neck"] - up * 0.012, end, slope, top, side=forward)]
    if shape.curve > 0:
        middle = at["shoulders"] - 0.25 * shape.trunk * up + sign * left * 0.45 * shape.shoulder
        r = (0.05 + 0.03 * shape.curve) * size
        plain = replace(top, pattern=s.PLAIN) if top.pattern in (s.OPEN, s.PRINT) else top
        shapes.append(s.ellipsoid(middle + 0.07 * thick * forward, posed.chest, (r, r, r), plain))
    return shapes


def _skirt(posed: PosedBody, outfit: Outfit, width: float) -> list[Shape]:
    if not outfit.skirt:
        return []
    at = posed.points
    left, right = at["left_knee"], at["right_knee"]
    end = at["pelvis"] + ((left + right) / 2 - at["pelvis"]) * outfit.skirt
    spread = float(np.sqrt((left - right) @ (left - right))) / 2 * outfit.skirt
    hem = max(spread + 0.085, width * (1.0 + 0.12 * outfit.skirt))
    side = left - right if spread > 0.12 else posed.pelvis[0]
    flat = float(np.clip(0.17 / hem, 0.5, 0.85))
    radii = (width * 0.97, 0.51 * (width + hem), hem)
    start = at["pelvis"] + posed.pelvis[2] * 0.06
    return [s.limb(start, end, radii, outfit.bottom, side=side, flat=flat, hollow=True)]


def build_figure(posed: PosedBody, outfit: Outfit) -> list[Shape]:
    """Return all solids of a person in body coordinates."""
    size = posed.shape.stature / 1.75
    thick = posed.shape.build * (0.45 + 0.55 * size)
    shapes = _trunk(posed, outfit, thick) + build_head(posed, outfit)
    for side in ("left", "right"):
        shapes += _arm(posed, outfit, side, thick) + _leg(posed, outfit, side, thick)
    return shapes
