import numpy as np
import pytest

from keras_shufflenet.training import train
from tests.rounding import EPSILON32
from tests.training.numbers_task import Numbers, network

# Adam divides a gradient by its size: the error of a sum of 8 numbers in 8 steps of 0.01.
ATOL = 8 * 8 * 0.01 * EPSILON32 * 100


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Trained with whole batches: the folder, the weights and the log."""
    folder = tmp_path_factory.mktemp("whole")
    task = Numbers(network())
    log = train(task, folder, val_interval=1, verbose=0)
    return folder, task.model.get_weights(), log


def test_parts_of_a_batch_are_the_batch(whole, tmp_path):
    _, expected, log = whole
    task = Numbers(network())
    found = train(task, tmp_path, val_interval=1, accumulation_steps=4, verbose=0)
    for got, wanted in zip(task.model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=ATOL)
    for got, wanted in zip(found, log, strict=True):
        for name in ("epoch", "learning_rate", "loss", "mae", "score"):
            assert got[name] == pytest.approx(wanted[name], rel=1e-5)


def test_a_batch_must_have_whole_parts(tmp_path):
    with pytest.raises(ValueError, match="multiple of the 3 accumulation steps"):
        train(Numbers(network()), tmp_path, accumulation_steps=3, verbose=0)
    with pytest.raises(ValueError, match="Received: accumulation_steps=0"):
        train(Numbers(network()), tmp_path, accumulation_steps=0)
