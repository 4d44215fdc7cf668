"""The benchmark of fine-tuning: its network in PyTorch is ours, its classes are disjoint."""

import keras
import numpy as np
import pytest

import keras_shufflenet as ks

pytest.importorskip("torch")


def test_coarse_classes_are_disjoint():
    from benchmark_finetuning import COARSE

    indices = [
        index
        for ranges in COARSE.values()
        for first, last in ranges
        for index in range(first, last + 1)
    ]
    assert len(indices) == len(set(indices))
    assert len(COARSE) == 20
    assert 0 <= min(indices) <= max(indices) < 1000


def test_both_networks_are_the_same():
    import torch

    from benchmark_finetuning import LAYOUT, NETWORK
    from torch_shufflenet import as_torch, pretrained, torch_step

    keras.utils.set_random_seed(0)
    model = ks.create_model(NETWORK, classes=3, input_shape=(32, 32, 3), classifier_activation=None)
    state = ks.weights.state_dict(model, LAYOUT)
    network = pretrained(state, 3).eval()
    network.fc.weight.data = torch.from_numpy(np.array(state["fc.weight"]))
    network.fc.bias.data = torch.from_numpy(np.array(state["fc.bias"]))
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    with torch.no_grad():
        found = network(as_torch(images)).numpy()
    expected = np.asarray(model(images, training=False))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max() + 1e-6)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    torch_step(network.train(), optimizer, as_torch(images), torch.tensor([0, 2]))
    assert np.abs(network.fc.bias.detach().numpy() - state["fc.bias"]).max() > 0
