"""Both sides of the benchmark are the same network."""

import keras
import numpy as np

import keras_shufflenet as ks
from benchmark_grouped_convolutions import decompose_groups
from tests.noise import assert_exact


def test_decomposed_groups_compute_the_same(monkeypatch):
    monkeypatch.setattr("keras_shufflenet.models.shufflenet_v1.UNITS", (2, 2, 2))
    model = ks.create_model("shufflenet_v1_x0_5_g8", classes=5, input_shape=(64, 64, 3))
    decomposed = decompose_groups(model)
    convolutions = [x for x in decomposed.layers if type(x) is keras.layers.Conv2D]
    assert all(layer.groups == 1 for layer in convolutions)
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    assert_exact(keras.ops.convert_to_numpy(decomposed([images])), model, images)
