"""What docs/contributing.md shows works: a new network and a new layout take one table entry."""

import re
from pathlib import Path

import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.models import detnas
from keras_shufflenet.weights import layouts
from keras_shufflenet.weights.layouts import mobilenet_v2

PAGE = (Path(__file__).parents[1] / "docs" / "contributing.md").read_text(encoding="utf-8")


@pytest.fixture
def shown():
    network, layout = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    return network, layout


def test_a_new_network_takes_one_line(shown, monkeypatch):
    name, size, architecture = re.search(r'"(\w+)": \("(\w+)", "([\d ]+)"\)', shown[0]).groups()
    monkeypatch.setitem(detnas.SEARCHED, name, (size, architecture))
    monkeypatch.setitem(detnas.PRESETS, f"detnas_{name}", {"architecture": name})
    assert f"detnas_{name}" in ks.list_models()
    model = ks.create_model(f"detnas_{name}", input_shape=(32, 32, 3))
    assert model.name == f"detnas_{name}"
    again = ks.create_model(f"detnas_{name}", input_shape=(32, 32, 3))
    ks.weights.load_state_dict(again, ks.weights.state_dict(model))
    np.testing.assert_array_equal(again.get_weights()[-1], model.get_weights()[-1])


def test_a_new_layout_takes_one_table(shown, monkeypatch):
    names = dict(vars(mobilenet_v2))
    exec(shown[1], names)
    layout = names["MY_MOBILENET_V2"]
    monkeypatch.setitem(layouts.LAYOUTS, layout.name, layout)
    model, again = (ks.MobileNetV2(0.35, input_shape=(32, 32, 3)) for _ in range(2))
    state = ks.weights.state_dict(model, "mylab/mobilenet_v2")
    assert "net.blocks.16.project.bn.running_var" in state
    ks.weights.load_state_dict(again, state)
    for ours, theirs in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
