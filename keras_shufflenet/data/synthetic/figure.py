"""From a posed skeleton and an outfit to solids that look like a person."""

import numpy as np

from keras_shufflenet.data.synthetic import shapes as s
from keras_shufflenet.data.synthetic.clothing import Outfit
from keras_shufflenet.data.synthetic.pose import Posed
from keras_shufflenet.data.synthetic.shapes import HEAD, Array, Material, Shape

EYE_WHITE = Material((0.75, 0.73, 0.7), gloss=0.2)
IRIS = Material((0.015, 0.01, 0.01), gloss=0.1)

Radii = tuple[float, float, float]
UPPER_ARM: Radii = (0.052, 0.047, 0.038)
FOREARM: Radii = (0.040, 0.038, 0.025)
THIGH: Radii = (0.088, 0.078, 0.055)
SHANK: Radii = (0.053, 0.056, 0.034)


def _scaled(radii: Radii, factor: float) -> Radii:
    return radii[0] * factor, radii[1] * factor, radii[2] * factor


def _cut(radii: Radii, share: float) -> Radii:
    """Radii of the first `share` of a limb."""
    half, end = np.interp([share / 2, share], [0, 0.5, 1], radii)
    return radii[0], float(half), float(end)


def _tube(start: Array, end: Array, radii: Radii, material: Material, side: Array) -> list[Shape]:
    """A limb with rounded ends."""
    return [
        s.limb(start, end, radii, material, side=side),
        s.ball(start, radii[0], material),
        s.ball(end, radii[2], material),
    ]


def _covered(
    joints: tuple[Array, Array, Array],
    radii: tuple[Radii, Radii],
    length: float,
    material: Material,
    side: Array,
) -> list[Shape]:
    """A sleeve or trouser leg over the first `length` (0..2) segments of a limb."""
    shapes: list[Shape] = []
    for number in range(2):
        share = min(length - number, 1.0)
        if share <= 0:
            break
        start, end = joints[number], joints[number + 1]
        stop = start + share * (end - start)
        tube = s.limb(start, stop, _cut(radii[number], share), material, side=side, hollow=True)
        shapes += [tube, s.ball(start, radii[number][0], material)]
    return shapes


def _arm(posed: Posed, outfit: Outfit, side: str, thick: float) -> list[Shape]:
    at = {name: posed.points[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist")}
    front = posed.chest[1]
    upper, fore = _scaled(UPPER_ARM, thick), _scaled(FOREARM, thick)
    shapes = _tube(at["shoulder"], at["elbow"], upper, outfit.skin, front)
    shapes += _tube(at["elbow"], at["wrist"], fore, outfit.skin, front)
    wide = (_scaled(upper, 1.06 * outfit.loose), _scaled(fore, 1.08 * outfit.loose))
    joints = (at["shoulder"], at["elbow"], at["wrist"])
    shapes += _covered(joints, wide, outfit.sleeve, outfit.top, front)
    return shapes + _hand(posed, outfit.skin, side)


def _hand(posed: Posed, skin: Material, side: str) -> list[Shape]:
    wrist, knuckles = posed.points[f"{side}_wrist"], posed.points[f"{side}_knuckles"]
    thumb = posed.points[f"{side}_thumb"]
    size = posed.shape.stature / 1.75
    frame = s.axis_frame(knuckles - wrist, thumb)
    along = frame[2]
    palm = s.ellipsoid(wrist + along * 0.048 * size, frame, (0.043 * size, 0.02 * size, 0.055 * size), skin)  # fmt: skip
    fingers = s.ellipsoid(wrist + along * 0.115 * size, frame, (0.036 * size, 0.014 * size, 0.055 * size), skin)  # fmt: skip
    tip = wrist + (along * 0.085 + frame[0] * 0.055) * size
    root = wrist + (along * 0.03 + frame[0] * 0.02) * size
    return [palm, fingers, s.limb(root, tip, _scaled((0.016, 0.014, 0.009), size), skin, side=thumb)]


def _leg(posed: Posed, outfit: Outfit, side: str, thick: float) -> list[Shape]:
    hip, knee, ankle = (posed.points[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
    left = posed.pelvis[0]
    thigh, shank = _scaled(THIGH, thick), _scaled(SHANK, thick)
    bulge = shank[0], shank[1] * 1.05, shank[2]
    shapes = _tube(hip, knee, thigh, outfit.skin, left)
    shapes += _tube(knee, ankle, bulge, outfit.skin, left)
    wide = (_scaled(thigh, 1.02 + 0.5 * (outfit.loose - 1)), _scaled(bulge, 1.08 * outfit.loose))
    shapes += _covered((hip, knee, ankle), wide, outfit.trouser, outfit.bottom, left)
    return shapes + _shoe(posed, outfit.shoe, side)


def _shoe(posed: Posed, shoe: Material, side: str) -> list[Shape]:
    ankle, toes = posed.points[f"{side}_ankle"], posed.points[f"{side}_toes"]
    size = posed.shape.stature / 1.75
    shank = s.unit(ankle - posed.points[f"{side}_knee"])
    frame = s.axis_frame(toes - ankle, s.cross(shank, toes - ankle))
    sole = shank - (shank @ frame[2]) * frame[2]
    heel = ankle + s.unit(sole) * 0.045 * size - frame[2] * 0.02 * size
    ball = heel + frame[2] * 0.15 * size
    collar = s.limb(ankle - shank * 0.02, heel, _scaled((0.043, 0.045, 0.042), size), shoe, side=frame[0])
    middle = s.limb(heel, ball, _scaled((0.042, 0.044, 0.046), size), shoe, side=frame[0], flat=0.85)
    tip = s.ellipsoid(ball + frame[2] * 0.015 * size, frame, (0.046 * size, 0.036 * size, 0.062 * size), shoe)  # fmt: skip
    return [collar, middle, tip, s.ball(heel, 0.042 * size, shoe)]


def _trunk(posed: Posed, outfit: Outfit, thick: float) -> list[Shape]:
    shape, at = posed.shape, posed.points
    left, forward, up = posed.chest
    shoulder, hip = shape.shoulder, shape.hip
    top, loose = outfit.top, 1 + 0.35 * (outfit.loose - 1)
    waist = (0.135 - 0.02 * shape.curve) * thick * loose
    lower = outfit.bottom
    bowl = (hip + 0.083 * thick, 0.115 * thick, 0.1 * thick)
    chest_radii = (waist, shoulder * 0.93 * loose, shoulder * 0.62)
    breast = at["shoulders"] - up * 0.02
    shapes = [
        s.ellipsoid(at["pelvis"] + posed.pelvis[2] * 0.02, posed.pelvis, (bowl[0], bowl[2], bowl[1]), lower),
        s.limb(at["pelvis"], at["waist"], (bowl[0] * 0.99, (bowl[0] + waist) / 2, waist), top, side=left, flat=0.72),
        s.limb(at["waist"], breast, chest_radii, top, side=left, flat=0.68),
        s.ellipsoid(at["waist"], posed.chest, (waist, waist * 0.7, waist * 0.7), top),
        s.ellipsoid(breast - up * 0.02, posed.chest, (shoulder * 1.02, 0.075 * thick, 0.06), top),
    ]  # fmt: skip
    for sign in (1, -1):
        slope = at["shoulders"] + sign * left * shoulder * 0.85 + up * 0.008
        shapes.append(s.limb(at["neck"] + up * 0.02, slope, (0.055 * thick, 0.05, 0.045), top, side=forward))
        if shape.curve > 0:
            place = breast - up * 0.3 * shape.trunk + sign * left * 0.075 + forward * 0.075 * thick
            size = 0.05 + 0.03 * shape.curve
            shapes.append(s.ellipsoid(place, posed.chest, (size, size * 0.85, size), top))
    return shapes + _skirt(posed, outfit, bowl[0])


def _skirt(posed: Posed, outfit: Outfit, width: float) -> list[Shape]:
    if not outfit.skirt:
        return []
    at = posed.points
    left, right = at["left_knee"], at["right_knee"]
    end = at["pelvis"] + ((left + right) / 2 - at["pelvis"]) * outfit.skirt
    spread = float(np.linalg.norm(left - right)) / 2 * outfit.skirt
    hem = max(spread + 0.075, width * (1.0 + 0.12 * outfit.skirt))
    side = left - right if spread > 0.12 else posed.pelvis[0]
    flat = float(np.clip(0.16 / hem, 0.5, 0.85))
    middle = 0.5 * (width + hem) * 1.02
    start = at["pelvis"] + posed.pelvis[2] * 0.06
    radii = (width * 0.95, middle, hem)
    return [s.limb(start, end, radii, outfit.bottom, side=side, flat=flat, hollow=True)]


def _head(posed: Posed, outfit: Outfit) -> list[Shape]:
    at, frame, r = posed.points, posed.head, posed.shape.head
    left, forward, up = frame
    skull, skin = at["skull"], outfit.skin
    jaw = skull - up * 0.55 * r + forward * 0.2 * r
    neck = s.limb(at["neck"] - up * 0.03, skull - up * 0.3 * r - forward * 0.1 * r, (0.062, 0.053, 0.055), skin, side=left)  # fmt: skip
    shapes = [
        neck,
        s.ellipsoid(skull + up * 0.18 * r, frame, (0.76 * r, 0.95 * r, 0.98 * r), skin, part=HEAD),
        s.ellipsoid(jaw, frame, (0.58 * r, 0.7 * r, 0.68 * r), skin, part=HEAD),
        s.ellipsoid(at["nose"] - forward * 0.08 * r + up * 0.1 * r, frame, (0.12 * r, 0.17 * r, 0.22 * r), skin, part=HEAD),
        s.ellipsoid(jaw + forward * 0.63 * r - up * 0.08 * r, frame, (0.24 * r, 0.1 * r, 0.07 * r), outfit.lips, part=HEAD),
    ]  # fmt: skip
    for side in ("left", "right"):
        eye, ear = at[f"{side}_eye"], at[f"{side}_ear"]
        shapes += [
            s.ellipsoid(eye - forward * 0.05 * r, frame, (0.15 * r, 0.1 * r, 0.09 * r), EYE_WHITE, part=HEAD),
            s.ball(eye + forward * 0.01 * r, 0.075 * r, IRIS, HEAD),
            s.ellipsoid(eye + up * 0.19 * r - forward * 0.03 * r, frame, (0.22 * r, 0.08 * r, 0.045 * r), outfit.hair, part=HEAD),
            s.ellipsoid(ear, frame, (0.09 * r, 0.17 * r, 0.27 * r), skin, part=HEAD),
        ]  # fmt: skip
    if outfit.beard:
        shapes.append(s.ellipsoid(jaw - up * 0.05 * r, frame, (0.61 * r, 0.72 * r, 0.72 * r), outfit.hair, span=(-1, -0.18), part=HEAD))  # fmt: skip
    return shapes + _hair(posed, outfit)


def _hair(posed: Posed, outfit: Outfit) -> list[Shape]:
    style, hair, r = outfit.hair_style, outfit.hair, posed.shape.head
    left, forward, up = posed.head
    crown = posed.points["skull"] + up * 0.2 * r
    if style == "bald":
        return []
    tilted = s.axis_frame(up * 0.85 - forward * 0.55, left)
    radii = (0.84 * r, 1.02 * r, 1.05 * r)
    if style == "hood":
        cover = s.ellipsoid(crown - forward * 0.08 * r, tilted, (0.95 * r, 1.1 * r, 1.15 * r), outfit.top, span=(-0.25, 1), hollow=True, part=HEAD)  # fmt: skip
        return [cover]
    shapes = [s.ellipsoid(crown, tilted, radii, hair, span=(0.1, 1), hollow=True, part=HEAD)]
    back = crown - forward * 0.55 * r - up * 0.35 * r
    shapes.append(s.ellipsoid(back, posed.head, (0.72 * r, 0.5 * r, 0.75 * r), hair, part=HEAD))
    if style == "long":
        fall = back - up * 0.75 * r
        shapes.append(s.ellipsoid(fall, posed.head, (0.88 * r, 0.45 * r, 1.25 * r), hair, part=HEAD))
        for sign in (1, -1):
            lock = crown + sign * left * 0.74 * r - up * 0.65 * r - forward * 0.1 * r
            shapes.append(s.ellipsoid(lock, posed.head, (0.2 * r, 0.42 * r, 1.0 * r), hair, part=HEAD))
    elif style == "tail":
        end = back - forward * 0.5 * r - up * 1.5 * r
        shapes.append(s.limb(back - forward * 0.4 * r + up * 0.3 * r, end, (0.2 * r, 0.3 * r, 0.08 * r), hair, side=left, part=HEAD))  # fmt: skip
    elif style == "bun":
        shapes.append(s.ball(crown + up * 0.75 * r - forward * 0.75 * r, 0.42 * r, hair, HEAD))
    elif style == "cap":
        level = s.axis_frame(up - forward * 0.12, left)
        shapes.append(s.ellipsoid(crown + up * 0.05 * r, level, (0.9 * r, 1.07 * r, 1.02 * r), outfit.hat, span=(0.2, 1), hollow=True, part=HEAD))  # fmt: skip
        brim = crown + up * 0.3 * r + forward * 0.95 * r
        shapes.append(s.ellipsoid(brim, level, (0.62 * r, 0.6 * r, 0.06 * r), outfit.hat, part=HEAD))
    return shapes


def build_figure(posed: Posed, outfit: Outfit) -> list[Shape]:
    """All solids of one person, in the body's own system."""
    size = posed.shape.stature / 1.75
    thick = posed.shape.build * (0.55 + 0.45 * size)
    shapes = _trunk(posed, outfit, thick) + _head(posed, outfit)
    for side in ("left", "right"):
        shapes += _arm(posed, outfit, side, thick) + _leg(posed, outfit, side, thick)
    return shapes
