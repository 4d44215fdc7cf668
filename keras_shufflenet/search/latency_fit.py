"""The additive model of latency: which networks are measured, and what their blocks cost.

Blocks are not measured alone: inside a file they share channel orders, memory and caches with
others. Whole networks of a balanced design are measured instead, with as mixed blocks as random
ones, and the blocks get the numbers whose sums fit best.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_shufflenet.search.exported_latency import Deployment
from keras_shufflenet.search.spaces import Architecture, Block, SearchSpace

DESIGNS, PREDICTED = 40, 100  # designs to choose from, random architectures to judge them by


def all_blocks(space: SearchSpace) -> list[Block]:
    """Return all blocks of a space, in order."""
    return [
        Block(stage, strides, choice, scale)
        for stage, strides in _places(space)
        for choice in space.choices
        for scale in space.channel_scales
    ]


def _places(space: SearchSpace) -> list[tuple[int, int]]:
    """Return stage and stride of the units, each pair once."""
    units = space.blocks(space.random(np.random.default_rng(0)))
    return list(dict.fromkeys((block.stage, block.strides) for block in units))


def _with_blocks(space: SearchSpace, chosen: Mapping[tuple[int, int], Block]) -> Architecture:
    """Return the architecture with one and the same block in all units of a place."""
    units = space.blocks(space.random(np.random.default_rng(0)))
    blocks = [chosen[unit.stage, unit.strides] for unit in units]
    choices = tuple(block.choice for block in blocks)
    return Architecture(choices, tuple(block.channel_scale for block in blocks))


def _balanced(space: SearchSpace, networks: int, rng: np.random.Generator) -> list[Architecture]:
    """Return networks in which every unit has every choice and channel scale equally often.

    Neighbors differ as in random architectures, the context that a block must be measured in.
    """

    def columns(values: Sequence[Any]) -> list[list[Any]]:
        equal = np.resize(np.asarray(values), networks)
        return np.stack([rng.permutation(equal) for _ in range(space.units)], axis=1).tolist()

    rows = zip(columns(space.choices), columns(space.channel_scales), strict=True)
    return [Architecture(tuple(choices), tuple(scales)) for choices, scales in rows]


def design(deployment: Deployment, networks: int, seed: int = 0) -> list[Architecture]:
    """Return the networks to measure for a table.

    Of several random designs in which every block is as frequent as any other, it is the one with
    the least expected error on random architectures, an I-optimal design.

    Args:
        deployment: What is measured.
        networks: Number of networks.
        seed: Seed.
    """
    model, rng = _Model(deployment), np.random.default_rng(seed)
    random = model.matrix([deployment.space.random(rng) for _ in range(PREDICTED)])
    designs = [_balanced(deployment.space, networks, rng) for _ in range(DESIGNS)]

    def variance(architectures: list[Architecture]) -> float:
        """Return the variance of predictions, in that of a measurement."""
        matrix = model.matrix(architectures)
        if np.linalg.matrix_rank(matrix) < model.unknowns:
            return np.inf
        return float(np.square(random @ np.linalg.pinv(matrix)).sum(axis=1).mean())

    return min(designs, key=variance)


class _Model:
    """The additive model: a number for each place and choice, and a slope over multiply-adds."""

    def __init__(self, deployment: Deployment) -> None:
        self.space, self.size = deployment.space, deployment.input_size
        self.base = self.space.blocks(deployment.base)
        self.scale = self.base[0].channel_scale
        kinds = [(*place, choice) for place in _places(self.space) for choice in self.space.choices]
        first = self.space.choices[0]
        self.columns: list[tuple[int, int, int, bool]] = [
            (*kind, False) for kind in kinds if kind[2] != first
        ]
        if len(self.space.channel_scales) > 1:
            self.columns += [(*kind, True) for kind in kinds]
        self.index = {column: number for number, column in enumerate(self.columns, 1)}
        self.unknowns = 1 + len(self.columns)

        self.features = {block: self._features(block) for block in all_blocks(self.space)}

    def matrix(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Return the features of architectures, (N, unknowns); the first one is 1."""
        blocks = (self.space.blocks(each) for each in architectures)
        matrix = np.array([sum(self.features[block] for block in each) for each in blocks])
        matrix[:, 0] = 1
        return matrix

    def _features(self, block: Block) -> np.ndarray:
        kind, row = block[:3], np.zeros(self.unknowns)
        if (*kind, False) in self.index:
            row[self.index[(*kind, False)]] = 1
        if (*kind, True) in self.index:
            change = self._macs(block) - self._macs(block._replace(channel_scale=self.scale))
            row[self.index[(*kind, True)]] = change / 1e6
        return row

    def _macs(self, block: Block) -> int:
        """Return the multiply-adds of a network with this block in all units of its place."""
        chosen = {(base.stage, base.strides): base for base in self.base}
        chosen[block.stage, block.strides] = block
        return self.space.macs(_with_blocks(self.space, chosen), self.size)


def unknowns(deployment: Deployment) -> int:
    """Return the number of unknowns of the fit, which as many networks determine."""
    return _Model(deployment).unknowns


def fit(
    deployment: Deployment, architectures: Sequence[Architecture], latencies: np.ndarray
) -> tuple[float, dict[Block, float]]:
    """Fit the additive model by least squares.

    Args:
        deployment: What was measured.
        architectures: The measured architectures.
        latencies: (N,), of any unit.

    Returns:
        The latency of the base network, and of each block that beyond its base block, in the unit
        of the latencies.

    Raises:
        ValueError: If there are fewer architectures than unknowns.
    """
    model = _Model(deployment)
    if len(architectures) < model.unknowns:
        raise ValueError(
            f"`networks` must be at least {model.unknowns}, the number of unknowns. "
            f"Received: networks={len(architectures)}"
        )
    solution = _least_relative_errors(model.matrix(architectures), latencies)
    blocks = {block: float(row @ solution) for block, row in model.features.items()}
    return float(solution[0]), blocks


def predict_by_macs(
    deployment: Deployment,
    architectures: Sequence[Architecture],
    latencies: np.ndarray,
    predicted: Sequence[Architecture],
) -> np.ndarray:
    """Predict latencies by a line over multiply-adds, the model that a table is compared with.

    Args:
        deployment: What was measured.
        architectures: The measured architectures.
        latencies: (N,), of any unit.
        predicted: The architectures to predict.

    Returns:
        (M,) latencies.
    """

    def matrix(networks: Sequence[Architecture]) -> np.ndarray:
        macs = [deployment.space.macs(each, deployment.input_size) for each in networks]
        return np.stack([np.ones(len(macs)), np.array(macs) / 1e6], axis=1)

    return matrix(predicted) @ _least_relative_errors(matrix(architectures), latencies)


def _least_relative_errors(matrix: np.ndarray, latencies: np.ndarray) -> np.ndarray:
    """Return the solution with the least squares of relative errors."""
    weights = 1 / np.asarray(latencies)
    solution, *_ = np.linalg.lstsq(matrix * weights[:, None], np.ones(len(matrix)), rcond=None)
    return solution
