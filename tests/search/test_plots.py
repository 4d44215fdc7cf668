"""Plots of searches, and Kendall's τ."""

from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from keras_shufflenet.search import Deployment, plots, search_space
from keras_shufflenet.search.latency_table import LatencyTable, MeasuredTable, TableError
from keras_shufflenet.search.search_log import Candidate
from keras_shufflenet.search.search_result import summarize
from keras_shufflenet.search.spaces import Architecture


def candidates(count):
    rng = np.random.default_rng(0)
    cost = rng.uniform(200e6, 400e6, count)
    score = 0.4 + 0.1 * np.log(cost / 100e6) + rng.normal(0, 0.02, count)
    return [
        Candidate(
            1 + index // 20, "random", Architecture((index % 4,)), {"macs": c, "params": 1.0}, s
        )
        for index, (c, s) in enumerate(zip(cost.tolist(), score.tolist(), strict=True))
    ]


def colors(path):
    with Image.open(path) as image:
        return {color for _, color in image.convert("RGB").getcolors(1 << 24)}


def test_front_and_winner_are_drawn(tmp_path):
    result = summarize(candidates(60), "macs")
    plots.draw_front(result, tmp_path / "front.png")
    assert (214, 39, 40) in colors(tmp_path / "front.png")  # matplotlib's third color
    best = max(result.candidates, key=lambda each: each.score)
    assert result.best == best == result.front[-1]


def test_kendall_tau_counts_pairs_in_the_same_order(tmp_path):
    rng = np.random.default_rng(1)
    ours = rng.normal(size=12)
    alone = ours + rng.normal(size=12)
    pairs = [(ours[a] - ours[b]) * (alone[a] - alone[b]) > 0 for a, b in combinations(range(12), 2)]
    tau, _ = plots.kendall_tau(ours, alone)
    assert tau == pytest.approx(2 * np.mean(pairs) - 1)
    plots.draw_correlation(ours, alone, tmp_path / "scores.png")
    assert (31, 119, 180) in colors(tmp_path / "scores.png")


def test_latencies_are_drawn(tmp_path):
    deployment = Deployment(space=search_space("one_shot"))
    table = LatencyTable(deployment, 3.0, {}, TableError(0, 20, 0.013, 0.041, 0.05))
    real = np.linspace(3, 5, 20)
    measured = MeasuredTable(table, [], real * np.linspace(0.97, 1.03, 20), real)
    plots.draw_latencies(measured, tmp_path / "latency.png")
    assert (31, 119, 180) in colors(tmp_path / "latency.png")
