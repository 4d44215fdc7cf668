"""What the tools that mutate files have in common: changes, commands in process, and verdicts."""

import contextlib
import io
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from keras_shufflenet._results import append_row
from keras_shufflenet.cli import main as command_line

ENDS = ("done", "refused", "unclear error", "traceback")


def mutate(data: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Return the bytes of a file after a random change, and what it is."""
    kind = rng.choice(("bit", "bytes", "cut", "delete", "insert", "zero", "append", "header"))
    start = rng.randrange(len(data))
    length = min(rng.choice((1, 2, 16, 200)), len(data) - start)
    noise = rng.randbytes(length)
    end = start + length
    changed = {
        "bit": data[:start] + bytes([data[start] ^ 1 << rng.randrange(8)]) + data[start + 1 :],
        "bytes": data[:start] + noise + data[end:],
        "cut": data[:start],
        "delete": data[:start] + data[end:],
        "insert": data[:start] + noise + data[start:],
        "zero": data[:start] + bytes(length) + data[end:],
        "append": data + noise,
        "header": data[: start % 64] + noise[:4] + data[start % 64 + len(noise[:4]) :],
    }[kind]
    return changed or b"\0", f"{kind} at {start}, {length} bytes"


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
