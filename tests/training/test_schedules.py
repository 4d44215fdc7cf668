import keras
import numpy as np
import pytest

from keras_shufflenet.training.optimizers import WarmupMultiStepDecay
from tests.rounding import EPSILON32, rounding_error


def schedule():
    return WarmupMultiStepDecay(5e-4, boundaries=(1000, 2000), warmup_steps=500)


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 5e-4 * 0.001),
        (250, 5e-4 * (1 - 0.5 * 0.999)),
        (499, 5e-4 * (1 - 0.002 * 0.999)),
        (500, 5e-4),
        (999, 5e-4),
        (1000, 5e-5),
        (1999, 5e-5),
        (2000, 5e-6),
        (10**6, 5e-6),
    ],
)
def test_rate(step, rate):
    assert float(schedule()(step)) == pytest.approx(rate, abs=rounding_error(5e-4, 8, EPSILON32))


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert float(WarmupMultiStepDecay(0.1, (), warmup_steps=0)(0)) == np.float32(0.1)


def test_boundaries_must_ascend():
    with pytest.raises(ValueError, match=r"must ascend\. Received: boundaries=\[20, 10\]"):
        WarmupMultiStepDecay(0.1, (20, 10))


def test_an_optimizer_with_the_schedule_survives_its_config():
    optimizer = keras.optimizers.Adam(schedule())
    copy = keras.optimizers.Adam.from_config(optimizer.get_config())
    assert copy._learning_rate.get_config() == schedule().get_config()
