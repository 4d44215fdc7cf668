"""Trainings of several replicas, each in a process of its own.

`python -m tests.training.distributed_trainings DIRECTORY ANNOTATIONS IMAGES` trains the tasks of
numbers and of boxes on two logical devices, then that of numbers with two workers, the second of
which kills itself, and with two workers again. It prints the exit codes. TensorFlow has started
nothing at the forks. With JAX as the backend it trains on the devices of JAX. The weights go into
npz files.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import ExitStack
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_shufflenet.training import open_strategy, train
from tests.shortcuts import eager_training
from tests.training.numbers_task import Numbers, boxes_task, network, student_task

ROOT = Path(__file__).parents[2]
PARTS = ("loss", "qfl", "giou", "dfl")
KILL_AT = 6  # in the second epoch


def start(directory, people, **environment):
    """Start the trainings, and return their process."""
    return subprocess.Popen(
        [sys.executable, "-m", __name__, *map(str, (directory, *people))],
        env=os.environ | environment | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


class Killer(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == KILL_AT:
            os.kill(os.getpid(), signal.SIGKILL)


def run(directory, strategy, callbacks=()):
    task = Numbers(network(normalized=True))
    train(
        task,
        directory,
        val_interval=1,
        checkpoint_minutes=0,
        strategy=strategy,
        sync_batch_norm=keras.backend.backend() == "tensorflow",
        loggers=[],
        callbacks=callbacks,
        verbose=0,
    )
    np.savez(f"{directory}.npz", *task.model.get_weights())


def train_boxes(people, directory, strategy=None):
    task = boxes_task(people)
    log = train(task, directory, strategy=strategy, sync_batch_norm=True, loggers=[], verbose=0)
    np.savez(f"{directory}.npz", *task.model.get_weights(), [log[-1][name] for name in PARTS])


def train_student(people, directory, strategy=None):
    task = student_task(people, f"{directory}_teacher.keras")
    train(task, directory, strategy=strategy, loggers=[], verbose=0)
    np.savez(f"{directory}.npz", *task.model.get_weights())


def run_mirrored(people, directory):
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with eager_training():
        run(directory, strategy)
        train_boxes(people, directory.parent / "boxes", strategy)
        train_student(people, directory.parent / "student", strategy)


def run_worker(directory, places, index, dies=False):
    config = {"cluster": {"worker": places}, "task": {"type": "worker", "index": index}}
    os.environ["TF_CONFIG"] = json.dumps(config)
    run(directory / str(index), open_strategy("multi_worker"), [Killer()] if dies else [])


def free_places():
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def fork(function, *arguments, **named):
    if child := os.fork():
        return child
    try:
        function(*arguments, **named)
    except ConnectionError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(3)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def fork_workers(directory, dies):
    places = free_places()
    return [fork(run_worker, directory, places, i, dies=dies and i == 1) for i in range(2)]


def wait(children):
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def main(directory, *people):
    if keras.backend.backend() == "jax":
        run(directory / "jax", open_strategy("data_parallel"))
        return
    killed = fork_workers(directory, dies=True)
    codes = [wait([fork(run_mirrored, people, directory / "mirrored")]), wait(killed)]
    print(json.dumps([*codes, wait(fork_workers(directory, dies=False))]))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
