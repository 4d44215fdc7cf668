import json
import signal

import keras
import numpy as np
import pytest

from keras_shufflenet.training import callbacks, open_strategy, train
from tests.shortcuts import eager_training
from tests.training.distributed_trainings import start, train_boxes, train_student
from tests.training.numbers_task import Numbers, network

ATOL = 1e-5
PATIENCE = 900  # seconds for processes on a busy machine
JAX = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
LOST = 3


@pytest.fixture(scope="module")
def started(people, tmp_path_factory):
    """Processes of TensorFlow and JAX, while this one trains, and their folder."""
    folder = tmp_path_factory.mktemp("distributed")
    return folder, start(folder, people), start(folder, people, **JAX)


@pytest.fixture(scope="module")
def one_process(started, tmp_path_factory):
    """The weights and the log of a single process with the same batches."""
    folder = tmp_path_factory.mktemp("one")
    task = Numbers(network(normalized=True))
    log = train(task, folder, val_interval=1, sync_batch_norm=True, loggers=[], verbose=0)
    return task.model.get_weights(), log


@pytest.fixture(scope="module")
def done(started, one_process):
    """The folder of the trainings, their exit codes, and what they wrote."""
    folder, tensorflow, jax = started
    output, errors = tensorflow.communicate(timeout=PATIENCE)
    assert tensorflow.returncode == 0, errors
    _, jax_errors = jax.communicate(timeout=PATIENCE)
    assert jax.returncode == 0, jax_errors
    return folder, json.loads(output.splitlines()[-1]), errors


def check_weights(path, expected):
    with np.load(path) as found:
        for got, wanted in zip(found.values(), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=ATOL)


def test_two_devices_are_one(done, one_process):
    folder, (codes, *_), errors = done
    assert codes == [0], errors
    check_weights(folder / "mirrored.npz", one_process[0])
    check_weights(folder / "jax.npz", one_process[0])


def test_a_detector_on_two_devices_has_the_losses_of_one(done, people, tmp_path):
    """They are divided by the number of objects on all devices."""
    with eager_training():
        train_boxes(people, tmp_path / "one")
    with np.load(tmp_path / "one.npz") as expected:
        check_weights(done[0] / "boxes.npz", list(expected.values()))


def test_a_student_on_two_devices_learns_from_its_teacher_as_on_one(done, people, tmp_path):
    with eager_training():
        train_student(people, tmp_path / "one")
    with np.load(tmp_path / "one.npz") as expected:
        check_weights(done[0] / "student.npz", list(expected.values()))


def test_a_worker_that_loses_another_says_so(done):
    _, (_, codes, _), errors = done
    assert codes == [LOST, -signal.SIGKILL], errors
    assert "start all of them again by the same command, and the training is resumed" in errors


def test_two_workers_are_one_process_though_one_has_died(done, one_process):
    folder, (*_, codes), errors = done
    expected, log = one_process
    assert codes == [0, 0], errors
    for worker in range(2):
        check_weights(folder / f"{worker}.npz", expected)
    for got, wanted in zip(callbacks.read_log(folder / "0" / "log.csv"), log, strict=True):
        assert got["score"] == pytest.approx(wanted["score"], rel=1e-4)


def test_the_chief_alone_writes_the_folder(done):
    folder, *_ = done
    assert not (folder / "1").exists()
    assert {"best.keras", "curves.png"} <= {path.name for path in (folder / "0").iterdir()}
    saved = keras.saving.load_model(folder / "0" / "model.keras")
    check_weights(folder / "0.npz", saved.get_weights())


def test_workers_are_connected_before_anything_is_computed(monkeypatch):
    keras.ops.ones(1)
    task = {"type": "worker", "index": 0}
    config = {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": task}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(RuntimeError, match=r"must be opened before TensorFlow computes anything"):
        open_strategy("multi_worker")


def test_strategies_are_checked(tmp_path):
    assert open_strategy(None) is None
    with pytest.raises(ValueError, match=r"`strategy` must be one of .*Received: strategy='all'"):
        open_strategy("all")
    with pytest.raises(ValueError, match=r"data_parallel is JAX's. Received: .* tensorflow"):
        open_strategy("data_parallel")
    with pytest.raises(ValueError, match=r"a tf.distribute.Strategy or .* Received: strategy=3"):
        train(Numbers(network()), tmp_path, strategy=3)
