"""The places of an image that a detector predicts boxes at, one row of its output for each.

NanoDet has one point in each cell of its feature maps; RetinaNet nine boxes around each point, its
anchors. Sources: https://github.com/RangiLyu/nanodet, `nanodet/model/head`;
https://github.com/open-mmlab/mmdetection, `configs/_base_/models/retinanet_r50_fpn.py`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BINS = 8  # of the distribution of each distance
BOX_CHANNELS = 4 * BINS
DELTA_CHANNELS = 4

ANCHOR_SCALE = 4  # in strides, of the smallest square anchor
OCTAVE_SCALES = 3  # between an anchor and one of twice the size
ASPECT_RATIOS = (0.5, 1.0, 2.0)  # height / width


@dataclass(frozen=True)
class Design:
    """What the outputs of a detector mean.

    Attributes:
        strides: Distance in pixels of the points of each level.
        offset: Position of a point in its cell, in strides.
        keep_ratio: Whether images keep their aspect ratio when they are resized to the input, with
            black bars beside them; if not, they are stretched.
        box_code: How a row tells a box, see `box_codes`: "distances" to the sides from a point, or
            "deltas" from an anchor.
        anchors: Width and height of the anchors of a point, in strides; empty if there are none.
    """

    strides: tuple[int, ...]
    offset: float
    keep_ratio: bool
    box_code: Literal["distances", "deltas"] = "distances"
    anchors: tuple[tuple[float, float], ...] = ()

    @property
    def box_channels(self) -> int:
        """Number of columns of the output behind the classes."""
        return {"distances": BOX_CHANNELS, "deltas": DELTA_CHANNELS}[self.box_code]

    def count_classes(self, columns: int) -> int:
        """Return the number of classes of an output with a number of columns.

        Raises:
            ValueError: If there is no column for a class.
        """
        if columns <= self.box_channels:
            raise ValueError(
                f"The output must have classes + {self.box_channels} columns. "
                f"Received: {columns} columns"
            )
        return columns - self.box_channels


def _anchors() -> tuple[tuple[float, float], ...]:
    """Return RetinaNet's anchors: all scales of the first aspect ratio, then of the next."""
    sides = [ANCHOR_SCALE * 2 ** (step / OCTAVE_SCALES) for step in range(OCTAVE_SCALES)]
    return tuple(
        (side / ratio**0.5, side * ratio**0.5) for ratio in ASPECT_RATIOS for side in sides
    )


NANODET = Design((8, 16, 32), 0.5, keep_ratio=True)
NANODET_PLUS = Design((8, 16, 32, 64), 0.0, keep_ratio=False)
RETINANET = Design((8, 16, 32, 64, 128), 0.0, True, box_code="deltas", anchors=_anchors())
DESIGNS = (NANODET, NANODET_PLUS, RETINANET)


def make_priors(design: Design, input_size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the priors of all levels, the finest level first, row by row.

    Args:
        design: The detector's.
        input_size: (height, width) of its input in pixels.

    Returns:
        (x, y, stride) in pixels for each point, (priors, 3), or (x, y, width, height) for each
        anchor, (priors, 4), those of a point one after another; (x, y) is the center.
    """
    levels = []
    for stride in design.strides:
        rows, columns = (-(-side // stride) for side in input_size)
        y, x = (np.mgrid[:rows, :columns] + design.offset) * stride
        points = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
        sizes = np.array(design.anchors or [(1.0,)]) * stride
        shape = len(points), len(sizes)
        parts = [np.broadcast_to(part, (*shape, part.shape[-1])) for part in (points, sizes)]
        levels.append(np.concatenate(parts, axis=-1).reshape(shape[0] * shape[1], -1))
    return np.concatenate(levels)


def find_design(priors: int, input_size: tuple[int, int]) -> Design:
    """Return the design of a detector with a number of priors.

    Args:
        priors: Number of priors, the second axis of the output.
        input_size: (height, width) of the input in pixels.

    Raises:
        ValueError: If no design has that many priors.
    """
    counts = {len(make_priors(design, input_size)): design for design in DESIGNS}
    if priors not in counts:
        height, width = input_size
        *others, last = map(str, counts)
        raise ValueError(
            f"The output must have {', '.join(others)} or {last} rows, as NanoDet, NanoDet-Plus "
            f"and RetinaNet have for an input of {height} × {width}. Received: {priors} rows"
        )
    return counts[priors]
