"""Drawing on several cores.

The helpers are fresh interpreters that run this package's `__main__`. Unlike the workers of
multiprocessing they neither inherit TensorFlow's threads (fork) nor import the caller's main module
again (spawn), so the caller needs no `if __name__ == "__main__"`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from keras_shufflenet.synthetic_people.plan import Plan, draw_image

WORTH_A_HELPER = 40  # images below which starting an interpreter takes longer than drawing them

Drawn = tuple[int, list[dict[str, Any]]]


def draw_all(images: Path, plan: Plan, workers: int | None) -> Iterator[Drawn]:
    """Draw all images; yields each one's number and annotations as it is finished."""
    total = len(plan.crowds())
    workers = workers or max(min(_cores(), total // WORTH_A_HELPER), 1)
    if workers == 1:
        yield from draw_share(images, plan, 0, 1)
        return
    helpers = [_start(images, plan, share, workers) for share in range(workers)]
    queue: SimpleQueue[str | None] = SimpleQueue()
    threads = [Thread(target=_listen, args=(helper, queue), daemon=True) for helper in helpers]
    try:
        for thread in threads:
            thread.start()
        yield from _collect(queue, helpers)
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
            if helper.stdout:
                helper.stdout.close()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(images: Path, plan: Plan, share: int, of: int) -> subprocess.Popen[str]:
    request = json.dumps([str(images), astuple(plan), share, of])
    paths = [str(Path(entry).resolve()) for entry in sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", __package__, request]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _listen(helper: subprocess.Popen[str], queue: SimpleQueue[str | None]) -> None:
    """Pass a helper's lines on; None at its end."""
    assert helper.stdout is not None
    for line in helper.stdout:
        queue.put(line)
    queue.put(None)


def _collect(
    queue: SimpleQueue[str | None], helpers: list[subprocess.Popen[str]]
) -> Iterator[Drawn]:
    """Yield what the helpers report until all have finished well."""
    running = len(helpers)
    while running:
        line = queue.get()
        if line is None:
            running -= 1
            continue
        index, annotations = json.loads(line)
        yield index, annotations
    codes = [helper.wait() for helper in helpers]
    if any(codes):
        raise RuntimeError(
            f"A process that draws people failed; workers=1 shows why. Received: exit codes {codes}"
        )


def draw_share(images: Path, plan: Plan, share: int, of: int) -> Iterator[Drawn]:
    """Draw every `of`-th image, beginning with number `share`."""
    crowds = plan.crowds()
    for index in range(share, len(crowds), of):
        yield index, draw_image(plan, index, crowds[index], images)
