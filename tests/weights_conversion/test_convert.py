import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

import keras_shufflenet as ks

SCRIPT = Path(__file__).parents[2] / "weights_conversion" / "convert.py"


@pytest.fixture(scope="module")
def app():
    spec = importlib.util.spec_from_file_location("convert", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = typer.Typer()
    made.command()(module.convert)
    return made


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror with one of the two files of ShuffleNetV1 0.5x."""
    monkeypatch.setenv("KERAS_SHUFFLENET_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mirror").mkdir()
    state = ks.weights.state_dict(ks.ShuffleNetV1(0.5))
    tensors = {f"module.{key}": torch.from_numpy(array) for key, array in state.items()}
    file = ks.weights.get_entry("shufflenet_v1_x0_5_g3.megvii").file
    torch.save({"state_dict": tensors}, tmp_path / "mirror" / file)
    return state


def test_what_can_be_had_is_converted_and_the_rest_is_named(app, mirror):
    done = CliRunner().invoke(app, ["out", "shufflenet_v1_x0_5_g?.megvii"])
    assert done.exit_code == 0, done.output
    assert "converted" in done.output
    assert "not to be had" in done.output
    names = sorted(path.name for path in Path("out").iterdir())
    assert names == [
        f"shufflenet_v1_x0_5_g3.megvii{suffix}"
        for suffix in (".keras", ".safetensors", ".weights.h5")
    ]
    for name in names:
        again = ks.ShuffleNetV1(0.5, weights=f"out/{name}")
        found = ks.weights.state_dict(again)
        for key, array in mirror.items():
            np.testing.assert_array_equal(found[key], array)


def test_a_checkpoint_of_ones_own(app, mirror):
    (path,) = Path("mirror").iterdir()
    path.rename("mine.pth.tar")
    done = CliRunner().invoke(
        app, ["out", "--checkpoint", "shufflenet_v1_x0_5_g3=mine.pth.tar", "--format", ".keras"]
    )
    assert done.exit_code == 0, done.output
    again = ks.ShuffleNetV1(0.5, weights="out/shufflenet_v1_x0_5_g3.mine.keras")
    kernel = ks.weights.state_dict(again)["first_conv.0.weight"]
    np.testing.assert_array_equal(kernel, mirror["first_conv.0.weight"])
    wrong = CliRunner().invoke(app, ["out", "--checkpoint", "shufflenet_v1_x0_5_g3"])
    assert wrong.exit_code == 2
    assert "MODEL=PATH" in wrong.output


def test_a_broken_file_is_a_failure(app, mirror):
    (path,) = Path("mirror").iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    done = CliRunner().invoke(app, ["out", "shufflenet_v1_x0_5_g3.megvii", "--format", ".keras"])
    assert done.exit_code == 1, done.output
    assert "broken" in done.output
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["out", "resnet*"], "Received: resnet*"), (["out", "--format", ".onnx"], ".onnx")],
)
def test_mistakes(app, arguments, text):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert text in done.output
