"""Pareto fronts against brute force."""

import numpy as np
import pytest

from keras_shufflenet.search import pareto


@pytest.fixture
def objectives():
    rng = np.random.default_rng(0)
    return rng.integers(0, 12, (60, 2)).astype(float)  # with ties


def is_dominated(row, others):
    return any((other >= row).all() and (other > row).any() for other in others)


def test_the_front_is_what_nothing_dominates(objectives):
    expected = [i for i, row in enumerate(objectives) if not is_dominated(row, objectives)]
    assert pareto.front(objectives).tolist() == expected
    assert pareto.front(objectives[:1]).tolist() == [0]


def test_fronts_are_peeled_off_one_after_another(objectives):
    rest, number, expected = dict(enumerate(objectives)), 0, {}
    while rest:
        found = [i for i, row in rest.items() if not is_dominated(row, rest.values())]
        for index in found:
            expected[index] = number
            del rest[index]
        number += 1
    numbers = pareto.front_numbers(objectives)
    assert dict(enumerate(numbers.tolist())) == expected


def test_crowding_is_the_distance_of_the_neighbors():
    line = np.array([[0.0, 10], [1, 9], [5, 5], [10, 0]])
    found = pareto.crowding_distances(line)
    np.testing.assert_allclose(found, [np.inf, 0.5 + 0.5, 0.9 + 0.9, np.inf])
    assert pareto.select(line, 3).tolist() == [0, 3, 2]


def test_selection_prefers_better_fronts(objectives):
    numbers = pareto.front_numbers(objectives)
    chosen = pareto.select(objectives, 25)
    assert len(set(chosen.tolist())) == 25
    rest = np.setdiff1d(np.arange(60), chosen)
    assert numbers[chosen].max() <= numbers[rest].min()
    assert len(pareto.select(objectives, 100)) == 60
