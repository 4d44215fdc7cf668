"""Latency of exported models, and of grouped convolutions taken apart."""

import csv

import keras
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import keras_shufflenet as ks
from keras_shufflenet.benchmark import grouped, latency, tables


def test_functions_take_turns_and_run_twice_in_each():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    times = latency.take_turns(runs, rounds=3)
    assert calls == ["a", "a", "b", "b"] * 3
    assert all(0 <= time.median <= time.p90 for time in times.values())
    with pytest.raises(ValueError, match="Received: rounds=0"):
        latency.take_turns(runs, rounds=0)


@pytest.fixture
def command():
    app = typer.Typer()
    app.command()(latency.main)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def test_models_are_exported_once_and_timed(command, tmp_path):
    arguments = ("*v2_x0_25", "--rounds", 2, "--folder", tmp_path)
    assert command(*arguments).exit_code == 0
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.tflite")}
    assert len(files) == 2
    assert command(*arguments, "--results", tmp_path / "latency.csv").exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.tflite")} == files
    rows = list(csv.DictReader((tmp_path / "latency.csv").read_text().splitlines()))
    assert [row["model"] for row in rows] == [
        f"shufflenet_v2_x0_25{s}" for s in (".tflite", "_int8.tflite")
    ]
    assert {int(row["bytes"]) for row in rows} == {path.stat().st_size for path in files}
    assert all(float(row["median_ms"]) > 0 for row in rows)
    page = "<!-- table: files shufflenet_v2_x0_25 -->\n<!-- end -->"
    assert f"| {int(rows[1]['bytes']) / 1e6:.2f} |" in tables.write_tables(page, tmp_path)


def test_a_name_that_no_model_has(command):
    done = command("resnet*")
    assert done.exit_code == 2
    assert "Received: resnet*" in done.output


def test_an_unknown_table(tmp_path):
    with pytest.raises(ValueError, match=r"models, files, weights, trained\. Received: prices"):
        tables.write_tables("<!-- table: prices -->\n<!-- end -->", tmp_path)


def test_taken_apart_a_network_gives_the_same_numbers():
    model = ks.create_model("shufflenet_v1_x0_5_g8", classes=5, input_shape=(64, 64, 3))
    apart = grouped.take_apart(model)
    assert all(layer.groups == 1 for layer in apart.layers if type(layer) is keras.layers.Conv2D)
    x = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(apart([x]), model(x), atol=1e-6)
