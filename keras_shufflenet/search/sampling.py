"""Which architecture a supernet trains in which step.

The architectures come from a seed and the number of the step, so that a resumed training has those
of one that was not interrupted.
"""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np

from keras_shufflenet._checks import check_choice, check_integer
from keras_shufflenet.search.spaces import Architecture, SearchSpace
from keras_shufflenet.search.supernet import select

MACS_BINS = tuple((low * 10**6, (low + 10) * 10**6) for low in range(290, 360, 10))
"""The published bins of multiply-adds at 224 × 224: seven from 290 to 360 million."""
MAX_TRIES = 500  # as published
SAMPLINGS = ("uniform", "macs_bins")

Sampling = Literal["uniform", "macs_bins"]


class PathSampler:
    """Architectures by the number of a step.

    Args:
        space: The search space.
        sampling: "uniform", or "macs_bins": an architecture of a bin of `MACS_BINS`, which all have
            the same probability; if none is found in 500 tries, any architecture.
        seed: The seed.
        bins: Other bins of multiply-adds, from the first number to below the second.

    Raises:
        ValueError: If there is no such sampling, or the seed is negative.
    """

    def __init__(
        self,
        space: SearchSpace,
        sampling: Sampling = "uniform",
        seed: int = 0,
        bins: Sequence[tuple[int, int]] = MACS_BINS,
    ) -> None:
        check_choice("sampling", sampling, SAMPLINGS)
        check_integer("seed", seed, minimum=0)
        self.space = space
        self.sampling = sampling
        self.seed = seed
        self.bins = tuple(bins)

    def sample(self, step: int) -> Architecture:
        """Return the architecture of a step."""
        rng = np.random.default_rng((self.seed, step))
        if self.sampling == "macs_bins":
            low, high = self.bins[rng.integers(len(self.bins))]
            for _ in range(MAX_TRIES):
                architecture = self.space.random(rng)
                if low <= self.space.macs(architecture) < high:
                    return architecture
        return self.space.random(rng)

    def description(self) -> dict[str, Any]:
        """Return what defines the architectures, as JSON."""
        bins = {"bins": [list(each) for each in self.bins]} if self.sampling == "macs_bins" else {}
        return {"sampling": self.sampling, "seed": self.seed, **bins}


class PathSampling(keras.callbacks.Callback):
    """Select the architecture of every step of a training.

    Args:
        sampler: Yields the architectures.
    """

    def __init__(self, sampler: PathSampler) -> None:
        super().__init__()
        self.sampler = sampler
        self.step = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Find out how many steps were done before."""
        self.step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Select."""
        select(self.model, self.sampler.space, self.sampler.sample(self.step))
        self.step += 1
