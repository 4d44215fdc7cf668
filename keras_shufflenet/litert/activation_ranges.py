"""Ranges of quantized activations, by the errors that they cause; NumPy only.

Activations have long tails: a smaller range than from the minimum to the maximum has finer steps
and clips few values. The criterion is OCTAV's (Sakr et al., arXiv 2206.06501): the sum of the
squared errors of rounding and of clipping.
"""

from dataclasses import dataclass, field
from itertools import product

import numpy as np

STEPS = 255
BINS = 4096  # of the histogram of a tensor: 16 for each step
TINY = 1e-30  # width of the range of a tensor with a single value
# Candidates, as fractions of the range on the images; the one of least squared error is taken.
FRACTIONS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3)
BELOW_ZERO = (*FRACTIONS, 0.2, 0.15, 0.1, 0.07, 0.05)  # of what a slope makes small

Range = tuple[float, float]


@dataclass(frozen=True)
class Histogram:
    """The values of a tensor on the images.

    Attributes:
        range: The least and the greatest value.
        counts: (BINS,), how many values each part of the range has.
    """

    range: Range
    counts: np.ndarray = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def error(self, candidate: Range, slope: float) -> float:
        """Return the sum of the squared errors that a range causes in the next operator.

        Args:
            candidate: The range.
            slope: What the operator multiplies negative values by.
        """
        start, stop = self.range
        values = start + (np.arange(BINS) + 0.5) * (stop - start) / BINS
        clipped = np.clip(values, *candidate) - values
        weights = np.where(values < 0, slope**2, 1.0) * self.counts
        return float((weights * (np.square(clipped) + _rounding(candidate))).sum())

    def add(self, values: np.ndarray) -> None:
        """Count the values of a tensor."""
        low, high = self.range
        places = (values.ravel() - low) / (max(high - low, TINY) / BINS)
        self.counts[:] += np.bincount(np.clip(places.astype(np.int32), 0, BINS - 1), minlength=BINS)


def _rounding(low_high: Range) -> float:
    """Return the mean squared error of rounding."""
    return ((low_high[1] - low_high[0]) / STEPS) ** 2 / 12


def symmetric(histogram: Histogram) -> Range:
    """Return the best range of those that are clipped on both sides alike."""
    low, high = histogram.range
    candidates = [(fraction * low, fraction * high) for fraction in FRACTIONS]
    return min(candidates, key=lambda candidate: histogram.error(candidate, 1.0))


def asymmetric(histogram: Histogram, slope: float) -> Range:
    """Return the best range of the input of a leaky ReLU, whose output is rounded, too.

    Args:
        histogram: Of the input.
        slope: What the leaky ReLU multiplies negative values by.
    """
    low, high = histogram.range
    count = float(histogram.counts.sum())

    def error(candidate: Range) -> float:
        below, above = candidate
        return histogram.error(candidate, slope) + count * _rounding((slope * below, above))

    candidates = [(a * low, b * high) for a, b in product(BELOW_ZERO, FRACTIONS)]
    return min(candidates, key=error)
