"""SGD against PyTorch's: momentum, coupled weight decay, schedules."""

import keras
import numpy as np
import pytest

from keras_shufflenet.training import CoupledSGD, WarmupDecay

STEPS = 12
PEAK = 0.3


def gradients():
    random = np.random.default_rng(0)
    return random.normal(size=(STEPS, 4, 3)).astype(np.float32)


def run_keras(optimizer, excluded=False):
    kernel = keras.Variable(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3), name="kernel")
    bias = keras.Variable(np.linspace(2, 3, 12, dtype=np.float32).reshape(4, 3), name="bias")
    if excluded:
        optimizer.exclude_from_weight_decay(var_list=[bias])
    for gradient in gradients():
        optimizer.apply([keras.ops.convert_to_tensor(gradient)] * 2, [kernel, bias])
    return [keras.ops.convert_to_numpy(variable) for variable in (kernel, bias)]


def run_torch(rates, *, nesterov=False, decays=(0.05, 0.05)):
    import torch

    kernel = torch.linspace(-1, 1, 12).reshape(4, 3).requires_grad_()
    bias = torch.linspace(2, 3, 12).reshape(4, 3).requires_grad_()
    groups = [
        {"params": [each], "weight_decay": decay}
        for each, decay in zip((kernel, bias), decays, strict=True)
    ]
    optimizer = torch.optim.SGD(groups, lr=1.0, momentum=0.9, nesterov=nesterov)
    for rate, gradient in zip(rates, gradients(), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        kernel.grad = bias.grad = torch.from_numpy(gradient)
        optimizer.step()
    return [each.detach().numpy() for each in (kernel, bias)]


@pytest.mark.parametrize("nesterov", [False, True])
def test_it_is_that_of_pytorch_with_a_schedule(nesterov):
    pytest.importorskip("torch")
    schedule = WarmupDecay(PEAK, STEPS, "linear")
    rates = [PEAK * (1 - i / STEPS) for i in range(1, STEPS + 1)]
    expected = run_torch(rates, nesterov=nesterov, decays=(0.05, 0.0))
    optimizer = CoupledSGD(schedule, 0.9, coupled_weight_decay=0.05, nesterov=nesterov)
    for found, wanted in zip(run_keras(optimizer, excluded=True), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)  # float32, 12 steps


def test_that_of_keras_is_another():
    pytest.importorskip("torch")
    (expected, _), (found, _) = (
        run_torch([PEAK * (1 - i / STEPS) for i in range(1, STEPS + 1)]),
        run_keras(keras.optimizers.SGD(WarmupDecay(PEAK, STEPS, "linear"), 0.9, weight_decay=0.05)),
    )
    assert np.abs(found - expected).max() > 0.01


def test_it_is_saved_with_its_arguments():
    optimizer = CoupledSGD(WarmupDecay(0.1, 5, "poly", power=2.0), 0.8, 1e-4, nesterov=True)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert again.learning_rate == optimizer.learning_rate


@pytest.mark.parametrize("wrong", [{"momentum": 1.0}, {"coupled_weight_decay": -1}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=f"Received: {next(iter(wrong))}="):
        CoupledSGD(**wrong)
