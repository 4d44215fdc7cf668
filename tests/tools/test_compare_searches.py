"""Searches under two limits, with scores and latencies that are formulas."""

import csv

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import compare_searches
from keras_shufflenet.search import Architecture, Deployment, search_space, settings
from keras_shufflenet.search.latency_fit import all_blocks
from keras_shufflenet.search.latency_table import LatencyTable, TableError
from keras_shufflenet.search.search_log import Candidate


@pytest.fixture
def table():
    """Latencies that multiply-adds do not tell: 5 × 5 is slow, Xception is fast."""
    deployment = Deployment(space=search_space("one_shot"), input_size=(64, 64), head="fpn")
    blocks = {block: (0.0, 2.0, 3.0, 0.5)[block.choice] for block in all_blocks(deployment.space)}
    return LatencyTable(deployment, 10.0, blocks, TableError(25, 20, 0.01, 0.05, 0.07))


def make_xception():
    return lambda architecture: float(architecture.choices.count(3))


def test_the_budget_is_a_quantile_and_the_limit_that_of_equal_latencies(table):
    budget, limit = compare_searches.budgets(table, 0.25, seed=0)
    space, rng = table.deployment.space, np.random.default_rng(5)
    drawn = [space.random(rng) for _ in range(1000)]
    faster = np.mean([table.predict(each) <= budget for each in drawn])
    assert abs(faster - 0.25) < 0.06
    macs = [space.macs(each, (64, 64), classes=0) for each in drawn]
    assert min(macs) < limit < max(macs)


def test_the_best_that_uses_the_budget():
    candidates = [
        Candidate(1, "random", Architecture((n,)), {"latency_ms": ms}, score)
        for n, (ms, score) in enumerate([(9.0, 0.8), (9.9, 0.3), (11.0, 0.9), (9.6, 0.2)])
    ]
    assert compare_searches.best_within(candidates, 10.0) is candidates[1]
    with pytest.raises(ValueError, match="Received: none of 4"):
        compare_searches.best_within(candidates, 8.0)


def test_both_searches_are_measured(table, tmp_path, monkeypatch):
    table.save(tmp_path / "table.csv")
    (tmp_path / "supernet").mkdir()
    monkeypatch.setattr(settings, "open_evaluator", lambda _: make_xception())

    def measure(deployment, networks, iterations):
        return np.arange(1.0, len(networks) + 1), 1.0

    class Report:
        delegate_partitions = 1

    monkeypatch.setattr(Deployment, "measure", measure)
    monkeypatch.setattr(Deployment, "export", lambda *_: Report())
    app = typer.Typer()
    app.command()(compare_searches.main)
    results = tmp_path / "results.csv"
    done = CliRunner().invoke(
        app,
        [
            str(tmp_path / "supernet"),
            *("--latency-table", str(tmp_path / "table.csv")),
            *("--output-dir", str(tmp_path / "searches"), "--results-csv", str(results)),
            *("--population", "8", "--generations", "2"),
        ],
    )
    assert done.exit_code == 0, done.output
    with results.open() as file:
        latency, macs, other = csv.DictReader(file)
    assert [row["search"] for row in (latency, macs, other)] == ["latency", "macs", ""]
    assert [row["measured_ms"] for row in (latency, macs, other)] == ["10", "20", "30"]
    assert other["network"] == "shufflenet_v2_x1_0"
    for row in (latency, macs):
        predicted = table.predict(Architecture.parse(row["network"]))
        assert float(row["predicted_ms"]) == predicted
        assert 0.95 * float(row["budget_ms"]) <= predicted <= float(row["budget_ms"])
        assert float(row["score"]) == row["network"].count("3")
