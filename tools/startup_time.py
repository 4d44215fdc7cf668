"""Measure the CPU time of commands that must start at once: help, version, list of models.

python tools/startup_time.py
"""

import os
import statistics
import subprocess
import sys

from keras_shufflenet._results import processor_name

REPEATS = 11
COMMANDS = {
    "import keras_shufflenet": ("-c", "import keras_shufflenet"),
    "--version": ("-m", "keras_shufflenet", "--version"),
    "--help": ("-m", "keras_shufflenet", "--help"),
    "export --help": ("-m", "keras_shufflenet", "export", "--help"),
    "models": ("-m", "keras_shufflenet", "models"),
    "models --verbose": ("-m", "keras_shufflenet", "models", "--verbose"),
}


def cpu_seconds(arguments: tuple[str, ...]) -> float:
    """Run Python once and return its user and system time."""
    before = os.times()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def main() -> None:
    """Print the median of each command."""
    print(f"CPU seconds, median of {REPEATS}, {processor_name()}")
    for name, arguments in COMMANDS.items():
        median = statistics.median(cpu_seconds(arguments) for _ in range(REPEATS))
        print(f"{name:26} {median:.2f}")


if __name__ == "__main__":
    main()
