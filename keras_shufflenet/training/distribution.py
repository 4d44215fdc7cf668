"""Where a training runs: on one device, on all of a machine, or on several machines.

`Distribution` is what the trainer needs to know of it. All are data parallel: every replica has all
variables and a part of each batch, and the parts of all are the batch of a single process.
"""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import keras
import numpy as np

from keras_shufflenet._checks import check_choice
from keras_shufflenet._keras_private import build_for
from keras_shufflenet.training.train_step import set_train_step

STRATEGIES = ("mirrored", "multi_worker", "data_parallel")

Strategy = (
    Any  # a name of STRATEGIES, a tf.distribute.Strategy or a keras.distribution.DataParallel
)


class Distribution:
    """A single process on its default device; the base of the others.

    Attributes:
        is_chief: Whether this process writes the files.
        shard: (index, count): which part of each batch this process reads.
    """

    is_chief = True
    shard = (0, 1)

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context in which models and optimizers are created."""
        return contextlib.nullcontext()

    def fit_scope(self) -> AbstractContextManager[Any]:
        """Return the context of `fit`."""
        return contextlib.nullcontext()

    def prepare(self, model: keras.Model, accumulation_steps: int) -> None:
        """Give a compiled model the step that it is trained with."""
        if accumulation_steps > 1:
            _check_tensorflow("accumulation_steps", accumulation_steps)
            set_train_step(model, accumulation_steps)

    def distribute(self, dataset: Any, model: keras.Model) -> Any:
        """Return the dataset for `fit`, of a dataset of this process' part of the batches."""
        return dataset

    def share(self, values: list[np.ndarray]) -> list[np.ndarray]:
        """Return the values that the chief passes; all workers call it with the same shapes."""
        return values

    def synchronize(self, model: keras.Model) -> int:
        """Give all workers the variables of the chief, and return the number of steps done."""
        return _steps_done(model)


class TensorFlowDistribution(Distribution):
    """`tf.distribute.MirroredStrategy` or `MultiWorkerMirroredStrategy`.

    Args:
        strategy: The strategy.
    """

    def __init__(self, strategy: Any) -> None:
        self.strategy = strategy
        self._replicas = len(strategy.extended.worker_devices)
        self._workers = strategy.num_replicas_in_sync // self._replicas
        resolver = strategy.cluster_resolver
        index = 0
        if self._workers > 1:
            has_chief = "chief" in resolver.cluster_spec().jobs
            index = resolver.task_id + (has_chief and resolver.task_type == "worker")
        self.is_chief, self.shard = index == 0, (index, self._workers)

    def scope(self) -> AbstractContextManager[Any]:
        """Return the scope of the strategy."""
        return self.strategy.scope()

    def prepare(self, model: keras.Model, accumulation_steps: int) -> None:
        """Set the step of several replicas."""
        set_train_step(model, accumulation_steps, self.strategy)

    def distribute(self, dataset: Any, model: keras.Model) -> Any:
        """Return the dataset of all replicas of this process."""
        import tensorflow as tf

        parts = dataset
        if self._replicas > 1:
            parts = dataset.map(self._split).unbatch()
        parts = parts.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        build_for(model, self.strategy, parts.element_spec)
        return self.strategy.distribute_datasets_from_function(lambda _: parts)

    def _split(self, *batch: Any) -> Any:
        """Return the parts of a batch, one for each replica of this process."""
        import tensorflow as tf

        size = tf.shape(tf.nest.flatten(batch)[0])[0]
        check = tf.debugging.Assert(
            size % self._replicas == 0,
            [
                f"The batch size must be a multiple of the {self._replicas} devices that share a "
                f"batch. Received: a batch of",
                size,
            ],
        )
        with tf.control_dependencies([check]):
            part = size // self._replicas

        def split(x: Any) -> Any:
            return tf.reshape(x, tf.concat([[self._replicas, part], tf.shape(x)[1:]], 0))

        def typed(x: Any) -> Any:
            return tf.ensure_shape(split(x), (self._replicas, None, *x.shape[1:]))

        return tf.nest.map_structure(typed, batch)

    def share(self, values: list[np.ndarray]) -> list[np.ndarray]:
        """Return the chief's values by a sum to which the others add 0."""
        if self._workers == 1:
            return values
        # All in one, of a type that has the integers, too.
        flat = np.concatenate([value.astype(np.float64).ravel() for value in values])
        shared = np.split(self._first(flat), np.cumsum([value.size for value in values])[:-1])
        return [
            found.reshape(value.shape).astype(value.dtype)
            for found, value in zip(shared, values, strict=True)
        ]

    def _first(self, values: np.ndarray) -> np.ndarray:
        """Return the values of the first replica."""
        import tensorflow as tf

        def add(own: Any) -> Any:
            context = tf.distribute.get_replica_context()
            is_first = context.replica_id_in_sync_group == 0
            chosen = tf.where(is_first, own, tf.zeros_like(own))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, chosen)

        total = self.strategy.run(add, args=(tf.constant(values),))
        return self.strategy.experimental_local_results(total)[0].numpy()

    def synchronize(self, model: keras.Model) -> int:
        """Give all workers the variables of the chief."""
        if self._workers > 1:
            variables = [*model.variables, *model.optimizer.variables]
            values = [np.asarray(keras.ops.convert_to_numpy(v)) for v in variables]
            for variable, value in zip(variables, self.share(values), strict=True):
                variable.assign(value)
        return _steps_done(model)


class JaxDistribution(Distribution):
    """`keras.distribution.DataParallel` on the devices of this process, with JAX.

    Args:
        distribution: The distribution.
    """

    def __init__(self, distribution: Any) -> None:
        self.distribution = distribution

    def scope(self) -> AbstractContextManager[Any]:
        """Return the scope of the distribution."""
        return self.distribution.scope()

    def fit_scope(self) -> AbstractContextManager[Any]:
        """Return the scope of the distribution, by which `fit` shards the batches."""
        return self.distribution.scope()


def open_strategy(name: str | None) -> Any:
    """Return the strategy of a name.

    That of several workers starts the servers by which they find each other, and must be opened
    before TensorFlow computes anything.

    Args:
        name: One of `STRATEGIES`, or None.

    Raises:
        RuntimeError: If TensorFlow has computed before workers are connected.
        ValueError: If there is no such strategy, or the backend is another one.
    """
    if name is None:
        return None
    check_choice("strategy", name, STRATEGIES)
    if name == "data_parallel":
        if keras.backend.backend() != "jax":
            raise ValueError(
                "`strategy` must be mirrored or multi_worker with TensorFlow; data_parallel is "
                f"JAX's. Received: strategy={name!r} and the backend {keras.backend.backend()}"
            )
        return keras.distribution.DataParallel()
    _check_tensorflow("strategy", name)
    return _tensorflow_strategy(name)


@cache
def _tensorflow_strategy(name: str) -> Any:
    """Return the strategy of this process: two of them would mistake each other's tensors."""
    import tensorflow as tf

    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise RuntimeError(
            "The strategy multi_worker must be opened before TensorFlow computes anything: call "
            "open_strategy('multi_worker') before the model is built, and pass what it returns. "
            f"Received: {error}"
        ) from error


def find_distribution(strategy: Strategy) -> Distribution:
    """Return how a training is distributed.

    Args:
        strategy: One of `STRATEGIES`, a `tf.distribute.Strategy`, a
            `keras.distribution.DataParallel`, or None for the default device.

    Raises:
        ValueError: If it is none of these.
    """
    opened = open_strategy(strategy) if isinstance(strategy, str) else strategy
    if opened is None:
        return Distribution()
    if isinstance(opened, keras.distribution.DataParallel):
        return JaxDistribution(opened)
    if hasattr(opened, "num_replicas_in_sync") and hasattr(opened.extended, "worker_devices"):
        return TensorFlowDistribution(opened)
    raise ValueError(
        f"`strategy` must be one of {', '.join(STRATEGIES)}, a tf.distribute.Strategy or a "
        f"keras.distribution.DataParallel. Received: strategy={strategy!r}"
    )


class FollowChief(keras.callbacks.Callback):
    """End the training of all workers after an epoch if that of the chief ends.

    Args:
        distribution: That of the training.
    """

    def __init__(self, distribution: Distribution) -> None:
        super().__init__()
        self.distribution = distribution

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Ask the chief."""
        self.model.stop_training = agree(self.distribution, self.model.stop_training)


def agree(distribution: Distribution, decision: bool) -> bool:
    """Return the decision of the chief."""
    (value,) = distribution.share([np.array(decision, np.int64)])
    return bool(value)


@contextlib.contextmanager
def lost_workers() -> Iterator[None]:
    """Raise ConnectionError where another worker is lost.

    Raises:
        ConnectionError: If a collective operation fails.
    """
    try:
        yield
    except Exception as error:
        if type(error).__name__ not in (
            "UnavailableError",
            "AbortedError",
            "DeadlineExceededError",
        ):
            raise
        raise ConnectionError(
            "All workers must run until the end; start all of them again by the same command, and "
            f"the training is resumed. Received: {str(error).splitlines()[0]}"
        ) from error


def _steps_done(model: keras.Model) -> int:
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


def _check_tensorflow(name: str, value: Any) -> None:
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"`{name}` needs the backend tensorflow. "
            f"Received: {name}={value!r} and the backend {keras.backend.backend()}"
        )
