"""The result of a search: all candidates, the winner and the Pareto front."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_shufflenet._files import atomic_write
from keras_shufflenet.search import pareto
from keras_shufflenet.search.search_log import Candidate
from keras_shufflenet.search.spaces import SearchSpace


@dataclass(frozen=True)
class SearchResult:
    """All candidates that were evaluated, and the best ones.

    Attributes:
        candidates: The candidates, in order.
        cost: Name of the cost of the front: the objective of the search, or else the last cost with
            an upper limit, or the last.
        front: The Pareto front of high scores and low costs, by rising cost.
    """

    candidates: Sequence[Candidate]
    cost: str
    front: Sequence[Candidate]

    @property
    def best(self) -> Candidate:
        """The candidate with the highest score, of equal ones that with the lowest cost."""
        return self.front[-1]


def summarize(candidates: Sequence[Candidate], cost: str) -> SearchResult:
    """Return the best candidates.

    Args:
        candidates: Candidates with scores, at least one.
        cost: Name of the cost of the front.
    """
    scores = np.array([each.score for each in candidates], float)
    values = np.array([each.costs[cost] for each in candidates])
    front = pareto.front(np.stack([scores, -values], axis=1))
    front = front[np.lexsort((-scores[front], values[front]))]
    return SearchResult(candidates, cost, [candidates[index] for index in front])


def write_result(result: SearchResult, space: SearchSpace, path: Path) -> None:
    """Write winner and Pareto front as json, with the names that `create_model` knows.

    Args:
        result: The result of a search.
        space: The search space.
        path: The file.
    """

    def about(candidate: Candidate) -> dict[str, Any]:
        name = f"{space.name}:{candidate.architecture}"
        return {"name": name, "score": candidate.score, **candidate.costs}

    content = {**about(result.best), "front": [about(each) for each in result.front]}
    text = json.dumps(content, indent=2) + "\n"
    atomic_write(path, lambda beside: beside.write_text(text, encoding="utf-8"))
