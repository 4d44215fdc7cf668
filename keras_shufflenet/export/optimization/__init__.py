"""Lowering: an exactly equivalent network for inference, in the form that mobile runtimes run fast.

Normalisations are folded into convolutions, channel shuffles and splits become contiguous slices
of producers whose channels are sorted by their readers, transposed convolutions become interleaved
convolutions, concatenations have four inputs at most.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

from keras_shufflenet.export.optimization.balance import balance
from keras_shufflenet.export.optimization.emit import Emission
from keras_shufflenet.export.optimization.equalize import equalize
from keras_shufflenet.export.optimization.fold import fold
from keras_shufflenet.export.optimization.order import choose_orders
from keras_shufflenet.export.optimization.ranges import METHODS
from keras_shufflenet.export.optimization.spelling import spell
from keras_shufflenet.export.optimization.steps import functional, size
from keras_shufflenet.export.optimization.trace import GraphOptimizationError, Trace
from keras_shufflenet.export.options import check_choice, check_images

__all__ = ["METHODS", "GraphOptimizationError", "is_worth_it", "lower"]

MOST_GROWTH = 3  # in operations; a network that needs more slices is better off as it is


def optimize_for_inference(
    model: keras.Model, images: np.ndarray | None = None, method: str = "mse"
) -> keras.Model:
    """Rewrite a model for inference.

    Args:
        model: a functional model of this package's layers, or one that has such models inside;
            channels last. It is not changed.
        images: (N, H, W, 3) as the model takes them, for a network that is to be quantized: the
            ranges of what is concatenated become one, with a clip that is found on these images,
            channels of depthwise convolutions get like ranges, and what has no fast integer
            operator is spelled out. None for an equivalent network.
        method: how the clip is found: "mse" (least squared error of rounding and clipping),
            "min_max" (the greatest value) or "moving_average" (of the images' greatest values).

    Returns:
        A functional model with the same inputs and, up to rounding, the same outputs, of few kinds
        of layers: convolutions with bias, slices and concatenations of channels, pooling.

    Raises:
        GraphOptimizationError: (a ValueError) if the model is not functional, or holds a layer that is not
            known here.
        ValueError: for another method, or images that the model does not take.
    """
    check_choice("method", method, tuple(METHODS))
    network = functional(model)
    if network is None:
        raise GraphOptimizationError(
            "Only functional models and sequences of layers can be lowered. "
            f"Received: {type(model).__name__}"
        )
    if images is not None and isinstance(model.input_shape, tuple):
        check_images("images", images, model.input_shape[1:3])
    graph = Trace(network).graph
    fold(graph)
    if images is not None:
        spell(graph)
    choose_orders(graph)
    emission = Emission(graph)
    with _float32_policy():
        lowered = emission.write(model.name)
    if images is not None:
        equalize(graph, lowered, emission.assign, images, method)
        balance(graph, lowered, emission.assign, images)
    return lowered


def is_worth_it(model: keras.Model, lowered: keras.Model) -> bool:
    """Whether a network needs few enough slices to be faster when it is lowered."""
    network = functional(model)
    assert network is not None  # it was lowered
    return size(lowered) <= MOST_GROWTH * size(network)


@contextmanager
def _float32_policy() -> Iterator[None]:
    """Layers made inside compute in float32, whatever the policy."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
