"""Evaluation of candidates, in this process or by the workers of Ray.

Ray distributes the work: https://docs.ray.io. This module only says what a worker is.
"""

import logging
import math
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from keras_shufflenet._checks import check_integer
from keras_shufflenet._requirements import check_installed
from keras_shufflenet.search.spaces import Architecture

Evaluator = Callable[[Architecture], float]
"""Returns the score of an architecture, higher is better; always the same one."""

MakeEvaluator = Callable[[], Evaluator]
"""Builds an evaluator; picklable, because each worker calls it once."""

Evaluated = tuple[float, float]
"""Score and seconds."""

Evaluate = Callable[[Iterable[Architecture]], Iterator[Evaluated]]
"""Evaluates architectures; results in their order."""

CONNECTION_SECONDS = 10
RETRIES = 2  # of an evaluation whose worker died
LEAVE_ACCELERATORS = "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"  # and be silent about it


class EvaluationError(ValueError):
    """A candidate cannot be evaluated."""


class Worker:
    """Evaluates one architecture after another with one evaluator.

    It is built for the first of them: an actor of Ray whose construction fails is started anew.
    """

    def __init__(self, make_evaluator: MakeEvaluator) -> None:
        self.make_evaluator = make_evaluator
        self.evaluator: Evaluator | None = None

    def evaluate(self, architecture: Architecture) -> Evaluated:
        """Return score and seconds.

        Raises:
            ValueError: If the score is no finite number.
        """
        self.evaluator = self.evaluator or self.make_evaluator()
        start = time.monotonic()
        score = float(self.evaluator(architecture))
        if not math.isfinite(score):
            raise ValueError(f"A score must be a finite number. Received: {score}")
        return score, time.monotonic() - start


def check_workers(workers: int, address: str | None) -> None:
    """Check what evaluation by Ray requires, before the work.

    Raises:
        ImportError: If workers or a cluster are asked for and Ray is not installed.
        ValueError: If `workers` is not a positive integer.
    """
    check_integer("workers", workers)
    if workers > 1 or address is not None:
        check_installed("A search with several workers or a cluster", "search", ("ray",))


@contextmanager
def evaluation(
    make_evaluator: MakeEvaluator, workers: int = 1, address: str | None = None
) -> Iterator[Evaluate]:
    """Return a function that evaluates architectures, until the context ends.

    Args:
        make_evaluator: Builds the evaluator, once for each worker.
        workers: Number of workers, which evaluate at the same time. One without an address is
            this process; otherwise they are processes of Ray.
        address: Address of a Ray cluster, such as "ray://head:10001", or "auto" for that of this
            machine. By default Ray is started for this search alone.

    Raises:
        EvaluationError: (a ValueError) From the function, if an evaluation fails, or its workers
            die again and again.
        ImportError: If Ray is required and not installed.
        OSError: If the cluster cannot be reached.
        ValueError: If the cluster has fewer CPUs than workers.
    """
    check_workers(workers, address)
    if workers == 1 and address is None:
        worker = Worker(make_evaluator)
        yield lambda architectures: (_try(worker.evaluate, each) for each in architectures)
        return
    with _ray(workers, address) as ray:
        from ray.util import ActorPool

        options = {"num_cpus": 1, "max_restarts": -1, "max_task_retries": RETRIES}
        remote = ray.remote(**options)(Worker)
        pool = ActorPool([remote.remote(make_evaluator) for _ in range(workers)])
        yield lambda architectures: _in_parallel(pool, list(architectures))


@contextmanager
def _ray(workers: int, address: str | None) -> Iterator[Any]:
    """Connect to a cluster or start one, without its dashboard and messages; then leave it."""
    os.environ.setdefault(LEAVE_ACCELERATORS, "0")
    import ray

    if ray.is_initialized():  # by the caller, who shuts it down
        yield ray
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        ray.init(num_cpus=workers, include_dashboard=False, **quiet)
    else:
        _connect(ray, address, quiet)
    try:
        cpus = ray.cluster_resources().get("CPU", 0)
        if cpus < workers:
            raise ValueError(
                f"`workers` must be at most the {cpus:g} CPUs of the cluster. "
                f"Received: workers={workers}"
            )
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str, options: dict[str, Any]) -> None:
    """Connect to a cluster; Ray alone would try for minutes where no one listens."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host and port.isdigit():
            socket.create_connection((host, int(port)), CONNECTION_SECONDS).close()
        ray.init(address, **options)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"`address` must be that of a running Ray cluster ({error}). Received: "
            f"address={address!r}"
        ) from error


def _in_parallel(pool: Any, architectures: list[Architecture]) -> Iterator[Evaluated]:
    from ray.exceptions import RayActorError

    results = pool.map(lambda worker, each: worker.evaluate.remote(each), architectures)

    def next_result(_: Architecture) -> Evaluated:
        try:
            return next(results)
        except RayActorError as error:
            raise RuntimeError(f"its worker died {RETRIES + 1} times") from error

    return (_try(next_result, each) for each in architectures)


def _try(evaluate: Callable[[Architecture], Evaluated], architecture: Architecture) -> Evaluated:
    """Evaluate; name the architecture if it fails."""
    try:
        return evaluate(architecture)
    except Exception as error:
        cause = getattr(error, "cause", error)  # Ray wraps what a worker raises
        raise EvaluationError(
            f"The evaluation of an architecture failed: {type(cause).__name__}: {cause}. "
            f"Received: {architecture}"
        ) from error
