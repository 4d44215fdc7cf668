"""Compare a search under a latency budget with one under a limit of multiply-adds.

    python tools/compare_searches.py runs/supernet --latency-table latency.csv \
        --output-dir runs/comparison --results-csv results/searches.csv

The budget is a quantile of the latencies of random architectures. Both searches have the same
seed and number of candidates; the limit of multiply-adds is their mean over random architectures of
that latency. Of each search, the best candidate whose predicted latency uses the budget, 95 % of it
or more, is exported and measured, beside a network of the registry.
"""

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from keras_shufflenet._files import check_output
from keras_shufflenet._results import append_row
from keras_shufflenet.search import Architecture, Evolution, LatencyTable, SearchSpace, evolve
from keras_shufflenet.search.costs import LATENCY, Cost, macs, predicted_latency
from keras_shufflenet.search.parallel_evaluation import MakeEvaluator
from keras_shufflenet.search.search_log import Candidate

PROGRAM = "python tools/compare_searches.py"
RANDOM = 2000  # architectures whose latencies are predicted
LEAST = 0.95  # of the budget: latencies that use it
CLOSE = 0.02  # of the budget: architectures of equal latency
COLUMNS = ("search", "network", "score", "macs", "predicted_ms", "measured_ms", "partitions")


def budgets(table: LatencyTable, quantile: float, seed: int) -> tuple[float, float]:
    """Return a latency in milliseconds, and the multiply-adds of architectures that have it.

    Args:
        table: The latency table.
        quantile: Share of random architectures that are faster.
        seed: Seed of the architectures.
    """
    space, size = table.deployment.space, table.deployment.input_size
    rng = np.random.default_rng((seed, RANDOM))
    drawn = [space.random(rng) for _ in range(RANDOM)]
    times = np.array([table.predict(each) for each in drawn])
    budget = float(np.quantile(times, quantile))
    equal = np.flatnonzero(np.abs(times / budget - 1) <= CLOSE)
    return budget, float(np.mean([space.macs(drawn[n], size, classes=0) for n in equal]))


def best_within(candidates: list[Candidate], budget: float) -> Candidate:
    """Return the candidate with the highest score whose predicted latency uses a budget.

    Raises:
        ValueError: If there is none.
    """
    allowed = [each for each in candidates if LEAST * budget <= each.costs[LATENCY] <= budget]
    if not allowed:
        raise ValueError(
            f"A candidate must use {LEAST:.0%} of the budget of {budget:g} ms. Received: none of "
            f"{len(candidates)}"
        )
    return max(allowed, key=lambda each: each.score or 0.0)


def search_both(
    space: SearchSpace,
    make_evaluator: MakeEvaluator,
    table: LatencyTable,
    output_dir: Path,
    evolution: Evolution,
    quantile: float,
) -> tuple[float, dict[str, Candidate]]:
    """Search under both limits.

    Returns:
        The budget in milliseconds, and the best candidate of each search that uses it.
    """
    budget, limit = budgets(table, quantile, evolution.seed)
    size = table.deployment.input_size
    costs: dict[str, list[Cost]] = {
        "latency": [
            macs(space, size, classes=0),
            *predicted_latency(table, budget, LEAST * budget),
        ],
        "macs": [macs(space, size, limit, classes=0), *predicted_latency(table)],
    }
    found = {}
    for name, limited in costs.items():
        result = evolve(space, make_evaluator, output_dir / name, limited, evolution)
        found[name] = best_within(list(result.candidates), budget)
    return budget, found


def measured_rows(
    table: LatencyTable, found: Mapping[str, Candidate], compared_with: str, iterations: int
) -> list[dict[str, float | str]]:
    """Measure the candidates and another network, and return a row for each.

    Args:
        table: The latency table.
        found: The candidate of each search.
        compared_with: A name of `list_models()`.
        iterations: Timed runs of each file.
    """
    rows: list[dict[str, float | str]] = [
        {
            "search": name,
            "network": str(each.architecture),
            "score": each.score or 0.0,
            "macs": each.costs["macs"],
            "predicted_ms": each.costs[LATENCY],
        }
        for name, each in found.items()
    ]
    other: dict[str, float | str] = dict.fromkeys(COLUMNS, "")
    rows.append(other | {"network": compared_with})
    networks: list[Architecture | str] = [each.architecture for each in found.values()]
    networks.append(compared_with)
    ratios, _ = table.deployment.measure(networks, iterations)
    with tempfile.TemporaryDirectory() as folder:
        for row, network, ratio in zip(rows, networks, ratios, strict=True):
            report = table.deployment.export(network, Path(folder) / "network.tflite")
            row["measured_ms"] = float(ratio) * table.base_ms
            row["partitions"] = str(report.delegate_partitions)
    return rows


def main(
    supernet: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    latency_table: Annotated[Path, typer.Option(exists=True, help="Latency table.")],
    output_dir: Annotated[Path, typer.Option(help="Folder of both searches.")],
    quantile: Annotated[
        float, typer.Option(min=0, max=1, help="Share of architectures faster than the budget.")
    ] = 0.25,
    compared_with: Annotated[
        str, typer.Option(help="Network of `keras-shufflenet models` to measure beside them.")
    ] = "shufflenet_v2_x1_0",
    population: Annotated[int, typer.Option(min=2, help="Architectures of a generation.")] = 20,
    generations: Annotated[int, typer.Option(min=1, help="Number of generations.")] = 5,
    iterations: Annotated[int, typer.Option(min=1, help="Timed runs of each file.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the searches.")] = 0,
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append rows to.")] = None,
) -> None:
    """Search under a latency budget and a limit of multiply-adds, and measure what is found."""
    if results_csv is not None:
        check_output("results_csv", results_csv)
    from keras_shufflenet.search.settings import open_evaluator

    table = LatencyTable.load(latency_table)
    share = population // 4
    evolution = Evolution(
        population=population,
        generations=generations,
        parents=max(share, 1),
        mutations=2 * share,
        crossovers=share,
        seed=seed,
    )
    budget, found = search_both(
        table.deployment.space,
        partial(open_evaluator, supernet),
        table,
        output_dir,
        evolution,
        quantile,
    )
    rows = measured_rows(table, found, compared_with, iterations)
    shown = Table(*COLUMNS, title=f"budget {budget:.4g} ms")
    for row in rows:
        shown.add_row(*(v if isinstance(v := row[name], str) else f"{v:.6g}" for name in COLUMNS))
        if results_csv is not None:
            append_row(results_csv, {"budget_ms": budget, **row}, PROGRAM)
    Console().print(shown)


if __name__ == "__main__":
    typer.run(main)
