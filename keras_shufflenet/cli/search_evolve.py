"""`keras-shufflenet search evolve`: the best architecture of a supernet within limits."""

import math
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_shufflenet._files import check_output_dir, file_hash
from keras_shufflenet.cli.options import import_tensorflow
from keras_shufflenet.cli.training_options import Resume

if TYPE_CHECKING:
    from rich.table import Table

    from keras_shufflenet.search import LatencyTable, SearchResult, SearchSpace
    from keras_shufflenet.search.costs import Cost
    from keras_shufflenet.search.settings import SupernetSettings

EXAMPLES = """
keras-shufflenet search evolve runs/supernet --max-macs 330e6 --output-dir runs/search
keras-shufflenet search evolve runs/supernet --latency-table latency.csv --max-latency 4.5 \
--workers 2 --output-dir runs/search
keras-shufflenet search evolve runs/supernet --latency-table latency.csv --objective latency_ms \
--output-dir runs/front
"""
WINNER, FRONT = "winner.json", "front.png"
RANDOM = 200  # architectures by which a limit is judged


def evolve(
    supernet: Annotated[
        Path,
        typer.Argument(
            metavar="SUPERNET", exists=True, file_okay=False, help="Folder of `search supernet`."
        ),
    ],
    output_dir: Annotated[Path, typer.Option(file_okay=False, help="Folder of the search.")],
    max_macs: Annotated[
        float | None,
        typer.Option(
            help="Highest number of multiply-adds at the supernet's input size, without the head."
        ),
    ] = None,
    max_params: Annotated[
        float | None, typer.Option(help="Highest number of parameters, without the head.")
    ] = None,
    max_latency: Annotated[
        float | None, typer.Option(help="Highest latency in milliseconds; with --latency-table.")
    ] = None,
    min_latency: Annotated[
        float | None, typer.Option(help="Lowest latency in milliseconds.")
    ] = None,
    latency_table: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="csv file of `search latency-table`."),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Export and measure each candidate that the table does not rule out.",
        ),
    ] = False,
    objective: Annotated[
        str | None,
        typer.Option(
            help="Cost that is to be low beside a high score (NSGA-II): macs, params, latency_ms "
            "or measured_ms. Default: the score alone."
        ),
    ] = None,
    population: Annotated[int, typer.Option(min=1, help="Architectures of a generation.")] = 50,
    generations: Annotated[int, typer.Option(min=1, help="Number of generations.")] = 20,
    parents: Annotated[
        int, typer.Option(min=1, help="Best architectures that others are made of.")
    ] = 10,
    mutations: Annotated[int, typer.Option(min=0, help="Mutations in a generation.")] = 25,
    crossovers: Annotated[
        int, typer.Option(min=0, help="Crossovers in a generation; the rest is random.")
    ] = 25,
    mutation_probability: Annotated[
        float, typer.Option(min=0, max=1, help="Probability that a choice is drawn anew.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 0,
    workers: Annotated[
        int, typer.Option(min=1, help="Candidates evaluated at the same time, by Ray if several.")
    ] = 1,
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster. Default: this machine.")
    ] = None,
    resume: Resume = True,
) -> None:
    """Search for the architecture with the highest score of a supernet within limits.

    The same command resumes a search that was interrupted.
    """
    limited = (max_latency, min_latency) != (None, None) or measure
    if limited and latency_table is None:
        raise ValueError(
            "--max-latency, --min-latency and --measure need --latency-table, which says what is "
            "exported. Received: none"
        )
    for option, limit in (
        *(("--max-macs", max_macs), ("--max-params", max_params)),
        *(("--max-latency", max_latency), ("--min-latency", min_latency)),
    ):
        if limit is not None and not 0 < limit < math.inf:
            raise ValueError(f"{option} must be a positive number. Received: {limit}")
    objectives = {
        "macs": True,
        "params": True,
        "latency_ms": latency_table is not None,
        "measured_ms": measure,
    }
    if objective is not None and not objectives.get(objective):
        raise ValueError(
            "--objective must be macs or params, latency_ms with --latency-table, or measured_ms "
            f"with --measure. Received: {objective}"
        )
    check_output_dir("output_dir", output_dir)
    import_tensorflow()
    from rich.console import Console

    from keras_shufflenet.search import Evolution, LatencyTable, costs
    from keras_shufflenet.search import evolve as run
    from keras_shufflenet.search.plots import check_plot, draw_front
    from keras_shufflenet.search.search_result import write_result
    from keras_shufflenet.search.settings import SupernetSettings, open_evaluator
    from keras_shufflenet.training.run_folder import FINAL

    evolution = Evolution(
        population=population,
        generations=generations,
        parents=parents,
        mutations=mutations,
        crossovers=crossovers,
        mutation_probability=mutation_probability,
        objective=objective,
        seed=seed,
    )
    settings = SupernetSettings.read(supernet)
    space = settings.search_space
    model = supernet / FINAL
    if not model.is_file():
        raise FileNotFoundError(f"SUPERNET must be a finished training. Received: no {model}")
    classes = _classes(settings)
    limited_costs = [
        costs.macs(space, settings.input_size, _at_most(max_macs), classes=classes),
        costs.params(space, _at_most(max_params), classes=classes),
    ]
    _warn_of_no_limit("--max-macs", limited_costs[0], space)
    _warn_of_no_limit("--max-params", limited_costs[1], space)
    description = {"supernet": file_hash(model)}
    if latency_table is not None:
        table = LatencyTable.load(latency_table)
        _check_table(table, settings, latency_table)
        description["latency_table"] = file_hash(latency_table)
        make = costs.measured_latency if measure else costs.predicted_latency
        lowest = -math.inf if min_latency is None else min_latency
        limited_costs += make(table, _at_most(max_latency), lowest)
    result = run(
        space,
        partial(open_evaluator, supernet),
        output_dir,
        limited_costs,
        evolution,
        workers=workers,
        address=address,
        resume=resume,
        description=description,
    )
    path = output_dir / WINNER
    write_result(result, space, path)
    Console().print(_table(result))
    typer.echo(f"wrote {path}: {space.name}:{result.best.architecture}")
    try:
        check_plot("plot", output_dir / FRONT)
    except ImportError as error:
        typer.echo(f"{FRONT}: not drawn. {error}", err=True)
        return
    draw_front(result, output_dir / FRONT)


def _warn_of_no_limit(option: str, cost: "Cost", space: "SearchSpace") -> None:
    """Warn of a limit that random architectures are far from."""
    import numpy as np

    rng = np.random.default_rng(0)
    highest = max(cost.function(space.random(rng)) for _ in range(RANDOM))
    if highest <= cost.maximum < math.inf:
        warnings.warn(
            f"{option} {cost.maximum:g} hardly limits the search: of {RANDOM} random architectures "
            f"the highest has {highest:g}.",
            stacklevel=2,
        )


def _at_most(limit: float | None) -> float:
    return math.inf if limit is None else limit


def _classes(settings: "SupernetSettings") -> int:
    """Return the number of classes; other backbones have no classifier."""
    from keras_shufflenet.data import load_classification_dataset

    if settings.task != "classification":
        return 0
    return load_classification_dataset(settings.data).num_classes


def _check_table(table: "LatencyTable", settings: "SupernetSettings", path: Path) -> None:
    """Raise ValueError if a table is of another search space, task or input size."""
    if settings.task == "detection":
        raise ValueError(
            "--latency-table must not be given for a detector: files of classifiers and pose "
            f"estimators are measured. Received: {path}"
        )
    measured = table.deployment
    head = settings.head if settings.task == "pose" else None
    own = (settings.search_space, head, settings.input_size)
    if (measured.space, measured.head, measured.input_size) != own:
        height, width = settings.input_size
        raise ValueError(
            f"--latency-table must be measured for {settings.space} with the channel scales, "
            f"head ({head}) and input size ({height}x{width}) of the supernet. Received: {path}"
        )


def _table(result: "SearchResult") -> "Table":
    """Return the Pareto front as a table, with the winner at its end."""
    from rich.table import Table

    names = list(result.best.costs)
    table = Table("architecture", title="Pareto front")
    for name in ("score", *names):
        table.add_column(name, justify="right")
    for each in result.front:
        values = (f"{each.costs[name]:.6g}" for name in names)
        table.add_row(str(each.architecture), f"{each.score:.4f}", *values)
    return table
