"""Rendering on several cores.

The workers are fresh interpreters. Unlike the processes of multiprocessing they neither inherit
TensorFlow's threads (fork) nor import the caller's main module again (spawn), so the caller needs
no `if __name__ == "__main__"`.
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

from keras_shufflenet._types import Size
from keras_shufflenet.synthetic_people.spec import DatasetSpec, render_image

MIN_IMAGES_PER_WORKER = 40  # for fewer images, starting an interpreter takes longer than rendering
_WORKER = f"from {__name__} import run_worker; run_worker()"

Rendered = tuple[int, list[dict[str, Any]]]  # index of an image, its annotations


def render_all(image_dir: Path, spec: DatasetSpec, workers: int | None) -> Iterator[Rendered]:
    """Render all images and yield each one's index and annotations when it is finished."""
    total = len(spec.people_counts())
    workers = workers or max(min(_num_cores(), total // MIN_IMAGES_PER_WORKER), 1)
    if workers == 1:
        yield from _render_share(image_dir, spec, 0, 1)
        return
    processes = [_start(image_dir, spec, worker, workers) for worker in range(workers)]
    queue: SimpleQueue[str | None] = SimpleQueue()
    threads = [Thread(target=_listen, args=(process, queue), daemon=True) for process in processes]
    try:
        for thread in threads:
            thread.start()
        yield from _collect(queue, processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def run_worker() -> None:
    """Render the share of a worker process and print one line of JSON per image."""
    image_dir, fields, worker, workers = json.loads(sys.argv[1])
    count, seed, image_size, people_per_image, difficulty = fields
    spec = DatasetSpec(count, seed, _pair(image_size), _pair(people_per_image), difficulty)
    for rendered in _render_share(Path(image_dir), spec, worker, workers):
        print(json.dumps(rendered), flush=True)


def _pair(values: list[int]) -> Size:
    return values[0], values[1]


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(image_dir: Path, spec: DatasetSpec, worker: int, workers: int) -> subprocess.Popen[str]:
    request = json.dumps([str(image_dir), astuple(spec), worker, workers])
    paths = [str(Path(entry).resolve()) for entry in sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", _WORKER, request]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _listen(process: subprocess.Popen[str], queue: SimpleQueue[str | None]) -> None:
    """Put the lines that a worker prints into the queue, and None at the end."""
    assert process.stdout is not None
    for line in process.stdout:
        queue.put(line)
    queue.put(None)


def _collect(
    queue: SimpleQueue[str | None], processes: list[subprocess.Popen[str]]
) -> Iterator[Rendered]:
    """Yield the results of all workers until they have finished successfully."""
    running = len(processes)
    while running:
        line = queue.get()
        if line is None:
            running -= 1
            continue
        index, annotations = json.loads(line)
        yield index, annotations
    codes = [process.wait() for process in processes]
    if any(codes):
        raise RuntimeError(
            "A worker process of the renderer failed; `workers=1` shows its error. "
            f"Received: exit codes {codes}"
        )


def _render_share(
    image_dir: Path, spec: DatasetSpec, worker: int, workers: int
) -> Iterator[Rendered]:
    """Render every `workers`-th image, beginning with index `worker`."""
    counts = spec.people_counts()
    for index in range(worker, len(counts), workers):
        yield index, render_image(spec, index, counts[index], image_dir)
