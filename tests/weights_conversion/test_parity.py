import importlib.util
import sys
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

import keras_shufflenet as ks

SCRIPT = Path(__file__).parents[2] / "weights_conversion" / "parity.py"
NAMES = [
    "shufflenet_v1_x0_5_g8",
    "shufflenet_v1_x1_0_g3_mmcls",
    "shufflenet_v2_x0_25",
    "shufflenet_v2_x0_5_megvii",
    "shufflenet_v2_plus_small",
    "one_shot",
    "detnas_coco_fpn_300m",
    "mobilenet_v2_x0_35",
    "mobilenet_v2_x0_35_tonylins",
    "pose_shufflenet_v1_x1_0_g3_mmcls_coco_64x64",
    "pose_shufflenet_v2_x0_25_coco_64x64",
    "pose_mobilenet_v2_x0_35_coco_64x64",
]


@pytest.fixture(scope="module")
def parity():
    path = list(sys.path)
    spec = importlib.util.spec_from_file_location("parity", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = path


@pytest.mark.parametrize("name", NAMES)
def test_every_family_equals_pytorch(parity, name):
    assert parity.compare(name, size=64).difference < parity.TOLERANCE


def test_report_of_a_checkpoint(parity, tmp_path):
    model = ks.ShuffleNetV2(0.25)
    parity.randomize(model, 1)
    state = {key: torch.from_numpy(a) for key, a in ks.weights.state_dict(model).items()}
    torch.save(state, tmp_path / "x0_25.pth")
    app = typer.Typer()
    app.command()(parity.parity)
    arguments = ["shufflenet_v2_x0_25", "--checkpoint", str(tmp_path / "x0_25.pth")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "torchvision/shufflenet_v2" in done.output
    assert CliRunner().invoke(app, ["resnet*"]).exit_code == 2


def test_a_difference_is_a_failure(parity, monkeypatch):
    monkeypatch.setattr(parity, "compare", lambda *_: parity.Parity("a/b", 0.5))
    app = typer.Typer()
    app.command()(parity.parity)
    assert CliRunner().invoke(app, ["mobilenet_v2_x0_35"]).exit_code == 1
