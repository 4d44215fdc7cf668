"""Classifiers of one's own files: loaded as strictly as the rest, or new with a warning."""

from dataclasses import replace
from hashlib import sha256

import keras
import numpy as np
import pytest
import torch

import keras_shufflenet as ks
from keras_shufflenet.weights import WeightsMismatchError, catalog

SIZE = (32, 32, 3)
FEATURES = 512
NEW = "the classifier `predictions` is new, with random weights. Received: "


@pytest.fixture(scope="module")
def build(shallow):
    """A function that builds a small network of 4 classes."""

    def network(**arguments) -> keras.Model:
        with shallow():
            return ks.ShuffleNetV2(0.25, **{"input_shape": SIZE, "classes": 4, **arguments})

    return network


@pytest.fixture(scope="module")
def trained(build) -> keras.Model:
    return build()


@pytest.fixture(scope="module")
def state(trained) -> dict[str, np.ndarray]:
    return ks.weights.state_dict(trained)


def save(state, path) -> str:
    torch.save({key: torch.from_numpy(array) for key, array in state.items()}, path)
    return str(path)


def same(layer, first, second) -> bool:
    kernels = [model.get_layer(layer).kernel.numpy() for model in (first, second)]
    return np.array_equal(*kernels)


def without(state, start) -> dict[str, np.ndarray]:
    return {key: array for key, array in state.items() if not key.startswith(start)}


NAN = np.full((4, FEATURES), np.nan, np.float32)
DAMAGED = {
    "NaN": (lambda s: s | {"fc.weight": NAN}, r"fc\.weight has values"),
    "no bias": (lambda s: without(s, "fc.bias"), r"missing keys.*\n.*fc\.bias"),
    "no kernel": (lambda s: without(s, "fc.weight"), r"missing keys.*\n.*fc\.weight"),
    "transposed": (lambda s: s | {"fc.weight": NAN.T.copy()}, r"fc\.weight is float32"),
    "integers": (lambda s: s | {"fc.weight": np.ones((4, FEATURES), int)}, r"fc\.weight is int"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_head_is_an_error(build, state, tmp_path, name):
    change, reason = DAMAGED[name]
    with pytest.raises(WeightsMismatchError, match=rf"(?s){reason}.*Received: "):
        build(weights=save(change(state), tmp_path / "a.pth"))


OTHER = {
    "no head": lambda s: without(s, "fc."),
    "other classes": lambda s: s | {"fc.weight": NAN[:3], "fc.bias": np.ones(3, np.float32)},
}


@pytest.mark.parametrize("name", OTHER)
def test_another_head_or_none_is_named(build, trained, state, tmp_path, name):
    path = save(OTHER[name](state), tmp_path / "a.pth")
    with pytest.warns(UserWarning, match=NEW):
        model = build(weights=path)
    assert same("conv_last", model, trained)
    assert not same("predictions", model, trained)
    assert np.isfinite(model.get_layer("predictions").kernel).all()


def test_a_head_of_other_names_is_named(build, state, tmp_path):
    mine = {f"backbone.{key}": array for key, array in without(state, "fc.").items()}
    mine |= {"my_head.0.weight": state["fc.weight"], "my_head.0.bias": state["fc.bias"]}
    path = save(mine, tmp_path / "a.pth")
    with (
        pytest.warns(UserWarning, match=NEW),
        pytest.warns(UserWarning, match=r"left out: my_head\.0\.bias, my_head"),
    ):
        build(weights=path)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_the_head_of_a_keras_file(build, trained, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    ks.weights.save(trained, path)
    assert same("predictions", build(weights=str(path)), trained)
    with pytest.warns(UserWarning, match=NEW):
        assert same("conv_last", build(weights=str(path), classes=5), trained)
    damaged = build()
    damaged.get_layer("predictions").kernel.assign(np.full((FEATURES, 4), np.nan))
    ks.weights.save(damaged, path)
    with pytest.raises(WeightsMismatchError, match=r"(?s)predictions.*damaged.*Received: "):
        build(weights=str(path))


def test_a_head_on_a_keras_backbone_is_named(build, trained, tmp_path):
    backbone = build(include_top=False)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    on_top = keras.Model(backbone.input, keras.layers.Dense(4, name="mine")(pooled))
    sequential = keras.Sequential(
        [
            keras.Input(SIZE),
            keras.layers.RandomFlip(),
            backbone,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(4),
        ]
    )
    on_top.save(tmp_path / "on_top.keras")
    sequential.save(tmp_path / "sequential.keras")
    with (
        pytest.warns(UserWarning, match=NEW),
        pytest.warns(UserWarning, match="left out: layer 'mine'"),
    ):
        assert same("conv_last", build(weights=str(tmp_path / "on_top.keras")), backbone)
    with pytest.warns(UserWarning, match=NEW):
        assert same("conv_last", build(weights=str(tmp_path / "sequential.keras")), backbone)


def test_published_weights_come_without_their_head_and_without_a_warning(
    shallow, tmp_path, monkeypatch
):
    entry = catalog.get_entry("shufflenet_v2_x0_5.torchvision")
    with shallow():
        source = ks.ShuffleNetV2(0.5, input_shape=SIZE)
        save(ks.weights.state_dict(source), tmp_path / entry.file)
        digest = sha256((tmp_path / entry.file).read_bytes()).hexdigest()
        published = replace(entry, sha256=digest, size=None)
        monkeypatch.setitem(catalog.CATALOG, entry.name, published)
        monkeypatch.setenv("KERAS_SHUFFLENET_MIRROR", str(tmp_path))
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
        for weights in ("imagenet", entry.name):
            model = ks.ShuffleNetV2(0.5, input_shape=SIZE, classes=4, weights=weights)
            assert same("conv_last", model, source)
