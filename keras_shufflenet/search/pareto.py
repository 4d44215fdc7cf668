"""Pareto fronts of several objectives, and the selection of NSGA-II.

Paper: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE
    Transactions on Evolutionary Computation 6 (2), 2002.

Objectives are arrays (N, M): a row for each candidate, a column for each number, all of which are
maximized; a cost is passed with a minus sign.
"""

import numpy as np


def dominates(objectives: np.ndarray) -> np.ndarray:
    """Return the matrix (N, N) of whether row i dominates row j.

    It does if it is nowhere lower and somewhere higher.
    """
    above, below = objectives[:, None], objectives[None, :]
    return np.all(above >= below, axis=2) & np.any(above > below, axis=2)


def front(objectives: np.ndarray) -> np.ndarray:
    """Return the indices of the rows that no other dominates, in ascending order."""
    return np.flatnonzero(~dominates(objectives).any(axis=0))


def front_numbers(objectives: np.ndarray) -> np.ndarray:
    """Return the number of each row's front: 0 for the Pareto front, 1 for that of the rest, ….

    Args:
        objectives: (N, M).

    Returns:
        (N,) integers.
    """
    dominated = dominates(objectives)
    numbers = np.full(len(objectives), -1)
    number, rest = 0, np.ones(len(objectives), bool)
    while rest.any():
        found = rest & ~dominated[rest].any(axis=0)
        numbers[found] = number
        number, rest = number + 1, rest & ~found
    return numbers


def crowding_distances(objectives: np.ndarray) -> np.ndarray:
    """Return how far the neighbors of each row on its front are apart.

    Args:
        objectives: (N, M), rows of one front.

    Returns:
        (N,): for each objective the difference between the next higher and the next lower row,
        in parts of the range, summed; infinity for the highest and the lowest.
    """
    distances = np.zeros(len(objectives))
    for values in objectives.T:
        order = np.argsort(values, kind="stable")
        span = values[order[-1]] - values[order[0]]
        distances[order[[0, -1]]] = np.inf
        if span > 0:
            distances[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / span
    return distances


def select(objectives: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of the best rows: by front, then by crowding distance.

    Of equal rows, the first ones are chosen.

    Args:
        objectives: (N, M).
        count: Number of indices; all if there are fewer rows.
    """
    numbers = front_numbers(objectives)
    distances = np.zeros(len(objectives))
    for number in range(numbers.max(initial=-1) + 1):
        members = np.flatnonzero(numbers == number)
        distances[members] = crowding_distances(objectives[members])
    return np.lexsort((-distances, numbers))[:count]
