"""The training step of TensorFlow for several replicas and for gradients that are accumulated.

`fit` runs it in the place of Keras' own, with the same callbacks and metrics. Keras' own step would
do for neither: its optimizers count the parts of an accumulated batch as steps of the schedule and
of the averages; of several replicas each clips its own gradients, and float16 stops where one of
them overflows.
"""

from collections.abc import Callable
from typing import Any

import keras

from keras_shufflenet._keras_private import take_reduced_gradients
from keras_shufflenet.training.precision import updating_optimizer


def set_train_step(model: keras.Model, accumulation_steps: int, strategy: Any = None) -> None:
    """Give a compiled model its training step.

    Args:
        model: The compiled model.
        accumulation_steps: Number of parts of a batch that are computed one after another. The
            step has the mean of their gradients: that of the batch, if the loss is a mean over
            samples and no layer looks at other samples, as batch normalization does.
        strategy: The `tf.distribute.Strategy` under which the model was created; None for none.
    """

    def train_step(data: Any) -> dict[str, Any]:
        gradients = _gradients(model, data, accumulation_steps)
        if strategy is not None:
            import tensorflow as tf

            context = tf.distribute.get_replica_context()
            gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        model.optimizer.apply(gradients, model.trainable_variables)
        return model.get_metrics_result()

    model.train_step = train_step
    if strategy is not None:
        take_reduced_gradients(updating_optimizer(model.optimizer))
        model.train_function = _train_function(model, strategy)


def replica_count() -> int:
    """Return the number of replicas that share a batch where this is called."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def sum_over_replicas(value: Any) -> Any:
    """Return the sum of a number of all replicas, without gradient."""
    value = keras.ops.stop_gradient(value)
    if replica_count() == 1:
        return value
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return value if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def _gradients(model: keras.Model, data: Any, parts: int) -> list[Any]:
    """Return the gradients of a batch, multiplied by the scale of the loss; update the metrics."""
    import tensorflow as tf

    if parts == 1:
        return _gradients_of_part(model, data)
    size = tf.shape(tf.nest.flatten(data)[0])[0]
    whole = f"The batch of each device must be a multiple of the {parts} accumulation steps"
    check = tf.debugging.Assert(size % parts == 0, [f"{whole}. Received: a batch of", size])
    with tf.control_dependencies([check] if check is not None else []):
        size = tf.identity(size // parts)

    def add(index: Any, *sums: Any) -> Any:
        part = tf.nest.map_structure(lambda x: x[index * size : (index + 1) * size], data)
        added = zip(sums, _gradients_of_part(model, part), strict=True)
        return (index + 1, *(total + gradient / parts for total, gradient in added))

    zeros = [tf.zeros(v.shape, v.dtype) for v in model.trainable_variables]
    # One part after another: the memory of several would be that of the batch.
    if tf.distribute.has_strategy():  # replicas cannot meet within a loop
        sums = zeros
        for index in range(parts):
            with tf.control_dependencies(sums):
                _, *sums = add(tf.constant(index), *sums)
        return sums
    _, *sums = tf.while_loop(
        lambda index, *_: index < parts, add, (0, *zeros), parallel_iterations=1
    )
    return sums


def _gradients_of_part(model: keras.Model, data: Any) -> list[Any]:
    import tensorflow as tf

    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    variables = [v.value for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = model.compute_loss(x, y, y_pred, sample_weight, training=True)
        scaled = model.optimizer.scale_loss(loss)
    # Losses of replicas add up to that of the batch.
    count = tf.shape(tf.nest.flatten(x)[0])[0]
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(loss * replica_count(), sample_weight=count)
    model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
    none = tf.UnconnectedGradients.ZERO
    return tape.gradient(scaled, variables, unconnected_gradients=none)


def _train_function(model: keras.Model, strategy: Any) -> Callable[[Any], dict[str, Any]]:
    """Return what `fit` calls with its iterator: a step of all replicas, and the means of logs."""
    import tensorflow as tf

    names: list[str] = []

    @tf.autograph.experimental.do_not_convert
    def replica_step(data: Any) -> Any:
        logs = model.train_step(data)
        names[:] = logs
        return tf.stack([tf.cast(value, tf.float32) for value in logs.values()])

    def step(data: Any) -> Any:
        values = strategy.run(replica_step, args=(data,))
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, values, axis=None)

    run = step if model.run_eagerly else tf.function(step, autograph=False, reduce_retracing=True)

    def train_function(iterator: Any) -> dict[str, Any]:
        return dict(zip(names, tf.unstack(run(next(iterator))), strict=True))

    return train_function
