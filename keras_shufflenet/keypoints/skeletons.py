"""Skeletons: keypoint names, flip pairs, limbs, and the constants of metrics and losses.

Sources: COCO (http://cocodataset.org, the sigmas of its OKS), MPII Human Pose
(http://human-pose.mpi-inf.mpg.de) and, for the keypoint weights, mmpose v0.29.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from keras_shufflenet._checks import check_names, is_integer, is_line, is_positive
from keras_shufflenet.keypoints.keypoint_names import find_flip_pairs, find_sides, plain_name

Pair = tuple[int, int]

COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
MEAN_SIGMA = math.fsum(COCO_SIGMAS) / len(COCO_SIGMAS)


@dataclass(frozen=True, init=False)
class Skeleton:
    """A set of K keypoints. Two arguments suffice: `Skeleton("hand", ["wrist", "thumb", ...])`.

    Attributes:
        name: Name, for the names of models and for messages.
        keypoint_names: K names, in the order of the heatmap channels.
        flip_pairs: Pairs of keypoint indices that are swapped when an image is flipped. Defaults
            to the keypoints whose names differ in left and right: `left_eye` and `right_eye`,
            `eye_l` and `eye_r`, `LeftEye` and `RightEye`, `LEye` and `REye`, `leye` and `reye`.
        sigmas: K standard deviations of human annotations in COCO's OKS, relative to the square
            root of the instance's area. Defaults to the mean of COCO's 17, about 0.067, for each.
        limbs: Pairs of keypoint indices to connect in visualizations; without limbs only the
            keypoints are drawn.
        upper_body: Keypoint indices of the upper body, for the half-body augmentation, which is
            left out if there are none.
        lower_body: Keypoint indices of the lower body.
        keypoint_weights: K factors on target weights, see `HeatmapCodec`. Defaults to 1. Trainings
            take them by default, except COCO's and MPII's.
    """

    name: str
    keypoint_names: tuple[str, ...]
    flip_pairs: tuple[Pair, ...]
    sigmas: tuple[float, ...]
    limbs: tuple[Pair, ...]
    upper_body: tuple[int, ...]
    lower_body: tuple[int, ...]
    keypoint_weights: tuple[float, ...]

    def __init__(
        self,
        name: str,
        keypoint_names: Sequence[str],
        flip_pairs: Iterable[Sequence[int]] | None = None,
        sigmas: Iterable[float] | None = None,
        limbs: Iterable[Sequence[int]] = (),
        upper_body: Iterable[int] = (),
        lower_body: Iterable[int] = (),
        keypoint_weights: Iterable[float] | None = None,
    ) -> None:
        """Fill in the defaults and check the values.

        Raises:
            ValueError: If names are missing, repeated or not lines of text, an index is not that
                of a keypoint, or there are not K positive sigmas and weights.
        """
        names = _checked_names(name, keypoint_names)
        count = len(names)
        pairs = find_flip_pairs(names) if flip_pairs is None else flip_pairs
        fields = {
            "name": name,
            "keypoint_names": names,
            "flip_pairs": _checked_flip_pairs(pairs, count),
            "sigmas": _checked_numbers("sigmas", [MEAN_SIGMA] * count, sigmas),
            "limbs": _checked_pairs("limbs", limbs, count),
            "upper_body": _checked_indices("upper_body", upper_body, count),
            "lower_body": _checked_indices("lower_body", lower_body, count),
            "keypoint_weights": _checked_numbers(
                "keypoint_weights", [1.0] * count, keypoint_weights
            ),
        }
        for field, value in fields.items():
            object.__setattr__(self, field, value)

    def __len__(self) -> int:
        """Return K, the number of keypoints."""
        return len(self.keypoint_names)

    @property
    def flip_permutation(self) -> np.ndarray:
        """Indices (K,): keypoint k of a flipped person is keypoint `flip_permutation[k]`."""
        permutation = np.arange(len(self))
        for left, right in self.flip_pairs:
            permutation[[left, right]] = right, left
        return permutation

    @cached_property
    def sides(self) -> tuple[str, ...]:
        """The side of each keypoint by its name: "left", "right" or "center"."""
        return find_sides(self.keypoint_names)

    @property
    def has_mean_sigmas(self) -> bool:
        """Whether every sigma is the mean of COCO's, as for a skeleton without its own."""
        return set(self.sigmas) == {MEAN_SIGMA}


def _checked_names(name: str, keypoint_names: Sequence[str]) -> tuple[str, ...]:
    if not is_line(name):
        raise ValueError(f"`name` must be a line of text. Received: name={name!r}")
    return check_names("keypoint_names", keypoint_names, "a list of at least one name")


def _checked_flip_pairs(pairs: Iterable[Sequence[int]], count: int) -> tuple[Pair, ...]:
    checked = _checked_pairs("flip_pairs", pairs, count)
    members = [index for pair in checked for index in pair]
    if len(set(members)) != len(members):
        raise ValueError(
            f"`flip_pairs` must name each keypoint at most once. Received: flip_pairs={checked}"
        )
    return checked


def _checked_pairs(name: str, pairs: Iterable[Sequence[int]], count: int) -> tuple[Pair, ...]:
    checked = []
    for pair in _listed(name, pairs, "pairs of indices"):
        indices = list(pair) if isinstance(pair, Sequence | np.ndarray) else []
        if len(indices) != 2 or not _are_indices(indices, count):
            raise ValueError(
                f"`{name}` must be pairs of indices of two of the {count} keypoints, from 0 to "
                f"{count - 1}. Received: {pair!r}"
            )
        checked.append((int(indices[0]), int(indices[1])))
    return tuple(checked)


def _checked_indices(name: str, indices: Iterable[int], count: int) -> tuple[int, ...]:
    listed = _listed(name, indices, "indices")
    if not _are_indices(listed, count):
        raise ValueError(
            f"`{name}` must be distinct indices of the {count} keypoints, from 0 to {count - 1}. "
            f"Received: {name}={listed!r}"
        )
    return tuple(int(index) for index in listed)


def _checked_numbers(
    name: str, default: list[float], numbers: Iterable[float] | None
) -> tuple[float, ...]:
    listed = default if numbers is None else _listed(name, numbers, "numbers")
    if len(listed) != len(default) or not all(map(is_positive, listed)):
        raise ValueError(
            f"`{name}` must be {len(default)} positive numbers, one for each keypoint. "
            f"Received: {name}={listed!r}"
        )
    return tuple(float(number) for number in listed)


def _listed(name: str, values: Any, what: str) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"`{name}` must be a list of {what}. Received: {name}={values!r}")
    return list(values)


def _are_indices(values: list[Any], count: int) -> bool:
    """Return whether the values are different indices of `count` keypoints."""
    valid = all(is_integer(value) and 0 <= value < count for value in values)
    return valid and len(set(values)) == len(values)


# fmt: off
COCO = Skeleton(
    name="coco",
    keypoint_names=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear",
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    sigmas=COCO_SIGMAS,
    limbs=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
        (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    upper_body=tuple(range(11)),
    lower_body=tuple(range(11, 17)),
    keypoint_weights=(
        1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.2, 1.2, 1.5, 1.5, 1.0, 1.0, 1.2, 1.2, 1.5, 1.5,
    ),
)

MPII = Skeleton(
    name="mpii",
    keypoint_names=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
        "pelvis", "thorax", "upper_neck", "head_top",
        "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    ),
    flip_pairs=((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)),
    sigmas=(
        0.089, 0.083, 0.107, 0.107, 0.083, 0.089, 0.026, 0.026,
        0.026, 0.026, 0.062, 0.072, 0.179, 0.179, 0.072, 0.062,
    ),
    limbs=(
        (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (8, 12),
        (12, 11), (11, 10), (8, 13), (13, 14), (14, 15),
    ),
    upper_body=tuple(range(7, 16)),
    lower_body=tuple(range(7)),
    keypoint_weights=(
        1.5, 1.2, 1.0, 1.0, 1.2, 1.5, 1.0, 1.0, 1.0, 1.0, 1.5, 1.2, 1.0, 1.0, 1.2, 1.5,
    ),
)
# fmt: on

_BY_NAME = {skeleton.name: skeleton for skeleton in (COCO, MPII)}


SkeletonLike = str | Path | Sequence[str] | Mapping[str, Any] | Skeleton


def get(skeleton: SkeletonLike, argument: str = "skeleton") -> Skeleton:
    """Return the skeleton that an argument stands for.

    Args:
        skeleton: "coco", "mpii", a list of keypoint names, the path or content of a json as for
            `read_skeleton`, or a `Skeleton`, which is returned unchanged.
        argument: Name of the argument, for messages.

    Raises:
        FileNotFoundError: If a json does not exist.
        ValueError: If there is no skeleton of this name, or names or json are invalid.
    """
    if isinstance(skeleton, Skeleton):
        return skeleton
    if isinstance(skeleton, list | tuple):
        return Skeleton("keypoints", skeleton)
    if isinstance(skeleton, Path | Mapping) or _is_json(skeleton):
        # Reading takes the module of annotations, which has skeletons itself.
        from keras_shufflenet.keypoints.skeleton_files import read_skeleton

        return read_skeleton(skeleton)
    if not isinstance(skeleton, str) or skeleton not in _BY_NAME:
        names = ", ".join(map(repr, _BY_NAME))
        raise ValueError(
            f"`{argument}` must be one of {names}, a list of keypoint names, the path of a .json "
            f"file or a Skeleton. Received: {argument}={skeleton!r}"
        )
    return _BY_NAME[skeleton]


def is_published(skeleton: Skeleton) -> bool:
    """Return whether a skeleton is COCO's or MPII's."""
    return skeleton in _BY_NAME.values()


def target_weights(skeleton: Skeleton) -> tuple[float, ...] | None:
    """Return the keypoint weights to train with; None for COCO and MPII, as mmpose trains them."""
    own = not is_published(skeleton) and set(skeleton.keypoint_weights) != {1.0}
    return skeleton.keypoint_weights if own else None


def of_count(count: int) -> Skeleton | None:
    """Return the published skeleton of networks with this number of keypoints, if there is one."""
    return next((each for each in _BY_NAME.values() if len(each) == count), None)


def _is_json(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value.endswith(".json")


def known(keypoint_names: Sequence[str]) -> Skeleton | None:
    """Return COCO's or MPII's skeleton if these are its keypoints, in any order; else None."""
    plain = sorted(map(plain_name, keypoint_names))
    found = [each for each in _BY_NAME.values() if sorted(each.keypoint_names) == plain]
    return found[0] if found else None
