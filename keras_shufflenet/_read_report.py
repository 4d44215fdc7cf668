"""What was read of a user's data, and what was left out and why: as data, and once in the log."""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

LOGGER = logging.getLogger("keras_shufflenet")
NAMED = 3  # files that a report names for each reason


@dataclass(frozen=True)
class ReadReport:
    """The report of a reader.

    Attributes:
        source: The file or folder.
        total: Number of entries in it.
        left_out: Number of entries that were left out by the reason, which continues a number:
            "crowd", "without keypoints".
        unexpected: Those of the reasons that a user may not know of. A report with one of them is
            a warning; others are expected in good files.
        unit: What an entry is, in the plural.
        changed: Number of entries with a replaced value by the kind, which continues a number:
            "with an area of 0 (taken from the box)". A report with one of them is a warning.
    """

    source: str
    total: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    unexpected: frozenset[str] = frozenset()
    unit: str = "instances"
    changed: Mapping[str, int] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """The number of entries that were read."""
        return self.total - sum(self.left_out.values())

    def __str__(self) -> str:
        """Return "a.json: read 5 of 9 instances; left out: 3 crowd, 1 without keypoints"."""
        return f"{self.source}: read {self.read} of {self.total} {self.unit}{self.remarks}"

    @property
    def remarks(self) -> str:
        """What follows in the text: "; left out: 3 crowd, 1 without keypoints"."""
        text = ""
        for name, counts in (("left out", self.left_out), ("changed", self.changed)):
            if counts:
                listed = ", ".join(f"{count} {what}" for what, count in counts.items())
                text += f"; {name}: {listed}"
        return text

    def log(self) -> None:
        """Log the report to "keras_shufflenet": as a warning if a user may not know of it."""
        surprises = bool(self.changed) or not self.unexpected.isdisjoint(self.left_out)
        LOGGER.log(logging.WARNING if surprises else logging.INFO, "%s", self)

    @classmethod
    def of_files(
        cls,
        source: str,
        read: int,
        left_out: Mapping[str, Sequence[str]],
        expected: Collection[str],
    ) -> "ReadReport":
        """Return the report of a folder, which names some of the files that were left out.

        Args:
            source: The folder.
            read: Number of files that were read.
            left_out: Names of those that were not, by the reason.
            expected: Reasons that need no warning.
        """
        counts, unexpected = {}, set()
        for reason, names in left_out.items():
            named = list(dict.fromkeys(names))
            more = ", …" if len(named) > NAMED else ""
            text = f"{reason} ({', '.join(named[:NAMED])}{more})"
            counts[text] = len(names)
            if reason not in expected:
                unexpected.add(text)
        total = read + sum(counts.values())
        return cls(source, total, counts, frozenset(unexpected), "files")

    @classmethod
    def merge(cls, reports: Iterable["ReadReport"]) -> "ReadReport":
        """Return the sum of the reports of several sources with one unit."""
        parts = list(reports)
        left_out: Counter[str] = Counter()
        changed: Counter[str] = Counter()
        for part in parts:
            left_out.update(part.left_out)
            changed.update(part.changed)
        return cls(
            ", ".join(dict.fromkeys(part.source for part in parts)),
            sum(part.total for part in parts),
            dict(left_out),
            frozenset().union(*(part.unexpected for part in parts)),
            parts[0].unit if parts else "instances",
            dict(changed),
        )
