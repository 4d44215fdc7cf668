"""The table of latencies, with measurements that are numbers."""

import csv

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import compare_latencies
from keras_shufflenet.search import Deployment


class Report:
    delegate_partitions = 1


@pytest.fixture
def fixed(monkeypatch):
    """Latencies of 2 ms and half of it; files of two bytes."""
    monkeypatch.setattr(Deployment, "measure", lambda *_: (np.array([1.0, 0.5]), 2.0))
    monkeypatch.setattr(
        Deployment, "export", lambda self, network, path: path.write_bytes(b"ab") and Report()
    )


def test_a_row_for_each_network(fixed, tmp_path):
    app, results = typer.Typer(), tmp_path / "results.csv"
    app.command()(compare_latencies.main)
    networks = ["one_shot:0011", "shufflenet_v2_x1_0"]
    options = ["--head", "fpn", "--input-size", "64x64", "--results-csv", str(results)]
    done = CliRunner().invoke(app, [*networks, *options])
    assert done.exit_code == 0, done.output
    with results.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["network"] for row in rows] == networks
    assert [row["cpu_ms"] for row in rows] == ["2", "1"]
    assert {(row["partitions"], row["bytes"], row["head"]) for row in rows} == {("1", "2", "fpn")}
