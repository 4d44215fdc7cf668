"""Scores that are a formula of the architecture, and searches that kill themselves.

`python -m tests.search.formulas FOLDER PLAN` runs searches one after another, each in a process of
its own, and prints their exit codes.
"""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from keras_shufflenet.search import costs
from keras_shufflenet.search.evolution import Evolution, evolve
from keras_shufflenet.search.spaces import search_space

ROOT = Path(__file__).parents[2]
SPACE = search_space("one_shot", (0.6, 1.0, 1.4))
SMALL = Evolution(population=12, generations=4, parents=4, mutations=5, crossovers=5, seed=3)


def score(architecture):
    """Many equal choices in a row, and scales near 1: not the sum of anything."""
    pairs = zip(architecture.choices, architecture.choices[1:], strict=False)
    return sum(a == b for a, b in pairs) - sum(abs(s - 1) for s in architecture.channel_scales)


def make_score():
    return score


def search(folder, make_evaluator=make_score, evolution=SMALL, limits=(), **options):
    """Search with a limit on multiply-adds that half of the architectures exceed."""
    macs = costs.macs(SPACE, (64, 64), 26.5e6)
    costs_ = [macs, costs.params(SPACE), *limits]
    return evolve(SPACE, make_evaluator, folder, costs_, evolution, verbose=False, **options)


def rows(folder):
    """The log without the seconds, which differ."""
    return [line.rpartition(",")[0] for line in (folder / "log.csv").read_text().splitlines()]


def run_killed(folder, plan):
    """Run searches of a folder each, killed at the given evaluations, and return exit codes."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(folder), json.dumps(plan)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _score_until(kill_at, seen, architecture):
    seen.append(architecture)
    if len(seen) == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return score(architecture)


def make_killing(kill_at):
    return partial(_score_until, kill_at, [])


def fails(architecture):
    if architecture.choices[0] == 2:
        raise KeyError("two")
    return 1.0


def make_failing():
    return fails


def dies_once(place, architecture):
    """Kill the process, the first time that an architecture begins with 1."""
    if architecture.choices[0] == 1 and not place.exists():
        place.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return score(architecture)


def make_dying(place):
    return partial(dies_once, place)


def _run_plan(folder, plan):
    codes = []
    for name, kill_at in plan:
        if (child := os.fork()) == 0:
            search(folder / name, partial(make_killing, kill_at))
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(json.dumps(codes))


if __name__ == "__main__":
    _run_plan(Path(sys.argv[1]), json.loads(sys.argv[2]))
