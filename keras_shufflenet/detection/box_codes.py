"""How a row of a detector's output tells a box, and back.

* "distances", of Generalized Focal Loss: from a point to the four sides, in strides, each the
  expectation of a distribution over 0..7;
* "deltas", of R-CNN: the shift of the center from that of the anchor, in sizes of the anchor, and
  the logarithm of the ratio of the sizes.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.detection.priors import BINS, Design

MAX_LOG_RATIO = float(np.log(1000 / 16))  # of a box to its anchor, as in mmdet and Detectron

Floats = NDArray[np.float64]


def decode_boxes(codes: Floats, priors: Floats, design: Design) -> Floats:
    """Return the boxes that rows of an output tell.

    Args:
        codes: (N, `design.box_channels`), the last columns of the rows.
        priors: Their rows of `make_priors`.
        design: The detector's.

    Returns:
        (N, 4): left, top, right and bottom in pixels of the input.
    """
    return DECODERS[design.box_code](codes, priors)


def decode_distances(codes: Floats, priors: Floats) -> Floats:
    """Return the boxes (N, 4) of points (N, 3): the expected distances to their four sides."""
    logits = codes.reshape(-1, 4, BINS)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    expected = (weights * np.arange(BINS)).sum(-1) / weights.sum(-1)
    left, top, right, bottom = (expected * priors[:, 2:]).T
    x, y, _ = priors.T
    return np.stack([x - left, y - top, x + right, y + bottom], axis=-1)


def decode_deltas(codes: Floats, priors: Floats) -> Floats:
    """Return the boxes (N, 4) of anchors (N, 4) that were shifted and scaled."""
    centers = priors[:, :2] + codes[:, :2] * priors[:, 2:]
    ratios = np.exp(np.clip(codes[:, 2:], -MAX_LOG_RATIO, MAX_LOG_RATIO))
    halves = priors[:, 2:] * ratios / 2
    return np.concatenate([centers - halves, centers + halves], axis=1)


DECODERS: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "distances": decode_distances,
    "deltas": decode_deltas,
}
