"""Trainings that were killed end like those that were not."""

import signal
from zipfile import ZipFile

import h5py
import numpy as np
import pytest

from keras_shufflenet.training import callbacks
from tests.training.killed_trainings import train_killed

STEPS = 3  # of an epoch of poses: twelve people
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def trained(people, tmp_path_factory):
    """The folders of trainings by name, and their exit codes: all in one program."""
    folder = tmp_path_factory.mktemp("runs")
    kinds = ("pose", "detection", "classification", "supernet")
    pose, boxes, classes, choices = ({"kind": kind} for kind in kinds)
    trainings = {
        "pose": [pose],
        # Once in an epoch, and once while a checkpoint is being written. With other initial
        # weights: everything must come from the checkpoint.
        "killed pose": [
            pose | {"kill_at": STEPS + 2},
            pose | {"seed": 1, "kill_at": STEPS, "while_writing": True},
            pose | {"seed": 2},
        ],
        # With averaged weights and a guidance module that is detached meanwhile.
        "detection": [boxes],
        "killed detection": [boxes | {"kill_at": 2}, boxes | {"seed": 1}],
        # With two frozen steps before.
        "classification": [classes],
        "killed classification": [classes | {"kill_at": 3}, classes | {"seed": 1}],
        # Another architecture in every step.
        "supernet": [choices],
        "killed supernet": [choices | {"kill_at": 1}, choices | {"seed": 1}],
    }
    plan = [
        {"seed": 0, "directory": str(folder / name), **training}
        for name, several in trainings.items()
        for training in several
    ]
    codes = iter(train_killed(people, plan))
    return folder, {name: [next(codes) for _ in several] for name, several in trainings.items()}


def weights(path):
    """The arrays of a Keras file by their places: building supernets to read them takes long."""
    found = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with ZipFile(path) as archive, h5py.File(archive.open("model.weights.h5")) as file:
        file.visititems(add)
    return found


@pytest.mark.parametrize(
    ("kind", "codes", "epochs"),
    [
        ("pose", [KILLED, KILLED, 0], 3),
        ("detection", [KILLED, 0], 2),
        ("classification", [KILLED, 0], 2),
        ("supernet", [KILLED, 0], 1),
    ],
)
def test_a_killed_training_ends_like_one_that_was_not(trained, kind, codes, epochs):
    folder, found_codes = trained
    assert (found_codes[kind], found_codes[f"killed {kind}"]) == ([0], codes)
    uninterrupted, killed = folder / kind, folder / f"killed {kind}"
    expected, found = (weights(each / "model.keras") for each in (uninterrupted, killed))
    assert len(expected) > 3
    assert expected.keys() == found.keys()
    for name, wanted in expected.items():
        np.testing.assert_array_equal(found[name], wanted, name)
    log = callbacks.read_log(killed / "log.csv")
    assert [row["epoch"] for row in log] == list(range(1, epochs + 1))
    assert not [path.name for path in killed.iterdir() if path.name.startswith(".")]
