"""A checkpoint of each publisher, in its container, by its path and through the catalog."""

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.weights import WeightsMismatchError, catalog
from keras_shufflenet.weights._nesting import Contents
from keras_shufflenet.weights._subsets import Subsets
from tests.weights import publishers
from tests.weights.test_state_dict import unchanged, values


@pytest.fixture(scope="module", params=publishers.NETS)
def published(request, shared, tmp_path_factory):
    """A net's fixture, its entry of the catalog, its state dict and its file in a mirror."""
    net = request.param
    entry = catalog.get_entry(publishers.NETS[net])
    state = publishers.state_dict(shared, net)
    path = tmp_path_factory.mktemp("mirror") / entry.file
    publishers.pack(shared, net, state, path)
    return net, entry, state, path


@pytest.fixture(scope="module")
def model(published):
    """The network with the weights of the file at its path."""
    _, entry, _, path = published
    small = {} if entry.model.startswith("pose_") else {"input_shape": (32, 32, 3)}
    return ks.create_model(entry.model, weights=str(path), **small)


def test_the_layout_is_found_by_the_keys(published):
    _, entry, state, _ = published
    name, prefix = Subsets(Contents({"": state}, {})).found[0]
    assert name == entry.layout
    assert prefix == ""


def test_a_file_by_its_path(published, model):
    _, entry, state, _ = published
    written = ks.weights.state_dict(model, entry.layout)
    expected = {key.removeprefix("module."): array for key, array in state.items()}
    if entry.layout.startswith("megvii/detnas"):  # its keys repeat the names of the operators
        layout = ks.weights.layouts.get(entry.layout)
        expected = {layout.normalize_key(key): array for key, array in expected.items()}
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    assert written.keys() == expected.keys() - counters
    for key, array in written.items():
        np.testing.assert_array_equal(array, expected[key])


def test_a_file_through_the_catalog(published, model, monkeypatch, tmp_path):
    _, entry, _, path = published
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_SHUFFLENET_MIRROR", str(path.parent))
    if entry.sha256 is not None:  # the publisher's numbers are others
        digest = sha256(path.read_bytes()).hexdigest()
        entry = replace(entry, sha256=digest, size=None)
        monkeypatch.setitem(catalog.CATALOG, entry.name, entry)
    expected = values(model)
    for variable in model.weights:
        if "preprocessing" not in variable.path:
            variable.assign(np.ones(variable.shape))
    ks.weights.load(model, entry.name)
    assert unchanged(model, expected)
    assert (tmp_path / "models" / "keras_shufflenet" / entry.file).is_file()


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape", "network"])
def test_a_faulty_file_is_refused_by_name(published, model, shared, tmp_path, fault):
    net, _, state, _ = published
    state, key = dict(state), list(state)[7]
    if fault == "missing":
        del state[key]
    elif fault == "unexpected":
        key = f"{key}_more"
        state[key] = np.ones(3, np.float32)
    elif fault == "shape":
        state[key] = np.ones((2, 3), np.float32)
    else:
        other = "mmcls_mobilenet_v2_1.0" if "mobilenet" not in net else "megvii_oneshot"
        key = publishers.NETS[other].partition("_x")[0].partition(".")[0]
        net, state = other, publishers.state_dict(shared, other)
    publishers.pack(shared, net, state, tmp_path / "faulty.pth")
    before = values(model)
    named = key.removeprefix("module.")
    if "detnas" in net:
        named = ks.weights.layouts.get("megvii/detnas").normalize_key(named)
    with pytest.raises(WeightsMismatchError) as caught:
        ks.weights.load(model, tmp_path / "faulty.pth")
    assert fault in str(caught.value)
    assert named in str(caught.value)
    assert "Received: " in str(caught.value)
    assert unchanged(model, before)
