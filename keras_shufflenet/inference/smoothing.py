"""The One-Euro filter: smooth where a signal rests, without lag where it moves fast.

Source: Casiez, Roussel and Vogel, "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input
in Interactive Systems", CHI 2012. The scaling by the size of the person follows MediaPipe's
LandmarksSmoothingCalculator.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_shufflenet._checks import check_number, check_positive

Array = NDArray[np.float64]

MIN_CUTOFF = 1.0
BETA = 5.0
DERIVATIVE_CUTOFF = 1.0


class OneEuroFilter:
    """A low-pass filter whose cutoff frequency rises with the speed of the signal.

    Every value has a filter of its own: the cutoff frequency is `min_cutoff + beta * |speed|`, with
    the speed in units of the scale per second.
    """

    def __init__(
        self,
        min_cutoff: float = MIN_CUTOFF,
        beta: float = BETA,
        derivative_cutoff: float = DERIVATIVE_CUTOFF,
    ) -> None:
        """Create a filter.

        Args:
            min_cutoff: Cutoff frequency at rest in hertz; lower for less jitter.
            beta: Rise of the cutoff frequency with the speed; higher for less lag.
            derivative_cutoff: Cutoff frequency of the speed in hertz.

        Raises:
            ValueError: If a frequency is not above 0, or `beta` is below 0.
        """
        check_positive("min_cutoff", min_cutoff)
        check_positive("derivative_cutoff", derivative_cutoff)
        check_number("beta", beta)
        if beta < 0:
            raise ValueError(f"`beta` must not be below 0. Received: beta={beta}")
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.derivative_cutoff = derivative_cutoff
        self._time = -np.inf
        self._values: Array | None = None
        self._speeds: Array | None = None

    def __call__(
        self,
        values: ArrayLike,
        time: float,
        *,
        scale: float = 1.0,
        valid: ArrayLike | None = None,
    ) -> Array:
        """Return the next values, smoothed.

        Args:
            values: Array of a shape that stays the same, such as points (K, 2).
            time: When they were measured, in seconds; later than the values before.
            scale: Length that the speed is relative to, such as the height of the person's box.
            valid: Which values are measured, in a shape that broadcasts to theirs, such as (K, 1);
                all by default. Others are returned as they are, and their filter starts anew.

        Returns:
            float64 array of the same shape.

        Raises:
            ValueError: If the time is not later than before, or the shape is another.
        """
        new = np.asarray(values, np.float64)
        known = np.broadcast_to(True if valid is None else np.asarray(valid, bool), new.shape)
        if self._values is None or self._speeds is None:
            self._values = self._speeds = np.full(new.shape, np.nan)
        if time <= self._time:
            raise ValueError(
                f"`time` must be later than before, {self._time:g} s. Received: time={time!r}"
            )
        if new.shape != self._values.shape:
            raise ValueError(
                f"`values` must have the shape {self._values.shape}. Received: {new.shape}"
            )
        elapsed = time - (self._time if np.isfinite(self._time) else time - 1)
        self._time = time
        last, fresh = self._values, np.isnan(self._values)
        speeds = np.where(fresh, 0.0, (new - last) / (elapsed * scale))
        earlier = np.where(fresh, 0.0, self._speeds)
        speeds = earlier + _alpha(self.derivative_cutoff, elapsed) * (speeds - earlier)
        cutoffs = self.min_cutoff + self.beta * np.abs(speeds)
        smoothed = np.where(fresh, new, last + _alpha(cutoffs, elapsed) * (new - last))
        self._values = np.where(known, smoothed, np.nan)
        self._speeds = np.where(known, speeds, 0.0)
        return np.where(known, smoothed, new)


def _alpha(cutoff: ArrayLike, elapsed: float) -> Array:
    """Return the weight of the new value in exponential smoothing."""
    radians = 2 * np.pi * np.asarray(cutoff, np.float64) * elapsed
    return radians / (radians + 1)
