"""The points of an image that NanoDet predicts boxes at, one row of its output for each.

Source: https://github.com/RangiLyu/nanodet, `nanodet/model/head`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 8  # of the distribution of each distance
BOX_CHANNELS = 4 * BINS


@dataclass(frozen=True)
class Design:
    """What the outputs of a detector mean.

    Attributes:
        strides: Distance in pixels of the points of each level.
        offset: Position of a point in its cell, in strides.
        keep_ratio: Whether images keep their aspect ratio when they are resized to the input, with
            black bars beside them; if not, they are stretched.
    """

    strides: tuple[int, ...]
    offset: float
    keep_ratio: bool


NANODET = Design((8, 16, 32), 0.5, keep_ratio=True)
NANODET_PLUS = Design((8, 16, 32, 64), 0.0, keep_ratio=False)
DESIGNS = (NANODET, NANODET_PLUS)


def make_priors(design: Design, input_size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the points of all levels, the finest level first, row by row.

    Args:
        design: The detector's.
        input_size: (height, width) of its input in pixels.

    Returns:
        (x, y, stride) in pixels for each point, (priors, 3).
    """
    levels = []
    for stride in design.strides:
        rows, columns = (-(-side // stride) for side in input_size)
        y, x = (np.mgrid[:rows, :columns] + design.offset) * stride
        levels.append(np.stack([x, y, np.full_like(x, stride)], axis=-1).reshape(-1, 3))
    return np.concatenate(levels)


def find_design(priors: int, input_size: tuple[int, int]) -> Design:
    """Return the design of a detector with a number of points.

    Args:
        priors: Number of points, the second axis of the output.
        input_size: (height, width) of the input in pixels.

    Raises:
        ValueError: If neither design has that many points.
    """
    counts = {len(make_priors(design, input_size)): design for design in DESIGNS}
    if priors not in counts:
        height, width = input_size
        raise ValueError(
            f"The output must have one of {', '.join(map(str, counts))} rows, as NanoDet and "
            f"NanoDet-Plus have for an input of {height} × {width}. Received: {priors} rows"
        )
    return counts[priors]
