"""Tolerances from floating-point rounding."""

import numpy as np

EPSILON32 = float(np.finfo(np.float32).eps)
EPSILON64 = float(np.finfo(np.float64).eps)


def rounding_error(values, operations, epsilon=EPSILON64):
    """Return the error of a number of rounded operations on numbers as large as the values."""
    return operations * epsilon * float(np.abs(values).max())


def warp_error(image):
    """Return the error of a bilinear warp whose positions are float32.

    A position is off by half an epsilon of its size per operation (multiply, add, add), and
    neighboring pixels differ by up to 255.
    """
    return 1.5 * EPSILON32 * max(image.shape[:2]) * 255
