"""Steps of fine-tuning in Keras and in PyTorch, each in a process of its own, timed in turn.

In one process the threads of both frameworks would take the cores from each other.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import tensorflow as tf
import torch

from keras_shufflenet.benchmark.interleaved import Latency, measure_interleaved
from keras_shufflenet.training import ClassificationTask
from torch_shufflenet import as_torch, pretrained, torch_step

Batch = tuple[np.ndarray, np.ndarray]  # images (N, H, W, 3) 0..255 and classes (N,)
WARM_UP = 5  # steps


def step_times(
    task: ClassificationTask, state: dict[str, np.ndarray], batch: Batch, iterations: int
) -> dict[str, Latency]:
    """Time steps of training, of AdamW in float32, here and in PyTorch.

    Args:
        task: The training of the pretrained network, with AdamW.
        state: The network's weights with torchvision's names.
        batch: The images and classes of every step.
        iterations: Number of timed steps of each.

    Returns:
        Latencies of "keras" and "torch".
    """
    with ExitStack() as stack:
        steps = {
            "keras": stack.enter_context(_process(_serve_keras, task, batch)),
            "torch": stack.enter_context(_process(_serve_torch, state, batch)),
        }
        return measure_interleaved(steps, iterations)


@contextmanager
def _process(serve: Callable[..., None], *arguments: Any) -> Iterator[Callable[[], None]]:
    """Start a process, and yield what takes a step in it."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, *arguments), daemon=True)
    process.start()
    there.close()

    def step() -> None:
        here.send(None)
        here.recv()

    for _ in range(WARM_UP):
        step()
    yield step
    here.close()
    process.join()


def _serve_keras(connection: Connection, task: ClassificationTask, batch: Batch) -> None:
    """Take steps of Keras whenever one is requested."""
    images, true = batch
    twin = task.training_model()
    task.compile(twin)
    targets = tf.one_hot(true, task.model.output_shape[-1])
    tensors = tf.constant(images), targets
    _serve(connection, lambda: twin.train_on_batch(*tensors))


def _serve_torch(connection: Connection, state: dict[str, np.ndarray], batch: Batch) -> None:
    """Take steps of PyTorch whenever one is requested."""
    images, true = batch
    network = pretrained(state, int(true.max()) + 1).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    tensors = as_torch(images), torch.from_numpy(np.array(true))
    _serve(connection, lambda: torch_step(network, optimizer, *tensors))


def _serve(connection: Connection, step: Callable[[], object]) -> None:
    while True:
        try:
            connection.recv()
        except EOFError:
            return
        step()
        connection.send(None)
