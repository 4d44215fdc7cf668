"""Engines side by side, on a small network."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.benchmark import grouped, interleaved, latency, memory, networks, tables
from keras_shufflenet.benchmark.engines import ENGINES, Network, channels_first
from keras_shufflenet.cli import main

SIZE = (64, 64)
TRIED = ("LiteRT", "ONNX Runtime", "OpenVINO", "PyTorch eager")


def test_functions_take_turns_and_run_twice_in_each():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in "abc"}
    times = interleaved.measure_interleaved(runs, iterations=20)
    rounds = [tuple(calls[i : i + 6]) for i in range(0, 120, 6)]
    assert all(turn[::2] == turn[1::2] and sorted(turn[::2]) == ["a", "b", "c"] for turn in rounds)
    assert len(set(rounds)) > 3  # in changing order
    assert all(0 <= time.median <= time.p90 for time in times.values())
    with pytest.raises(ValueError, match="Received: rounds=0"):
        interleaved.measure_interleaved(runs, iterations=0)


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    coarse = generator.uniform(0, 255, (4, 8, 8, 3)).astype("float32")
    return np.asarray(keras.ops.image.resize(coarse, SIZE))


@pytest.fixture(scope="module")
def files(images, shallow, tmp_path_factory):
    """A small pose estimator in the engines that the tests need, and what was said."""
    with shallow():
        model = ks.PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=SIZE)
    networks.normalize(model, images)
    network = Network("small", model, images, tmp_path_factory.mktemp("small"))
    engines = [e for e in ENGINES if e.name in TRIED and "nncf" not in e.packages]
    said = []
    return latency.make_files([network], engines, said.append), said


@pytest.fixture
def no_proc(monkeypatch, tmp_path):
    """A system that does not say what memory a process takes, so that none is started."""
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")


def test_engines_agree_with_keras_and_are_timed(files, no_proc):
    made, said = files
    assert said == []
    measured = latency.measure(made, threads=1, iterations=2, say=said.append)
    assert said == []
    assert {row.engine for row in measured} == set(TRIED)
    assert all(0 < row.latency.median <= row.latency.p90 for row in measured)
    assert {row.memory for row in measured} == {None}
    ours = {row.precision: row for row in measured if row.engine == "LiteRT"}
    for row in measured:
        of_class = ours["float32" if row.precision == "float32" else "int8"]
        assert row.ratio == of_class.latency.median / row.latency.median
    sizes = {(row.engine, row.precision): row.size for row in measured}
    assert sizes["ONNX Runtime", "int8"] < 0.6 * sizes["ONNX Runtime", "float32"]


@pytest.mark.skipif(not memory.STATUS.is_file(), reason="only Linux says it")
def test_memory_is_that_of_a_process_without_tensorflow(files):
    file = next(file for file in files[0] if file.engine.title == "LiteRT int8")
    peak = memory.peak_memory(file.engine, file.path, file.input, threads=1)
    assert 2e7 < peak < 2e8


def test_another_network_is_found_out(files):
    file = next(file for file in files[0] if file.engine.title == "ONNX Runtime float32")
    wrong = latency.File(file.network, file.engine, file.path, file.input, file.expected + 1)
    said = []
    assert latency.measure([wrong], threads=1, iterations=1, say=said.append) == []
    (line,) = said
    assert line.startswith("small, ONNX Runtime float32: not measured, its output is not that of")


def test_a_missing_package_is_said(images, tmp_path):
    engine = next(engine for engine in ENGINES if engine.name == "ncnn")
    absent = replace(engine, packages=("no_such_package",))
    said = []
    assert latency.make_files([], [absent], said.append) == []
    assert said == [
        "ncnn float32: no_such_package not installed, pip install 'keras-shufflenet[peers]'"
    ]


def assert_same_in_onnx(model, images, path):
    import onnxruntime

    channels_first.write(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"images": channels_first.planes(model, images)})
    expected = keras.ops.convert_to_numpy(model(images))
    planar = expected.transpose(0, 3, 1, 2) if expected.ndim == 4 else expected
    np.testing.assert_allclose(output, planar, atol=1e-4)


@pytest.mark.parametrize(
    "name", ["shufflenet_v1_x0_5_g8", "shufflenet_v2_plus_small", "mobilenet_v2_x0_35"]
)
def test_families_in_onnx_are_the_same_networks(name, images, tmp_path):
    model = ks.create_model(name, input_shape=(*SIZE, 3), classes=10)
    networks.normalize(model, images)
    assert_same_in_onnx(model, images[:1], tmp_path / "network.onnx")


@pytest.mark.parametrize(("size", "kernel", "strides"), [((8, 7), 3, 2), ((9, 8), 4, 3)])
def test_padding_of_keras_own_convolutions(size, kernel, strides, tmp_path):
    inputs = keras.Input((*size, 3))
    layer = keras.layers.Conv2D(4, kernel, strides, padding="same")
    images = np.random.default_rng(0).normal(size=(1, *size, 3)).astype("float32")
    assert_same_in_onnx(keras.Model(inputs, layer(inputs)), images, tmp_path / "network.onnx")


def test_a_layer_without_translation(tmp_path):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, activation="relu", name="odd")(inputs))
    with pytest.raises(channels_first.TranslationError, match=r"'odd'.*an activation of its own"):
        channels_first.write(model, tmp_path / "network.onnx")


@pytest.fixture
def command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_info:
            main.run(["benchmark", *map(str, arguments)])
        return exit_info.value.code, capsys.readouterr()

    return call


def test_the_verb_writes_rows_and_a_picture(command, shallow, no_proc, tmp_path):
    arguments = ["--engine", "litert", "--rounds", 2, "--results", tmp_path / "latency.csv"]
    with shallow():
        code, said = command("*v2_x0_25", *arguments, "--plot", tmp_path / "plot.png")
    assert code == 0, said.err
    rows = list(csv.DictReader((tmp_path / "latency.csv").read_text().splitlines()))
    assert [(row["model"], row["precision"]) for row in rows] == [
        ("shufflenet_v2_x0_25", "float32"),
        ("shufflenet_v2_x0_25", "int8"),
    ]
    assert all(row["ratio"] == "1" and f"{float(row['median_ms']):.2f}" in said.out for row in rows)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    page = "<!-- table: files shufflenet_v2_x0_25 -->\n<!-- end -->"
    assert f"| {int(rows[1]['bytes']) / 1e6:.2f} |" in tables.write_tables(page, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet*"], "`keras-shufflenet models`. Received: resnet*"),
        (["*x0_25", "--engine", "tvm"], "Received: tvm"),
        (["*x0_25", "--plot", "plot.doc"], "Received: plot.doc"),
        (["*x0_25", "--plot", "nowhere/plot.png"], "no such folder. Received: nowhere"),
        (["pose_*light", "--plot", "plot.png"], "published accuracy"),
    ],
)
def test_mistakes_are_found_before_anything_is_built(command, arguments, message):
    code, said = command(*arguments)
    assert code == 1
    assert message in said.err


def test_our_ratio_is_to_the_best_peer_of_the_class(tmp_path):
    times = {
        ("LiteRT", "float32"): 3,
        ("LiteRT", "int8"): 1,
        ("ncnn", "float32"): 4,
        ("ncnn", "bfloat16"): 2,
        ("OpenVINO", "float32"): 5,
        ("OpenVINO", "int8"): 2.5,
    }
    with (tmp_path / "peers.csv").open("w") as file:
        file.write("model,engine,precision,threads,median_ms\n")
        for (engine, precision), time in times.items():
            file.write(f"net,{engine},{precision},1,{time}\nnet,{engine},{precision},2,0.1\n")
    table = tables.write_tables("<!-- table: peers -->\n<!-- end -->", tmp_path)
    assert "| `net` | float32 | 3.0 | 4.0 | 5.0 | 0.75 |" in table
    assert "| `net` | int8 | 1.0 |  | 2.5 | 0.50 |" in table
    assert "| `net` | bfloat16 |  | 2.0 |  |  |" in table


def test_an_unknown_table(tmp_path):
    kinds = r"models, files, peers, weights, trained\. Received: prices"
    with pytest.raises(ValueError, match=kinds):
        tables.write_tables("<!-- table: prices -->\n<!-- end -->", tmp_path)


def test_taken_apart_a_network_gives_the_same_numbers():
    model = ks.create_model("shufflenet_v1_x0_5_g8", classes=5, input_shape=(64, 64, 3))
    apart = grouped.take_apart(model)
    assert all(layer.groups == 1 for layer in apart.layers if type(layer) is keras.layers.Conv2D)
    x = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(apart([x]), model(x), atol=1e-6)
