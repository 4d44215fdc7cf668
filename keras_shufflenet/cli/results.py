"""Numbers as a table on the screen and a row of `results/*.csv`."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from keras_shufflenet._results import append_row


def report(
    subject: Mapping[str, str], numbers: Mapping[str, float | int], results: Path | None
) -> None:
    """Print numbers as a table and add them to a results file.

    Args:
        subject: What the numbers are of: model, weights, data. The first is the table's heading.
        numbers: By name; shares between 0 and 1.
        results: The csv file, or None.
    """
    table = Table("", next(iter(subject.values())))
    for name, number in numbers.items():
        table.add_row(name, str(number) if isinstance(number, int) else f"{number:.4f}")
    Console().print(table)
    if results is not None:
        append_row(results, {**subject, **numbers})
