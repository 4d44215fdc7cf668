"""Optimization of a network for inference: an equivalent graph that mobile runtimes run fast.

Normalizations are folded into convolutions, channel shuffles and splits become contiguous slices
of tensors whose channels are sorted by their readers, transposed convolutions become interleaved
convolutions, and concatenations have at most four inputs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np

from keras_shufflenet._checks import check_choice
from keras_shufflenet._keras_private import functional
from keras_shufflenet.export.optimization.channel_order import choose_orders
from keras_shufflenet.export.optimization.decompose import decompose
from keras_shufflenet.export.optimization.emit import Emission
from keras_shufflenet.export.optimization.equalization import (
    METHODS,
    equalize_across_layers,
    unify_concat_scales,
)
from keras_shufflenet.export.optimization.fold import fold
from keras_shufflenet.export.optimization.functional_graph import size
from keras_shufflenet.export.optimization.trace import GraphOptimizationError, Trace
from keras_shufflenet.export.representative import check_images

__all__ = ["METHODS", "GraphOptimizationError", "is_worth_it", "optimize_for_inference"]

MAX_GROWTH = 3  # in operations; with more slices the network is slower than the original


def optimize_for_inference(
    model: keras.Model, images: np.ndarray | None = None, method: str = "mse"
) -> keras.Model:
    """Rewrite a model into an equivalent one for inference.

    Args:
        model: A functional or sequential model of the layers that this package uses, or one with
            such models inside; channels last. It is not changed.
        images: Representative images (N, H, W, 3) if the network will be quantized to int8: ReLU
            activations are clipped, and everything that is concatenated gets a common range;
            cross-layer equalization brings the channels of depthwise convolutions to similar
            ranges; operators without fast integer kernels are decomposed. None to preserve the
            outputs up to rounding.
        method: How the clipping limit is found: "mse" (least squared error of rounding and
            clipping), "min_max" (the maximum) or "moving_average" (of the images' maxima).

    Returns:
        A functional model with the same inputs and outputs and few kinds of layers: convolutions
        with bias, slices and concatenations of channels, pooling. What a model carries beside its
        weights (class names, keypoints, the encoding of heatmaps) is not in it: pass it on, as
        `codec` and `skeleton` of `PosePredictor.load`. The exports take it from `model`.

    Raises:
        GraphOptimizationError: (a ValueError) If the model is not functional, or has a layer that
            is not supported.
        ValueError: If there is no such method, or the images do not fit the model.
    """
    check_choice("method", method, METHODS)
    network = functional(model)
    if network is None:
        raise GraphOptimizationError(
            f"`model` must be functional or sequential. Received: {type(model).__name__}"
        )
    if images is not None and isinstance(model.input_shape, tuple):
        check_images("images", images, model.input_shape[1:])
    graph = Trace(network).graph
    graph.drop_unread()
    fold(graph)
    if images is not None:
        decompose(graph)
    choose_orders(graph)
    emission = Emission(graph)
    with _float32_policy():
        network = emission.write(model.name)
    _check_outputs(network, model)
    if images is not None:
        unify_concat_scales(graph, network, emission.assign, images, method)
        equalize_across_layers(graph, network, emission.assign, images)
    return network


def _check_outputs(network: keras.Model, model: keras.Model) -> None:
    """Raise GraphOptimizationError unless the outputs have the shapes of the model's."""
    made, own = ([x.shape[1:] for x in each.outputs] for each in (network, model))
    if made != own:
        raise GraphOptimizationError(
            "The outputs must keep their shapes: the model reshapes them in an unknown way. "
            f"Received: outputs of shapes {own} that became {made}"
        )


def is_worth_it(model: keras.Model, optimized: keras.Model) -> bool:
    """Return whether an optimized network has few enough slices to be faster than the model."""
    network = functional(model)
    assert network is not None  # it was optimized
    return size(optimized) <= MAX_GROWTH * size(network)


@contextmanager
def _float32_policy() -> Iterator[None]:
    """Let new layers compute in float32, whatever the dtype policy."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
