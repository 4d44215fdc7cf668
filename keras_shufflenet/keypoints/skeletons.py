"""Skeletons: keypoint names, flip pairs, limbs, and the constants of metrics and losses.

Sources: COCO (http://cocodataset.org, the sigmas of its OKS), MPII Human Pose
(http://human-pose.mpi-inf.mpg.de) and, for the keypoint weights, mmpose v0.29.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Skeleton:
    """A set of K keypoints.

    Attributes:
        name: Name for `get`.
        keypoint_names: K names, in the order of the heatmap channels.
        flip_pairs: Pairs of keypoint indices that are swapped when an image is flipped.
        sigmas: K standard deviations of human annotations in COCO's OKS, relative to the square
            root of the person's area.
        limbs: Pairs of keypoint indices to connect in visualizations.
        upper_body: Keypoint indices of the upper body, for the half-body augmentation.
        lower_body: Keypoint indices of the lower body.
        keypoint_weights: K factors on target weights, see `HeatmapCodec`.
    """

    name: str
    keypoint_names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    limbs: tuple[tuple[int, int], ...]
    upper_body: tuple[int, ...]
    lower_body: tuple[int, ...]
    keypoint_weights: tuple[float, ...]

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


# fmt: off
COCO = Skeleton(
    name="coco",
    keypoint_names=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear",
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
        "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
        0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
    ),
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


def get(skeleton: str | Skeleton) -> Skeleton:
    """Return a skeleton by name (`"coco"`, `"mpii"`); return a `Skeleton` unchanged.

    Raises:
        ValueError: If there is no skeleton of this name.
    """
    if isinstance(skeleton, Skeleton):
        return skeleton
    if skeleton not in _BY_NAME:
        names = ", ".join(map(repr, _BY_NAME))
        raise ValueError(
            f"`skeleton` must be one of {names} or a Skeleton. Received: skeleton={skeleton!r}"
        )
    return _BY_NAME[skeleton]
