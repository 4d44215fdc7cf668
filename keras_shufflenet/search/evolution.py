"""Evolutionary search for architectures.

Papers: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV
    2020, https://arxiv.org/abs/1904.00420; Chen et al., "DetNAS: Backbone Search for Object
    Detection", NeurIPS 2019, https://arxiv.org/abs/1903.10979. Their code:
    https://github.com/megvii-model/SinglePathOneShot, https://github.com/megvii-model/DetNAS.

A generation consists of mutations of the best architectures so far, of crossovers between them, and
of random ones; all are within the limits, and new. Random numbers depend on seed and generation
alone: a search that is started again repeats its steps with the scores of its log, and is then
where it was.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_shufflenet._checks import check_choice, check_fraction, check_integer
from keras_shufflenet.search import pareto
from keras_shufflenet.search.costs import Cost
from keras_shufflenet.search.parallel_evaluation import (
    Evaluate,
    MakeEvaluator,
    check_workers,
    evaluation,
)
from keras_shufflenet.search.search_log import Candidate, SearchLog
from keras_shufflenet.search.search_result import SearchResult, summarize
from keras_shufflenet.search.spaces import Architecture, SearchSpace
from keras_shufflenet.training.run_folder import LOG, open_run

RANDOM_TRIES = 1000  # for each random architecture that is wanted
RANDOM, MUTATION, CROSSOVER = "random", "mutation", "crossover"


@dataclass(frozen=True, kw_only=True)
class Evolution:
    """Parameters of the search. The defaults are those of Single Path One-Shot.

    Attributes:
        population: Number of architectures of a generation.
        generations: Number of generations.
        parents: Number of the best architectures, which mutations and crossovers are made of.
        mutations: Number of mutations in a generation.
        crossovers: Number of crossovers in a generation; the rest is random.
        mutation_probability: Probability that a choice or channel scale is drawn anew.
        tries: Attempts for each mutation or crossover to be new and within the limits. What is
            missing then is replaced by random architectures.
        objective: Name of a cost. The parents are then those of NSGA-II, with a high score and a
            low cost. None for the highest scores.
        seed: Seed.

    Raises:
        ValueError: If a number is out of range.
    """

    population: int = 50
    generations: int = 20
    parents: int = 10
    mutations: int = 25
    crossovers: int = 25
    mutation_probability: float = 0.1
    tries: int = 10
    objective: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the attributes."""
        for name in ("population", "generations", "parents", "tries"):
            check_integer(name, getattr(self, name))
        for name in ("mutations", "crossovers", "seed"):
            check_integer(name, getattr(self, name), minimum=0)
        check_fraction("mutation_probability", self.mutation_probability)
        if self.mutations + self.crossovers > self.population:
            raise ValueError(
                "`population` must be at least the sum of `mutations` and `crossovers`. Received: "
                f"population={self.population}, {self.mutations} and {self.crossovers}"
            )


def evolve(
    space: SearchSpace,
    make_evaluator: MakeEvaluator,
    output_dir: str | Path,
    costs: Sequence[Cost],
    evolution: Evolution | None = None,
    *,
    workers: int = 1,
    address: str | None = None,
    resume: bool = True,
    description: dict[str, Any] | None = None,
    verbose: bool = True,
) -> SearchResult:
    """Search for the architecture with the highest score within limits.

    Args:
        space: The search space.
        make_evaluator: Builds the function that scores an architecture. It must be picklable for
            several workers, each of which calls it once.
        output_dir: Folder of the search: ``log.csv`` has a row for each candidate. A search that
            was killed at any moment is resumed by the same call, and ends as if it had not been.
        costs: The costs to log, with their limits, at least one; see `costs`.
        evolution: Parameters of the search.
        workers: Number of candidates that are evaluated at the same time, by Ray if it is not 1.
            The result does not depend on it.
        address: Address of a Ray cluster.
        resume: Whether to resume the search in the folder; otherwise it is replaced.
        description: What else the scores depend on, such as the supernet, as JSON: a search with
            another one is not resumed.
        verbose: Whether to show progress.

    Raises:
        EvaluationError: (a ValueError) If a candidate cannot be evaluated.
        ImportError: If workers or a cluster are asked for without Ray.
        ValueError: If an argument is invalid, the folder holds another search, or no architecture
            is within the limits.

    Warns:
        UserWarning: If a generation is smaller because no more new architectures were found.
    """
    settings = evolution or Evolution()
    names = [cost.name for cost in costs]
    if not costs or len(set(names)) < len(names):
        raise ValueError(f"`costs` must be one or several, each once. Received: {names}")
    check_choice("objective", settings.objective, (None, *names))
    check_workers(workers, address)
    about = {"space": space.name, "channel_scales": list(space.channel_scales)}
    about |= {"costs": [str(cost) for cost in costs], **asdict(settings), **(description or {})}
    folder = Path(output_dir)
    open_run(folder, "search", about, (LOG,), resume)
    search = _Search(space, costs, settings, SearchLog(folder / LOG, names))
    with (
        evaluation(make_evaluator, workers, address) as evaluate,
        _progress(settings, verbose) as report,
    ):
        search.run(evaluate, report)
    limited = [cost.name for cost in costs if not math.isinf(cost.maximum)]
    return summarize(search.evaluated, settings.objective or (limited or names)[-1])


@contextmanager
def _progress(settings: Evolution, verbose: bool) -> Iterator[Callable[[int, int, float], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), transient=True, disable=not verbose) as progress:
        task = progress.add_task("Searching", total=settings.generations * settings.population)

        def report(generation: int, number: int, best: float) -> None:
            title = f"Generation {generation} of {settings.generations}, best score {best:.4g}"
            done = (generation - 1) * settings.population + number
            progress.update(task, description=title, completed=done)

        yield report


class _Search:
    """The steps of a search; what its log has is not computed again."""

    def __init__(
        self, space: SearchSpace, costs: Sequence[Cost], settings: Evolution, log: SearchLog
    ) -> None:
        self.space = space
        self.costs = sorted(costs, key=lambda cost: cost.is_measured)
        self.settings = settings
        self.log = log
        self.evaluated: list[Candidate] = []
        self.drawn: set[Architecture] = set()

    def run(self, evaluate: Evaluate, report: Callable[[int, int, float], None]) -> None:
        """Run all generations; report generation, number of its candidates and best score."""
        for generation in range(1, self.settings.generations + 1):
            rng = np.random.default_rng((self.settings.seed, generation))
            candidates = self._draw_generation(rng, generation)
            new = [each.architecture for each in candidates if self._score(each) is None]
            results = evaluate(new)
            for number, candidate in enumerate(candidates, 1):
                score = self._score(candidate)
                if score is None:
                    score, seconds = next(results)
                    self.log.append(replace(candidate, score=score, seconds=round(seconds, 3)))
                self.evaluated.append(self.log.candidates[candidate.architecture])
                report(generation, number, max(self._scores()))

    def _score(self, candidate: Candidate) -> float | None:
        logged = self.log.candidates.get(candidate.architecture)
        return None if logged is None else logged.score

    def _scores(self) -> list[float]:
        return [each.score for each in self.evaluated if each.score is not None]

    def _draw_generation(self, rng: np.random.Generator, generation: int) -> list[Candidate]:
        """Return the candidates of a generation, without scores."""
        settings, space = self.settings, self.space
        found: list[Candidate] = []
        if self.evaluated:
            parents, probability = self._parents(), settings.mutation_probability
            mutations = (mutation(parents, space, probability, rng) for _ in count())
            found += self._allowed(MUTATION, mutations, settings.mutations, settings.tries)
            crossovers = (crossover(parents, rng) for _ in count())
            found += self._allowed(CROSSOVER, crossovers, settings.crossovers, settings.tries)
        missing = settings.population - len(found)
        random = (space.random(rng) for _ in count())
        found += self._allowed(RANDOM, random, missing, RANDOM_TRIES)
        if not found and not self.evaluated:
            raise ValueError(
                "The limits must allow some architecture; none was found among "
                f"{RANDOM_TRIES * missing} random ones. Received: {', '.join(map(str, self.costs))}"
            )
        if len(found) < settings.population:
            warnings.warn(
                f"No more than {len(found)} of {settings.population} new architectures within the "
                f"limits were found for generation {generation}.",
                stacklevel=4,
            )
        return [replace(each, generation=generation) for each in found]

    def _allowed(
        self, origin: str, drawn: Iterator[Architecture], wanted: int, tries: int
    ) -> list[Candidate]:
        """Return architectures that are new and within the limits, at most as many as wanted."""
        found: list[Candidate] = []
        for architecture in islice(drawn, wanted * tries):
            if len(found) == wanted:
                break
            if architecture in self.drawn:
                continue
            candidate = self._within_limits(Candidate(0, origin, architecture))
            if candidate is not None:
                self.drawn.add(architecture)
                found.append(candidate)
        return found

    def _within_limits(self, candidate: Candidate) -> Candidate | None:
        """Return a candidate with its costs; None if one is out of its limits."""
        architecture = candidate.architecture
        logged = self.log.candidates.get(architecture)
        values = {} if logged is None else dict(logged.costs)
        for cost in self.costs:
            if cost.name not in values:
                values[cost.name] = cost.function(architecture)
                if cost.is_measured:
                    self.log.append(replace(candidate, costs=values))
            if not cost.allows(values[cost.name]):
                return None
        return replace(candidate, costs=values)

    def _parents(self) -> list[Architecture]:
        """Return the architectures that the next generation is made of."""
        scores, objective = np.array(self._scores()), self.settings.objective
        best = np.argsort(-scores, kind="stable")[: self.settings.parents]
        if objective is not None:
            values = np.array([each.costs[objective] for each in self.evaluated])
            best = pareto.select(np.stack([scores, -values], axis=1), self.settings.parents)
        return [self.evaluated[index].architecture for index in best]


def mutation(
    parents: Sequence[Architecture],
    space: SearchSpace,
    probability: float,
    rng: np.random.Generator,
) -> Architecture:
    """Return one of the parents with some choices and channel scales drawn anew.

    Args:
        parents: The parents.
        space: The search space.
        probability: Probability that a choice, or a scale, is drawn anew; it may stay the same.
        rng: Source of random numbers.
    """
    parent, other = parents[int(rng.integers(len(parents)))], space.random(rng)
    return _mixed(parent, other, rng, probability)


def crossover(parents: Sequence[Architecture], rng: np.random.Generator) -> Architecture:
    """Return the choices and channel scales of two parents, each of either with probability 1/2.

    Both may be the same parent.
    """
    first, second = (parents[int(index)] for index in rng.integers(len(parents), size=2))
    return _mixed(first, second, rng, 0.5)


def _mixed(
    first: Architecture, second: Architecture, rng: np.random.Generator, probability: float
) -> Architecture:
    """Take choices and scales from the second architecture with a probability."""
    parts = (first.choices, second.choices), (first.channel_scales, second.channel_scales)
    choices, scales = (
        np.where(rng.random(len(one)) < probability, other, one).tolist() for one, other in parts
    )
    return Architecture(tuple(choices), tuple(scales))
