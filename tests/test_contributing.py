"""What docs/contributing.md shows works: a new network, family, pose head and layout."""

import re
from pathlib import Path

import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.models import _registry, detnas, pose
from keras_shufflenet.weights import layouts
from keras_shufflenet.weights.layouts import mobilenet_v2

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "contributing.md").read_text(encoding="utf-8")


@pytest.fixture
def shown():
    names = ("network", "family", "head", "layout")
    return dict(zip(names, re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL), strict=True))


def test_a_new_network_takes_one_line(shown, monkeypatch):
    name, size, architecture = re.search(
        r'"(\w+)": \("(\w+)", "([\d ]+)"\)', shown["network"]
    ).groups()
    monkeypatch.setitem(detnas.SEARCHED, name, (size, architecture))
    monkeypatch.setitem(detnas.PRESETS, f"detnas_{name}", {"architecture": name})
    assert f"detnas_{name}" in ks.list_models()
    model = ks.create_model(f"detnas_{name}", input_shape=(32, 32, 3))
    assert model.name == f"detnas_{name}"
    again = ks.create_model(f"detnas_{name}", input_shape=(32, 32, 3))
    ks.weights.load_state_dict(again, ks.weights.state_dict(model))
    np.testing.assert_array_equal(again.get_weights()[-1], model.get_weights()[-1])


def test_a_new_family_takes_one_file(shown, monkeypatch):
    monkeypatch.setattr(_registry, "_families", [*_registry.families()])
    exec(shown["family"], {"__name__": "my_net"})
    assert ks.list_models("my_net*") == ["my_net_large", "my_net_small"]
    assert ks.create_model("my_net_small", input_shape=(64, 64, 3)).output_shape == (None, 1000)
    features = ks.feature_extractor("my_net_small", (4, 32), input_shape=(64, 64, 3))
    assert [x.shape[1:] for x in features.outputs] == [(16, 16, 24), (2, 2, 96)]
    estimator = ks.PoseEstimator("my_net_small", head="fpn", input_size=(64, 64))
    assert estimator.output_shape == (None, 16, 16, 17)


def test_a_new_pose_head_takes_one_function(shown, monkeypatch):
    monkeypatch.setattr(pose, "HEADS", dict(pose.HEADS))
    exec(shown["head"], vars(pose) | {"HEADS": pose.HEADS})
    model = ks.PoseEstimator("shufflenet_v2_x0_25", head="plain", input_size=(64, 64))
    assert model.output_shape == (None, 16, 16, 17)


def test_a_new_layout_takes_one_table(shown, monkeypatch):
    names = dict(vars(mobilenet_v2))
    exec(shown["layout"], names)
    layout = names["MY_MOBILENET_V2"]
    monkeypatch.setitem(layouts.LAYOUTS, layout.name, layout)
    model, again = (ks.MobileNetV2(0.35, input_shape=(32, 32, 3)) for _ in range(2))
    state = ks.weights.state_dict(model, "mylab/mobilenet_v2")
    assert "net.blocks.16.project.bn.running_var" in state
    ks.weights.load_state_dict(again, state)
    for ours, theirs in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_tests_of_user_cases_exist():
    cases = (ROOT / "docs" / "user_cases.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", cases)
    assert len(named) > 20
    for file, test in named:
        assert f"\ndef {test}(" in (ROOT / file).read_text(encoding="utf-8"), (file, test)
