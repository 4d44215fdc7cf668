"""Mutated weight files, and that the tool notices what it looks for."""

import pickle
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import keras_shufflenet as ks
from fuzz_weights import BAD, GOOD, NETWORK, OTHER, SAME, SIZE, Container, Victim, fuzz
from weight_attacks import EXECUTED, SECRET

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is part of Linux")


@pytest.fixture(scope="module")
def model(shallow):
    with shallow():
        return ks.create_model(NETWORK, weights=None, input_shape=SIZE)


@pytest.mark.parametrize("container", Container)
def test_mutated_files_do_no_harm(model, tmp_path, container):
    verdicts, ends, findings, longest = fuzz(container, 8, 7, model, tmp_path)
    assert findings == []
    assert verdicts.total() == 8
    assert set(verdicts) <= set(GOOD)
    assert longest > 0
    assert not ends


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_verdicts(model, tmp_path):
    numbers = [array + 1 for array in model.get_weights()]
    victim = Victim(model, numbers, tmp_path)
    secret = victim.target / SECRET
    linked = tmp_path / "linked.h5"
    with h5py.File(linked, "w") as file:
        file["a"] = h5py.ExternalLink(str(secret), "secret")

    def half() -> None:
        model.weights[0].assign(model.weights[0] + 1)
        raise ValueError("Received: a.h5")

    def read_linked() -> None:
        with h5py.File(linked) as file:
            file["a"][()]

    def error(kind, text):
        def load() -> None:
            raise kind(text)

        return load

    verdicts = {
        SAME: lambda: model.set_weights(numbers),
        OTHER: lambda: model.set_weights([array + 1 for array in numbers]),
        GOOD[2]: error(ValueError, "Received: a.h5"),
        "another file opened": read_linked,
        "hung": error(TimeoutError, ""),
        "half-loaded": half,
        "implausible numbers": lambda: model.set_weights([array + np.nan for array in numbers]),
        "unclear error": error(OSError, "no"),
        "traceback": error(KeyError, "a"),
        "executed": lambda: pickle.loads(pickle.dumps(Touch(victim.target / EXECUTED))),
    }
    assert set(verdicts) == {*GOOD, *BAD}
    for verdict, load in verdicts.items():
        assert victim.judge(load) == verdict
    victim.close()
