"""The log of a search, which is its state: a row for each candidate, in order.

A row is appended as a whole, as soon as a candidate is known; a row that was half-written when the
process was killed is dropped. Numbers are written in full, so that what is read is what was known.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keras_shufflenet._files import atomic_write
from keras_shufflenet.search.spaces import Architecture

FIRST = ("generation", "origin", "architecture", "score")
LAST = "seconds"


@dataclass(frozen=True)
class Candidate:
    """An architecture of a search.

    Attributes:
        generation: Generation, from 1.
        origin: "random", "mutation" or "crossover".
        architecture: The architecture.
        costs: Its costs by name.
        score: Its score, higher is better; None if a measured cost is out of its limits, so that
            it was not evaluated.
        seconds: Seconds of the evaluation.
    """

    generation: int
    origin: str
    architecture: Architecture
    costs: dict[str, float] = field(default_factory=dict)
    score: float | None = None
    seconds: float = 0.0


class SearchLog:
    """The candidates of a search by their architecture, in a csv file.

    Args:
        path: The file. Rows that it has are read.
        costs: Names of the costs.

    Raises:
        ValueError: If the file has other columns, or a row cannot be read.
    """

    def __init__(self, path: Path, costs: Sequence[str]) -> None:
        self.path = path
        self.costs = tuple(costs)
        self.candidates: dict[Architecture, Candidate] = {}
        self._header = self._line([*FIRST, *self.costs, LAST])
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole and not whole.startswith(self._header):
            raise ValueError(
                f"The log must have the columns {self._header.strip()}. "
                f"Received: {path} with {whole.splitlines()[0]}"
            )
        if whole != text:
            atomic_write(path, lambda beside: beside.write_text(whole, encoding="utf-8"))
        for row in csv.DictReader(io.StringIO(whole)):
            candidate = self._parse(row)
            self.candidates[candidate.architecture] = candidate

    def append(self, candidate: Candidate) -> None:
        """Add a candidate, to the file as well."""
        score = "" if candidate.score is None else repr(candidate.score)
        first = (str(candidate.generation), candidate.origin, str(candidate.architecture), score)
        costs = (repr(candidate.costs[name]) for name in self.costs)
        line = self._line([*first, *costs, repr(candidate.seconds)])
        if not self.path.exists() or not self.path.stat().st_size:
            line = self._header + line
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(line)
        self.candidates[candidate.architecture] = candidate

    @staticmethod
    def _line(values: Sequence[str]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        return text.getvalue()

    def _parse(self, row: dict[str, str]) -> Candidate:
        try:
            return Candidate(
                int(row["generation"]),
                row["origin"],
                Architecture.parse(row["architecture"]),
                {name: _number(row[name]) for name in self.costs},
                float(row["score"]) if row["score"] else None,
                float(row["seconds"]),
            )
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Each row of the log must be a candidate ({error}). Received: "
                f"{','.join(map(str, row.values()))} in {self.path}"
            ) from error


def _number(text: str) -> float:
    """Return the number that was written: an integer stays one."""
    return int(text) if text.lstrip("-").isdigit() else float(text)
