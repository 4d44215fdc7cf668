"""Evolution: generations, limits, seeds, and searches that were killed."""

import csv
import signal
from dataclasses import replace

import pytest

from keras_shufflenet.search import costs, evolution
from keras_shufflenet.search.evolution import Evolution
from keras_shufflenet.search.search_log import SearchLog
from tests.search.formulas import SMALL, SPACE, rows, run_killed, score, search

KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The folder of a search and its result."""
    folder = tmp_path_factory.mktemp("searched")
    return folder, search(folder)


def test_generations_are_complete_new_and_within_the_limits(found):
    _, result = found
    assert len({each.architecture for each in result.candidates}) == 4 * 12
    for generation in range(1, 5):
        origins = [e.origin for e in result.candidates if e.generation == generation]
        if generation == 1:
            assert origins == ["random"] * 12
        else:
            assert len(origins) == 12
            assert origins.count("mutation") <= 5 >= origins.count("crossover")
            assert {"mutation", "crossover", "random"} == set(origins)
    for each in result.candidates:
        assert each.costs["macs"] == SPACE.macs(each.architecture, (64, 64)) <= 26.5e6
        assert each.costs["params"] == SPACE.params(each.architecture)
        assert each.score == score(each.architecture)


def test_evolution_beats_the_random_generation_it_started_from(found):
    _, result = found
    best = [max(e.score for e in result.candidates if e.generation == g) for g in (1, 4)]
    assert best[1] > best[0]
    assert result.best.score == max(best)


def test_the_log_is_the_result(found):
    folder, result = found
    log = SearchLog(folder / "log.csv", ("macs", "params"))
    kept = [replace(each, seconds=0.0) for each in log.candidates.values()]
    assert kept == [replace(each, seconds=0.0) for each in result.candidates]
    assert all(isinstance(value, int) for each in kept for value in each.costs.values())


def test_the_front_is_that_of_the_limited_cost(found):
    _, result = found
    assert result.cost == "macs"
    macs = [each.costs["macs"] for each in result.front]
    assert macs == sorted(macs)


def test_a_finished_search_is_read_and_another_seed_searches_elsewhere(found, tmp_path):
    folder, result = found
    before = (folder / "log.csv").read_text()

    def refuses():
        pytest.fail("nothing is left to evaluate")

    assert search(folder, lambda: lambda _: refuses()).best == result.best
    assert (folder / "log.csv").read_text() == before
    other = search(tmp_path, evolution=replace(SMALL, seed=4))
    assert {e.architecture for e in other.candidates}.isdisjoint(
        e.architecture for e in result.candidates
    )
    with pytest.raises(ValueError, match="holds another search: seed was 3 and is 4"):
        search(folder, evolution=replace(SMALL, seed=4))


def test_a_killed_search_ends_like_one_that_was_not(found, tmp_path):
    codes = run_killed(tmp_path, [("a", 5), ("a", 14), ("a", 0), ("b", 30)])
    assert codes == [KILLED, KILLED, 0, KILLED]
    assert rows(tmp_path / "a") == rows(found[0])
    log = tmp_path / "b" / "log.csv"
    with log.open("a") as file:
        file.write(log.read_text().splitlines()[-1].replace("crossover", "mutation")[:60])
    result = search(tmp_path / "b")
    assert rows(tmp_path / "b") == rows(found[0])
    assert result.best.score == found[1].best.score


def test_a_measured_cost_is_measured_once_and_read_afterwards(tmp_path):
    calls = []

    def measure(architecture):
        calls.append(architecture)
        return architecture.choices.count(3) + 0.01 * len(calls)  # never the same twice

    limit = costs.Cost("measured_ms", measure, 5, 3, is_measured=True)
    result = search(tmp_path, limits=[limit])
    assert len(calls) == len(set(calls)) > len(result.candidates)
    assert all(3 <= each.costs["measured_ms"] <= 5 for each in result.candidates)
    with (tmp_path / "log.csv").open() as file:
        logged = {row["architecture"] for row in csv.DictReader(file)}
    assert logged == set(map(str, calls))  # those out of the limits too
    count = len(calls)
    again = search(tmp_path, limits=[limit])
    assert again.candidates == result.candidates
    assert len(calls) == count


def test_limits_that_nothing_meets_are_an_error(tmp_path):
    one = Evolution(population=1, mutations=0, crossovers=0)
    limit = costs.Cost("more", SPACE.params, minimum=1e9)
    with pytest.raises(ValueError, match=r"random ones\. Received: .*, params, 1e\+09 <= more"):
        search(tmp_path, evolution=one, limits=[limit])


def test_a_space_without_more_architectures_ends_with_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(evolution, "RANDOM_TRIES", 20)
    few = Evolution(population=6, generations=2, parents=2, mutations=2, crossovers=2)
    with pytest.warns(UserWarning, match="new architectures within the limits were found for"):
        search(tmp_path, evolution=few, limits=[costs.Cost("same", few_allowed(5), 0)])


def few_allowed(count):
    """A cost of 0 for the first architectures that are asked for, and 1 for all others."""
    allowed = []

    def cost(architecture):
        if len(allowed) < count:
            allowed.append(architecture)
        return 0 if architecture in allowed else 1

    return cost


@pytest.mark.parametrize("name", ["population", "mutation_probability", "seed", "tries"])
def test_parameters_are_checked(name):
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received: {name}=-1"):
        Evolution(**{name: -1})
