"""Body proportions, joint angles and forward kinematics.

Body coordinates have their origin between the hips, x to the person's left, y up, z forward;
lengths are in meters, angles in degrees. At rest the body stands upright with hanging arms.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keras_shufflenet.synthetic_people.shapes import Array

# Arms: (mean, std) of flexion (forward), abduction (outward), inward twist, elbow.
ARMS: dict[str, tuple[tuple[float, float], ...]] = {
    "hang": ((2, 12), (8, 5), (10, 20), (14, 10)),
    "carry": ((20, 15), (12, 8), (15, 20), (75, 20)),
    "reach": ((65, 20), (8, 12), (0, 20), (25, 18)),
    "hold": ((30, 12), (10, 8), (45, 15), (95, 18)),
    "hip": ((-22, 8), (42, 8), (62, 10), (98, 10)),
    "side": ((5, 15), (82, 14), (0, 25), (15, 14)),
    "up": ((162, 14), (12, 12), (0, 25), (18, 16)),
    "wave": ((15, 15), (70, 16), (-85, 18), (95, 20)),
    "phone": ((35, 10), (25, 10), (10, 12), (140, 6)),
    "back": ((-38, 12), (10, 6), (0, 15), (25, 15)),
    "front swing": ((42, 12), (6, 5), (18, 12), (80, 20)),
    "back swing": ((-38, 12), (14, 6), (10, 12), (85, 18)),
    "behind head": ((150, 10), (45, 10), (-20, 15), (130, 8)),
}

# Legs: flexion (forward), abduction (outward), outward twist, knee.
LEGS: dict[str, tuple[tuple[float, float], ...]] = {
    "straight": ((0, 4), (4, 4), (8, 8), (4, 4)),
    "relaxed": ((10, 6), (9, 5), (16, 10), (18, 8)),
    "step forward": ((24, 7), (2, 3), (5, 6), (8, 7)),
    "step back": ((-16, 6), (2, 3), (5, 6), (20, 10)),
    "run forward": ((58, 14), (3, 5), (3, 6), (70, 18)),
    "run back": ((-20, 8), (3, 4), (3, 6), (50, 22)),
    "wide": ((5, 8), (24, 8), (16, 10), (12, 10)),
    "lunge": ((68, 12), (12, 8), (8, 8), (78, 12)),
    "sit": ((86, 7), (10, 7), (6, 8), (84, 12)),
    "crouch": ((105, 10), (20, 8), (14, 8), (120, 10)),
    "kick": ((60, 18), (10, 10), (8, 8), (20, 15)),
    "bend": ((34, 12), (12, 6), (8, 8), (36, 14)),
}

# Spine: bend forward, sideways, twist to the left; then forward lean of the whole body.
SPINES: dict[str, tuple[tuple[float, float], ...]] = {
    "upright": ((4, 6), (0, 4), (0, 7), (0, 2)),
    "slouch": ((14, 7), (0, 5), (0, 8), (-4, 5)),
    "lean": ((16, 8), (0, 6), (0, 14), (12, 6)),
    "stoop": ((38, 12), (0, 7), (0, 12), (24, 9)),
    "active": ((8, 10), (0, 12), (0, 18), (4, 8)),
}

# Activities: sampling weight, spine, pair of legs, pairs of arms to choose from.
Activity = tuple[float, str, tuple[str, str], tuple[tuple[str, str], ...]]
CALM = (("hang", "hang"), ("hang", "carry"), ("hold", "hold"), ("hip", "hip"), ("hang", "phone"))
BUSY = (("up", "up"), ("up", "hang"), ("wave", "hang"), ("side", "side"), ("reach", "reach"))
ACTIVITIES: dict[str, Activity] = {
    "stand": (4.0, "upright", ("straight", "straight"), CALM + BUSY),
    "pause": (3.0, "upright", ("relaxed", "straight"), CALM),
    "walk": (3.0, "upright", ("step forward", "step back"), (("back", "front swing"), *CALM)),
    "run": (1.5, "lean", ("run forward", "run back"), (("back swing", "front swing"),)),
    "sit": (2.5, "slouch", ("sit", "sit"),
            (("carry", "carry"), ("hold", "hold"), ("reach", "carry"))),
    "crouch": (0.6, "lean", ("crouch", "crouch"), (("reach", "reach"), ("carry", "hold"))),
    "bend": (0.9, "stoop", ("bend", "bend"), (("reach", "reach"), ("hang", "reach"))),
    "lunge": (0.8, "active", ("lunge", "run back"), (*BUSY, ("hip", "hip"))),
    "sport": (1.6, "active", ("wide", "relaxed"), (*BUSY, ("up", "side"), ("reach", "back swing"))),
    "kick": (0.7, "active", ("kick", "relaxed"), (("side", "back"), ("side", "front swing"))),
    "stretch": (0.7, "active", ("wide", "wide"), (("behind head", "behind head"), ("up", "hip"))),
}  # fmt: skip


STATIC = ("stand", "pause", "walk")


class Proportions(NamedTuple):
    """Lengths of a person in meters; `build` is a width factor, `curve` is 0..1 (bust)."""

    stature: float
    build: float
    curve: float
    head: float
    shoulder: float
    hip: float
    trunk: float
    neck: float
    upper_arm: float
    forearm: float
    thigh: float
    shank: float


@dataclass(frozen=True)
class PosedBody:
    """A posed body: points by name; frames of head, chest, pelvis with rows left, front, up."""

    activity: str
    points: dict[str, Array]
    head: Array
    chest: Array
    pelvis: Array
    shape: Proportions


def sample_proportions(rng: np.random.Generator) -> Proportions:
    """Sample the proportions of a woman, a man or, less often, a child."""
    child = rng.random() < 0.15
    curve = float(rng.random() < 0.5) * rng.uniform(0.6, 1.0) * (0.3 if child else 1.0)
    stature = rng.uniform(1.05, 1.5) if child else rng.normal(1.76 - 0.12 * (curve > 0), 0.06)

    def part(share: float, spread: float = 0.035) -> float:
        return float(stature * share * (1 + spread * np.clip(rng.normal(), -2, 2)))

    head = 0.098 + 0.014 * rng.normal() * 0.3 + (0.008 * (1.6 - stature) if child else 0)
    return Proportions(
        stature=float(stature),
        build=float(np.clip(rng.normal(1.0, 0.13), 0.78, 1.4)),
        curve=float(curve),
        head=float(head),
        shoulder=part(0.112 - 0.012 * (curve > 0)),
        hip=part(0.057 + 0.003 * (curve > 0)),
        trunk=part(0.285),
        neck=part(0.052),
        upper_arm=part(0.168),
        forearm=part(0.146),
        thigh=part(0.238),
        shank=part(0.235),
    )


def rotation_matrix(axis: int, degrees: float) -> Array:
    """Return the matrix of a right-handed rotation about a coordinate axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def _sample_angles(
    rng: np.random.Generator, table: tuple[tuple[float, float], ...], spread: float
) -> list[float]:
    return [mean + spread * std * float(np.clip(rng.normal(), -2, 2)) for mean, std in table]


def _arm(angles: list[float], shape: Proportions) -> dict[str, Array]:
    """Return the LEFT arm relative to the shoulder; `thumb` is a direction."""
    flexion, abduction, twist, elbow = angles
    upper = (
        rotation_matrix(0, -flexion)
        @ rotation_matrix(2, max(abduction, 2))
        @ rotation_matrix(1, -twist)
    )
    lower = upper @ rotation_matrix(0, -np.clip(elbow, 2, 148))
    down = np.array([0.0, -1.0, 0.0])
    at_elbow = upper @ down * shape.upper_arm
    at_wrist = at_elbow + lower @ down * shape.forearm
    return {
        "elbow": at_elbow,
        "wrist": at_wrist,
        "knuckles": at_wrist + lower @ down * 0.1,
        "thumb": lower @ np.array([0.0, 0.0, 1.0]),
    }


def _leg(angles: list[float], shape: Proportions) -> dict[str, Array]:
    """Return the LEFT leg relative to the hip."""
    flexion, abduction, twist, knee = angles
    upper = rotation_matrix(0, -flexion) @ rotation_matrix(2, abduction) @ rotation_matrix(1, twist)
    lower = upper @ rotation_matrix(0, np.clip(knee, 0, 145))
    down = np.array([0.0, -1.0, 0.0])
    at_knee = upper @ down * shape.thigh
    at_ankle = at_knee + lower @ down * shape.shank
    flat = 0.55 * (flexion - knee) if abs(flexion - knee) < 60 else 0.0
    foot = lower @ rotation_matrix(0, np.clip(flat, -35, 20)) @ np.array([0.0, -0.22, 1.0])
    return {"knee": at_knee, "ankle": at_ankle, "toes": at_ankle + foot * 0.105 * shape.stature}


def _attach(side: str, root: Array, frame: Array, chain: dict[str, Array]) -> dict[str, Array]:
    """Attach a left limb to the body, mirrored for the right side."""
    mirror = np.array([1.0 if side == "left" else -1.0, 1.0, 1.0])
    turned = {f"{side}_{name}": frame @ (offset * mirror) for name, offset in chain.items()}
    return {name: p if name.endswith("thumb") else root + p for name, p in turned.items()}


def _sample_activity(
    rng: np.random.Generator, difficulty: float
) -> tuple[str, str, list[str], list[str]]:
    """Return an activity and the names of its spine, arms and legs (left, right)."""
    names = list(ACTIVITIES)
    weights = np.array([ACTIVITIES[name][0] for name in names])
    weights[[name not in STATIC for name in names]] *= 2 * difficulty
    activity = names[rng.choice(len(names), p=weights / weights.sum())]
    _, spine, legs, arm_pairs = ACTIVITIES[activity]
    arms = arm_pairs[rng.integers(len(arm_pairs))]
    if rng.random() < 0.24 * difficulty:
        every = list(ARMS)
        arms = every[rng.integers(len(every))], every[rng.integers(len(every))]
    step = (1, -1)[rng.integers(2)]
    return activity, spine, list(arms[::step]), list(legs[::step])


def sample_pose(shape: Proportions, rng: np.random.Generator, difficulty: float) -> PosedBody:
    """Sample an activity and joint angles, and compute the positions of all points."""
    activity, spine, arms, legs = _sample_activity(rng, difficulty)
    spread = 0.5 + difficulty
    spine_angles = _sample_angles(rng, SPINES[spine], spread)
    head = (rng.normal(0, spread, 3).clip(-2, 2) * (11, 7, 24)).tolist()
    limbs = [
        (_sample_angles(rng, ARMS[arm], spread), _sample_angles(rng, LEGS[leg], spread))
        for arm, leg in zip(arms, legs, strict=True)
    ]
    return pose_body(activity, shape, spine_angles, head, limbs)


def pose_body(
    activity: str,
    shape: Proportions,
    spine: list[float],
    head: list[float],
    limbs: list[tuple[list[float], list[float]]],
) -> PosedBody:
    """Compute the positions of all points from the angles in degrees.

    Args:
        activity: Name of the activity.
        shape: The proportions.
        spine: Bend forward, sideways, twist to the left, forward lean of the whole body.
        head: Nod, tilt and turn to the left.
        limbs: Angles of the arm, as in `ARMS`, and of the leg, as in `LEGS`: left, then right.

    Returns:
        The body, with the origin between the hips.
    """
    bend, sideways, twist, lean = spine
    pelvis = rotation_matrix(0, lean)
    chest = (
        pelvis @ rotation_matrix(0, bend) @ rotation_matrix(2, sideways) @ rotation_matrix(1, twist)
    )
    nod, tilt, turn = head
    turned = (
        chest
        @ rotation_matrix(1, turn)
        @ rotation_matrix(0, nod - 0.6 * (bend + lean))
        @ rotation_matrix(2, tilt)
    )
    points = _trunk(shape, pelvis, chest, turned)
    for side, (arm, leg) in zip(("left", "right"), limbs, strict=True):
        points |= _attach(side, points[f"{side}_shoulder"], chest, _arm(arm, shape))
        chain = _leg(leg, shape)
        points |= _attach(side, points[f"{side}_hip"], rotation_matrix(0, 0.5 * lean), chain)
    order = [0, 2, 1]
    return PosedBody(activity, points, turned.T[order], chest.T[order], pelvis.T[order], shape)


def _trunk(shape: Proportions, pelvis: Array, chest: Array, head: Array) -> dict[str, Array]:
    """Return hips, waist, shoulders, neck and the points of the face."""
    size = shape.stature / 1.75
    waist = pelvis @ np.array([0, 0.36 * shape.trunk, 0.01])
    shoulders = waist + chest @ np.array([0, 0.64 * shape.trunk, -0.015])
    neck = shoulders + chest @ np.array([0, 0.045 * size, -0.01])
    skull = neck + chest @ np.array([0, 0.6 * shape.neck, 0.012])
    skull = skull + head @ np.array([0, 0.98 * shape.head, 0.022])
    points = {"pelvis": np.zeros(3), "waist": waist, "shoulders": shoulders}
    points |= {"neck": neck, "skull": skull}
    points["nose"] = skull + head @ np.array([0, -0.12, 1.1]) * shape.head
    for side, sign in (("left", 1), ("right", -1)):
        points[f"{side}_hip"] = pelvis @ np.array([sign * shape.hip, 0, 0])
        points[f"{side}_shoulder"] = shoulders + chest @ np.array([sign * shape.shoulder, 0, 0])
        points[f"{side}_eye"] = skull + head @ np.array([sign * 0.33, 0.14, 0.86]) * shape.head
        points[f"{side}_ear"] = skull + head @ np.array([sign * 0.78, 0, 0]) * shape.head
    return points
