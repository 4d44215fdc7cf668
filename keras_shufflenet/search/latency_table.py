"""Latency of architectures as a sum over their blocks, from measured networks.

Blocks are not measured alone: inside a file they share channel orders, memory and caches with
others. Whole networks of a balanced design are measured instead, and the table is the additive
model that fits them best. Its error is that on random networks, which the fit has not seen.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_shufflenet._checks import check_integer
from keras_shufflenet._files import atomic_write
from keras_shufflenet._results import environment
from keras_shufflenet.search.exported_latency import Deployment
from keras_shufflenet.search.spaces import Architecture, Block, SearchSpace, search_space

HELD_OUT = 20  # random architectures by default
ITERATIONS = 50
BASE_NETWORK = Block(0, 0, 0, 0.0)  # its row in the file
SPARE = 1.25  # networks of the design for each unknown of the fit


@dataclass(frozen=True)
class TableError:
    """How well a table predicts random architectures that were measured with it.

    Attributes:
        networks: Number of networks that the table was fitted to.
        held_out: Number of random architectures.
        median_error: Median of |predicted / measured - 1|.
        worst_error: Maximum of it.
    """

    networks: int
    held_out: int
    median_error: float
    worst_error: float


@dataclass(frozen=True)
class LatencyTable:
    """Predicts the latency of architectures.

    Attributes:
        deployment: What was measured.
        base_ms: Milliseconds of the network of base blocks.
        blocks: Milliseconds that each block takes more than the base block in its place.
        error: Error on random architectures.
        iterations: Timed runs of each file.
    """

    deployment: Deployment
    base_ms: float
    blocks: Mapping[Block, float]
    error: TableError
    iterations: int = ITERATIONS

    def predict(self, architecture: Architecture) -> float:
        """Return the latency in milliseconds.

        Raises:
            ValueError: If the architecture is not of the space.
        """
        blocks = self.deployment.space.blocks(architecture)
        return self.base_ms + sum(self.blocks[block] for block in blocks)

    def save(self, path: Path) -> None:
        """Write a csv file: a row for each block, the base network as stage 0."""
        common = environment() | describe(self)
        rows = [(BASE_NETWORK, self.base_ms), *self.blocks.items()]
        table = [common | block._asdict() | {"ms": repr(ms)} for block, ms in rows]

        def write(beside: Path) -> None:
            with beside.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(table)

        atomic_write(path, write)

    @classmethod
    def load(cls, path: str | Path) -> "LatencyTable":
        """Read a csv file.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no complete latency table.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"The latency table must exist. Received: {str(path)!r}")
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        try:
            deployment = _deployment(rows)
            error = _error(rows[0])
            times = {_block(row): float(row["ms"]) for row in rows}
            base_ms, iterations = times.pop(BASE_NETWORK), int(rows[0]["iterations"])
            blocks = {block: times[block] for block in all_blocks(deployment.space)}
        except (KeyError, IndexError, TypeError, ValueError) as error_of_row:
            raise ValueError(
                "A latency table must be a complete csv file of `search latency-table` "
                f"({error_of_row!r}). Received: {path}"
            ) from error_of_row
        return cls(deployment, base_ms, blocks, error, iterations)


def describe(table: LatencyTable) -> dict[str, str]:
    """Return what a table was measured for, and its error, as columns of a csv file."""
    deployment = table.deployment
    height, width = deployment.input_size
    errors = {name: f"{value:.6g}" for name, value in asdict(table.error).items()}
    return {
        "space": deployment.space.name,
        "channel_scales": " ".join(f"{scale:g}" for scale in deployment.space.channel_scales),
        "precision": deployment.precision,
        "threads": str(deployment.threads),
        "input_size": f"{height}x{width}",
        "head": deployment.head or "",
        "classes": str(deployment.classes),
        "iterations": str(table.iterations),
        **errors,
    }


def _deployment(rows: Sequence[Mapping[str, str]]) -> Deployment:
    first = rows[0]
    scales = tuple(map(float, first["channel_scales"].split()))
    height, width = map(int, first["input_size"].split("x"))
    return Deployment(
        space=search_space(first["space"], scales),
        precision=first["precision"],
        threads=int(first["threads"]),
        input_size=(height, width),
        head=first["head"] or None,
        classes=int(first["classes"]),
    )


def _error(row: Mapping[str, str]) -> TableError:
    counts = (int(row[name]) for name in ("networks", "held_out"))
    return TableError(*counts, *(float(row[name]) for name in ("median_error", "worst_error")))


def _block(row: Mapping[str, Any]) -> Block:
    stage, strides, choice = (int(row[name]) for name in Block._fields[:3])
    return Block(stage, strides, choice, float(row["channel_scale"]))


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


def design(space: SearchSpace, networks: int, seed: int = 0) -> list[Architecture]:
    """Return networks in which every choice and channel scale is as frequent as any other.

    All units of a stage with the same stride have the same block, so that its latency is seen
    several times in one measurement.

    Args:
        space: The search space.
        networks: Number of networks.
        seed: Seed.
    """
    rng = np.random.default_rng(seed)

    def balanced(values: Sequence[Any]) -> list[Any]:
        return rng.permutation(np.resize(np.asarray(values), networks)).tolist()

    levels = {
        place: list(zip(balanced(space.choices), balanced(space.channel_scales), strict=True))
        for place in _places(space)
    }
    return [
        _with_blocks(space, {place: Block(*place, *each[n]) for place, each in levels.items()})
        for n in range(networks)
    ]


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

    def features(self, block: Block) -> np.ndarray:
        """Return the features of a block."""
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
    features = {block: model.features(block) for block in all_blocks(deployment.space)}
    matrix = np.array(
        [sum(features[b] for b in deployment.space.blocks(each)) for each in architectures]
    )
    matrix[:, 0] = 1
    # Least relative errors: each row is divided by its latency.
    weights = 1 / np.asarray(latencies)
    solution, *_ = np.linalg.lstsq(matrix * weights[:, None], np.ones(len(matrix)), rcond=None)
    return float(solution[0]), {block: float(row @ solution) for block, row in features.items()}


@dataclass(frozen=True)
class MeasuredTable:
    """A table, and the random architectures that its error was measured on.

    Attributes:
        table: The table.
        architectures: The architectures.
        predicted: Their predicted latencies in milliseconds.
        measured: Their measured latencies in milliseconds.
    """

    table: LatencyTable
    architectures: Sequence[Architecture]
    predicted: np.ndarray
    measured: np.ndarray


def measure_table(
    deployment: Deployment,
    networks: int | None = None,
    held_out: int = HELD_OUT,
    iterations: int = ITERATIONS,
    seed: int = 0,
    verbose: bool = True,
) -> MeasuredTable:
    """Measure networks on this machine and fit a table to them.

    Args:
        deployment: What to measure.
        networks: Number of networks that the table is fitted to. Defaults to a quarter more than
            there are unknowns.
        held_out: Number of random architectures that its error is measured on.
        iterations: Timed runs of each file.
        seed: Seed of both.
        verbose: Whether to show progress.

    Raises:
        ValueError: If an argument is invalid.
    """
    needed = unknowns(deployment)
    count = networks if networks is not None else int(np.ceil(SPARE * needed))
    check_integer("networks", count, minimum=needed)
    check_integer("held_out", held_out)
    rng = np.random.default_rng((seed, 1))
    designed = design(deployment.space, count, seed)
    random = [deployment.space.random(rng) for _ in range(held_out)]
    ratios, base_ms = deployment.measure([*designed, *random], iterations, verbose)
    base, blocks = fit(deployment, designed, base_ms * ratios[:count])
    measured = base_ms * ratios[count:]
    sums = [sum(blocks[block] for block in deployment.space.blocks(each)) for each in random]
    predicted = base + np.array(sums)
    errors = np.abs(predicted / measured - 1)
    error = TableError(count, held_out, float(np.median(errors)), float(errors.max()))
    table = LatencyTable(deployment, base, blocks, error, iterations)
    return MeasuredTable(table, random, predicted, measured)
