"""A shallow supernet with channel scales, made once, and images."""

import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.search import Supernet, search_space

SCALES = (0.6, 1.0, 1.4)
UNITS = "03122031"


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def supernet(shallow):
    """A classifier of three classes."""
    with shallow():
        network = ks.create_model(
            f"one_shot:{UNITS}", input_shape=(32, 32, 3), classes=["a", "b", "c"]
        )
        return Supernet.of(network, search_space("one_shot", SCALES))
