"""All engines run the same network, on a small one."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.benchmark import interleaved, latency, memory, networks
from keras_shufflenet.benchmark.engines import ENGINES, Network
from keras_shufflenet.cli import main
from keras_shufflenet.export.translation.channels_first import translate
from keras_shufflenet.export.translation.onnx_graph import TranslationError
from readme_tables import write_tables
from tests.noise import assert_exact

SIZE = (64, 64)
TRIED = ("LiteRT", "ONNX Runtime", "OpenVINO", "PyTorch eager")


def test_measurements_are_interleaved_and_every_second_run_is_timed():
    calls = []
    runs = {name: lambda name=name: calls.append(name) for name in "abc"}
    times = interleaved.measure_interleaved(runs, iterations=20)
    iterations = [tuple(calls[i : i + 6]) for i in range(0, 120, 6)]
    assert all(
        names[::2] == names[1::2] and sorted(names[::2]) == ["a", "b", "c"] for names in iterations
    )
    assert len(set(iterations)) > 3  # in changing order
    assert all(0 <= time.median <= time.p90 for time in times.values())
    with pytest.raises(ValueError, match="Received: iterations=0"):
        interleaved.measure_interleaved(runs, iterations=0)


def test_names_are_found_by_patterns_and_architectures_as_they_are():
    searched = ["one_shot:00311100202110202132", f"pose_detnas_300m:{'0' * 20}_coco_64x64_fpn"]
    found = networks.find(["shufflenet_v2_x1_?", *searched, searched[0]])
    assert found == ["shufflenet_v2_x1_0", "shufflenet_v2_x1_5", *searched]
    with pytest.raises(ValueError, match="Received: two_shot:0011"):
        networks.find(["two_shot:0011"])


@pytest.fixture(scope="module")
def images():
    generator = np.random.default_rng(0)
    coarse = generator.uniform(0, 255, (4, 8, 8, 3)).astype("float32")
    return np.asarray(keras.ops.image.resize(coarse, SIZE))


@pytest.fixture(scope="module")
def files(images, shallow, tmp_path_factory):
    """The files of a small pose estimator for the engines that the tests need, and the log."""
    with shallow():
        model = ks.PoseEstimator("shufflenet_v2_x0_25", head="light", input_size=SIZE)
    networks.normalize(model, images)
    network = Network("small", model, images, tmp_path_factory.mktemp("small"))
    engines = [e for e in ENGINES if e.name in TRIED and "nncf" not in e.packages]
    log = []
    return latency.make_files([network], engines, log.append), log


@pytest.fixture
def no_proc(monkeypatch, tmp_path):
    """A system that does not report the memory of a process, so that none is started."""
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")


def test_engines_agree_with_keras_and_are_timed(files, no_proc):
    made, log = files
    measured = latency.measure(made, threads=1, iterations=2, log=log.append)
    assert log == []
    assert {row.engine for row in measured} == set(TRIED)
    assert all(0 < row.latency.median <= row.latency.p90 for row in measured)
    assert {row.memory for row in measured} == {None}
    ours = {row.precision: row for row in measured if row.engine == "LiteRT"}
    for row in measured:
        of_class = ours["float32" if row.precision == "float32" else "int8"]
        assert row.ratio == of_class.latency.median / row.latency.median
    sizes = {(row.engine, row.precision): row.size for row in measured}
    assert sizes["ONNX Runtime", "int8"] < 0.6 * sizes["ONNX Runtime", "float32"]


@pytest.mark.skipif(not memory.STATUS.is_file(), reason="only Linux reports it")
def test_memory_is_that_of_a_process_without_tensorflow(files):
    file = next(file for file in files[0] if file.engine.title == "LiteRT int8")
    peak = memory.peak_memory(file.engine, file.path, file.input, threads=1)
    assert 2e7 < peak < 2e8


def test_a_different_output_is_not_measured(files):
    file = next(file for file in files[0] if file.engine.title == "ONNX Runtime float32")
    wrong = latency.ModelFile(file.network, file.engine, file.path, file.input, file.expected + 1)
    log = []
    assert latency.measure([wrong], threads=1, iterations=1, log=log.append) == []
    (line,) = log
    assert line.startswith("small, ONNX Runtime float32: not measured, its output is not that of")


def test_a_missing_package_is_logged():
    engine = next(engine for engine in ENGINES if engine.name == "ncnn")
    absent = replace(engine, packages=("no_such_package",))
    log = []
    assert latency.make_files([], [absent], log.append) == []
    assert log == [
        "ncnn float32: no_such_package not installed, pip install 'keras-shufflenet[runtimes]'"
    ]


def assert_same_in_onnx(model, images, folder):
    import onnxruntime

    network = Network("network", model, images, folder)
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(network.onnx_file, providers=providers)
    (output,) = session.run(None, {"images": network.channels_first_images})
    assert_exact(output.transpose(0, 2, 3, 1) if output.ndim == 4 else output, model, images)


@pytest.mark.parametrize(("size", "kernel", "strides"), [((8, 7), 3, 2), ((9, 8), 4, 3)])
def test_padding_of_keras_convolutions(size, kernel, strides, tmp_path):
    inputs = keras.Input((*size, 3))
    layer = keras.layers.Conv2D(4, kernel, strides, padding="same")
    images = np.random.default_rng(0).normal(size=(1, *size, 3)).astype("float32")
    assert_same_in_onnx(keras.Model(inputs, layer(inputs)), images, tmp_path)


def test_a_layer_without_translation():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, activation="relu", name="odd")(inputs))
    with pytest.raises(
        TranslationError, match=r"'odd'.*fused activation: use a separate Activation layer"
    ):
        translate(model, include_preprocessing=False)


@pytest.fixture
def command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_info:
            main.run(["benchmark", *map(str, arguments)])
        return exit_info.value.code, capsys.readouterr()

    return call


def test_the_command_writes_rows_and_a_plot(command, shallow, no_proc, tmp_path):
    arguments = ["--engine", "litert", "--iterations", 2, "--results-csv", tmp_path / "latency.csv"]
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
    assert f"| {int(rows[1]['bytes']) / 1e6:.2f} |" in write_tables(page, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet*"], "`keras-shufflenet models`. Received: resnet*"),
        (["*x0_25", "--engine", "tvm"], "Received: tvm"),
        (["*x0_25", "--plot", "plot.doc"], "Received: --plot='plot.doc'"),
        (["*x0_25", "--plot", f"{__file__}/plot.png"], "folder of --plot must be writable"),
        (["pose_*light", "--plot", "plot.png"], "published accuracy"),
    ],
)
def test_mistakes_are_found_before_anything_is_built(command, arguments, message):
    code, said = command(*arguments)
    assert code == 1
    assert message in said.err
