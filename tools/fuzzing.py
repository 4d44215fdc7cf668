"""What the tools that mutate files have in common: commands run in process, and the verdicts."""

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from keras_shufflenet._results import append_row
from keras_shufflenet.cli import main as command_line

ENDS = ("done", "refused", "unclear error", "traceback")


def run_command(*words: str) -> str:
    """Run the command line in this process and return how it ended, one of `ENDS`."""
    err = io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            command_line.run(words)
    except SystemExit as end:
        lines = [line for line in err.getvalue().splitlines() if line.startswith("Error: ")]
        if not end.code:
            return "done"
        return "refused" if len(lines) == 1 and "Received: " in lines[0] else "unclear error"
    except Exception:  # whatever a command lets through is what is looked for
        return "traceback"
    return "traceback"  # `run` ends in SystemExit


def report(
    program: str,
    subject: dict[str, str],
    kinds: Sequence[str],
    verdicts: Counter[str],
    ends: Counter[str],
    findings: Sequence[str],
    results_csv: Path | None,
) -> None:
    """Print the verdicts and findings, append the numbers to a csv file, and exit.

    Args:
        program: The tool, for the csv file.
        subject: What was mutated: columns of the csv file.
        kinds: All verdicts, in the order of the table.
        verdicts: Number of files by verdict.
        ends: Number of commands by their end.
        findings: Descriptions of the bad ones; with any the exit code is 1.
        results_csv: The csv file, or None.
    """
    numbers = {kind: verdicts[kind] for kind in kinds} | {f"commands: {e}": ends[e] for e in ENDS}
    table = Table("verdict", "files")
    for kind, count in numbers.items():
        table.add_row(kind, str(count))
    Console().print(table)
    for finding in findings:
        typer.echo(finding)
    if results_csv is not None:
        append_row(results_csv, subject | {k: str(n) for k, n in numbers.items()}, program=program)
    raise typer.Exit(bool(findings))
