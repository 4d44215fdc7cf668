"""Latency of architectures as a sum over their blocks, from measured networks.

A table is the additive model that fits measured networks best, see `latency_fit`. Its error is that
on random networks, which the fit has not seen.
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
from keras_shufflenet.search.latency_fit import all_blocks, design, fit, predict_by_macs, unknowns
from keras_shufflenet.search.spaces import Architecture, Block, search_space

HELD_OUT = 20  # random architectures by default
ITERATIONS = 60
BASE_NETWORK = Block(0, 0, 0, 0.0)  # its row in the file
ERRORS = ("median_error", "worst_error", "macs_error")
SPARE = 2  # networks of the design for each unknown of the fit


@dataclass(frozen=True)
class TableError:
    """How well a table predicts random architectures that were measured with it.

    Attributes:
        networks: Number of networks that the table was fitted to.
        held_out: Number of random architectures.
        median_error: Median of |predicted / measured - 1|.
        worst_error: Maximum of it.
        macs_error: The same median of a line over multiply-adds, fitted to the same networks: what
            predictions without a table would err.
    """

    networks: int
    held_out: int
    median_error: float
    worst_error: float
    macs_error: float


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
                f"({_reason(error_of_row)}). Received: {path}"
            ) from error_of_row
        return cls(deployment, base_ms, blocks, error, iterations)


def _reason(error: Exception) -> str:
    return f"no column {error}" if isinstance(error, KeyError) else str(error) or "no rows"


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
    return TableError(*counts, *(float(row[name]) for name in ERRORS))


def _block(row: Mapping[str, Any]) -> Block:
    stage, strides, choice = (int(row[name]) for name in Block._fields[:3])
    return Block(stage, strides, choice, float(row["channel_scale"]))


@dataclass(frozen=True)
class MeasuredTable:
    """A table, and the networks that were measured for it.

    Attributes:
        table: The table.
        architectures: The networks that it was fitted to, then random ones.
        predicted: Their predicted latencies in milliseconds.
        measured: Their measured latencies in milliseconds.
    """

    table: LatencyTable
    architectures: Sequence[Architecture]
    predicted: np.ndarray
    measured: np.ndarray

    def save_networks(self, path: Path) -> None:
        """Write a csv file with a row for each network, from which a table can be fitted again."""
        columns = ("architecture", "is_fitted", "measured_ms", "predicted_ms")
        fitted = np.arange(len(self.architectures)) < self.table.error.networks
        rows = zip(self.architectures, fitted, self.measured, self.predicted, strict=True)

        def write(beside: Path) -> None:
            with beside.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(columns)
                for architecture, is_fitted, measured, predicted in rows:
                    writer.writerow(
                        [architecture, int(is_fitted), f"{measured:.6g}", f"{predicted:.6g}"]
                    )

        atomic_write(path, write)


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
        networks: Number of networks that the table is fitted to. Defaults to twice the number
            of unknowns.
        held_out: Number of random architectures that its error is measured on.
        iterations: Timed runs of each file.
        seed: Seed of both.
        verbose: Whether to show progress.

    Raises:
        ValueError: If an argument is invalid.
    """
    needed = unknowns(deployment)
    count = networks if networks is not None else SPARE * needed
    check_integer("networks", count, minimum=needed)
    check_integer("held_out", held_out)
    rng = np.random.default_rng((seed, 1))
    drawn = design(deployment, count, seed)
    drawn += [deployment.space.random(rng) for _ in range(held_out)]
    ratios, base_ms = deployment.measure(drawn, iterations, verbose)
    measured = base_ms * ratios
    base, blocks = fit(deployment, drawn[:count], measured[:count])
    sums = [sum(blocks[block] for block in deployment.space.blocks(each)) for each in drawn]
    predicted = base + np.array(sums)
    errors = np.abs(predicted / measured - 1)[count:]
    by_macs = predict_by_macs(deployment, drawn[:count], measured[:count], drawn[count:])
    macs_error = float(np.median(np.abs(by_macs / measured[count:] - 1)))
    error = TableError(count, held_out, float(np.median(errors)), float(errors.max()), macs_error)
    table = LatencyTable(deployment, base, blocks, error, iterations)
    return MeasuredTable(table, drawn, predicted, measured)
