"""Workers of Ray give the results of one process; Ray is started once for this module."""

import socket
from functools import partial

import numpy as np
import pytest

from keras_shufflenet import _requirements
from keras_shufflenet.search.parallel_evaluation import EvaluationError, evaluation
from keras_shufflenet.search.spaces import Architecture
from tests.search.formulas import make_dying, make_failing, rows, search

ARCHITECTURES = [Architecture((choice,) * 3) for choice in range(4)]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """A search by two workers, one of which dies; evaluations that fail; and what was printed."""
    ray = pytest.importorskip("ray")
    folder = tmp_path_factory.mktemp("ray")
    result = search(folder / "search", partial(make_dying, folder / "died"), workers=2)
    stopped = not ray.is_initialized()
    return folder, result, stopped


def test_two_workers_find_what_one_finds_and_one_that_dies_is_replaced(two_workers, tmp_path):
    folder, result, stopped = two_workers
    alone = search(tmp_path)
    assert (folder / "died").exists()
    assert stopped
    assert rows(folder / "search") == rows(tmp_path)
    assert result.best.architecture == alone.best.architecture


def test_the_first_failure_names_the_architecture():
    with evaluation(make_failing) as evaluate:
        results = evaluate(ARCHITECTURES)
        assert [next(results)[0] for _ in range(2)] == [1.0, 1.0]
        with pytest.raises(EvaluationError, match=r"failed: KeyError: 'two'. Received: 222"):
            next(results)


def test_scores_must_be_numbers():
    message = r"must be a finite number. Received: nan"
    with (
        evaluation(lambda: lambda _: np.nan) as evaluate,
        pytest.raises(EvaluationError, match=message),
    ):
        list(evaluate(ARCHITECTURES))


def test_without_ray_one_process_works_and_several_name_the_extra(monkeypatch, tmp_path):
    find_spec = _requirements.find_spec

    def without(name):
        return None if name == "ray" else find_spec(name)

    monkeypatch.setattr(_requirements, "find_spec", without)
    search(tmp_path)
    for options in ({"workers": 2}, {"address": "auto"}):
        with pytest.raises(ImportError, match=r"keras-shufflenet\[search\]'`. Received: no ray"):
            search(tmp_path, **options)
    with pytest.raises(ValueError, match="Received: workers=0"):
        search(tmp_path, workers=0)


def test_a_cluster_that_is_not_there(tmp_path):
    pytest.importorskip("ray")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=f"running Ray cluster .* Received: .*{address}"):
            search(tmp_path, address=address)
