"""Mixed precision: layers that compute in 16 bits, with variables and losses in float32.

The weights are float32 whatever the precision, so that the saved model is a plain float32 one. A
network computes in float32 where its numbers are pixels, up to its first layer with weights, and
from its last ones on: their outputs are heatmaps, logits or probabilities, and the loss is computed
of them. Batch normalization takes its statistics in float32.
"""

from typing import Any, Literal

import keras

from keras_shufflenet._checks import check_choice
from keras_shufflenet._keras_private import (
    LossScaling,
    calls,
    operation_of,
    reading_operations,
)

Precision = Literal["float32", "bfloat16", "float16"]

PRECISIONS = ("float32", "bfloat16", "float16")


def check_precision(precision: Any) -> None:
    """Raise ValueError unless it is one of `PRECISIONS`."""
    check_choice("precision", precision, PRECISIONS)


def set_precision(model: keras.Model, precision: Precision) -> None:
    """Let the layers of a functional model compute in a precision.

    Args:
        model: A functional model; its layers are changed.
        precision: One of `PRECISIONS`.
    """
    if precision == "float32":
        return
    for layer in inner_layers(model):
        layer.dtype_policy = f"mixed_{precision}"


def inner_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers between the first and the last ones with weights, the first among them."""
    own = list(calls(model))  # of a layer that is shared, such as a detector's head, several
    steps = [call.operation for call in own]
    outputs = set(map(operation_of, model.outputs))
    after: set[Any] = set()
    for call in own:
        parents = map(operation_of, call.input_tensors)
        if _has_weights(call.operation) or any(parent in after for parent in parents):
            after.add(call.operation)
    members, ends = set(steps), set[Any]()
    for step in reversed(steps):
        readers = [reader for reader in reading_operations(step) if reader in members]
        if step in outputs or all(each in ends and not _has_weights(each) for each in readers):
            ends.add(step)
    inner = [step for step in dict.fromkeys(steps) if step in after - ends]
    return [step for step in inner if isinstance(step, keras.Layer)]


def scale_losses(model: keras.Model, precision: Precision) -> None:
    """Scale the loss of a compiled model if its gradients would be too small for the precision."""
    if precision == "float16":
        model.optimizer = LossScaling(model.optimizer)


def updating_optimizer(optimizer: Any) -> keras.optimizers.Optimizer:
    """Return the optimizer that updates the variables: that inside of one that scales the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _has_weights(operation: Any) -> bool:
    """Return whether a layer has weights; means and variances of pixels do not count."""
    is_layer = isinstance(operation, keras.Layer)
    return (
        is_layer
        and bool(operation.weights)
        and not isinstance(operation, keras.layers.Normalization)
    )
