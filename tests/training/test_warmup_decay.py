"""Learning rates against the formulas of the publishers."""

import math

import numpy as np
import pytest

from keras_shufflenet.training import WarmupDecay

T = 1000
TOLERANCE = 1e-6  # of float32, relative to the peak


def rates(schedule, steps):
    return np.array([float(schedule(step)) for step in steps])


def test_linear_is_megviis():
    """The scheduler is stepped before the update: iteration i, from 1, has lr0 (1 - i / T)."""
    found = rates(WarmupDecay(0.5, T, "linear"), [0, 1, 499, T - 1, T])
    np.testing.assert_allclose(
        found, [0.5 * (1 - i / T) for i in (1, 2, 500, T, T)], atol=TOLERANCE
    )


def test_poly_is_mmclss():
    schedule = WarmupDecay(
        0.5, T, "poly", power=1.0, warmup_steps=100, warmup_ratio=0.1, warmup="constant"
    )
    found = rates(schedule, [0, 99, 100, 750])
    expected = [0.05, 0.05 * (1 - 99 / T), 0.5 * 0.9, 0.5 * 0.25]
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_cosine_by_epochs_is_torchvisions():
    """LinearLR for 5 of 60 epochs from a factor of 0.01, then CosineAnnealingLR."""
    steps = 10  # of an epoch
    schedule = WarmupDecay(
        0.5, 60 * steps, "cosine", warmup_steps=5 * steps, warmup_ratio=0.01, interval=steps
    )
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    scheduler = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=5),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=55),
        ],
        milestones=[5],
    )
    expected = []
    for _ in range(60):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    epochs = range(0, 60, 3)
    for offset in (0, steps - 1):  # the first and the last step of each epoch
        found = rates(schedule, [epoch * steps + offset for epoch in epochs])
        np.testing.assert_allclose(found, np.array(expected)[epochs], atol=TOLERANCE)


def test_step_and_constant():
    schedule = WarmupDecay(0.045, T, "step", gamma=0.94, step_size=20)
    expected = [0.045 * 0.94 ** (step // 20) for step in (0, 19, 20, 999)]
    np.testing.assert_allclose(rates(schedule, [0, 19, 20, 999]), expected, atol=TOLERANCE)
    np.testing.assert_allclose(rates(WarmupDecay(0.1, T, "constant"), [0, 5000]), 0.1)


def test_cosine_ends_at_its_share():
    schedule = WarmupDecay(1.0, T, warmup_steps=10, final_ratio=0.05)
    found = rates(schedule, [0, 5, 10, 505, T, 2 * T])
    middle = 0.05 + 0.95 * (1 + math.cos(math.pi / 2)) / 2
    np.testing.assert_allclose(found, [0, 0.5, 1, middle, 0.05, 0.05], atol=TOLERANCE)


@pytest.mark.parametrize("wrong", [{"schedule": "exp"}, {"steps": 0}, {"warmup": "no"}])
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=f"Received: {next(iter(wrong))}="):
        WarmupDecay(**{"learning_rate": 0.1, "steps": 10} | wrong)
