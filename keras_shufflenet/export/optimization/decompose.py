"""Decomposition of layers without fast integer kernels into layers that have them."""

from typing import TypeGuard

import keras
import numpy as np
from keras import layers

from keras_shufflenet.export.optimization.equalization import absorbing, divide
from keras_shufflenet.export.optimization.graph import (
    RELU_NAMES,
    Depthwise,
    Graph,
    Node,
    Plain,
    Swish,
    Weighted,
)

SIXTH = 6.0  # hard swish is x · relu6(x + 3) / 6


def decompose(graph: Graph) -> None:
    """Rewrite a graph that will be quantized.

    Hard swish, otherwise a table lookup for each element, becomes x · relu6(x + 3) where its
    readers can be divided by 6 instead. Average pooling becomes a depthwise convolution, and so
    does a ReLU of feature maps that others read without it.
    """
    absorbed = absorbing(graph)
    factors = np.ones(absorbed.size)
    for index, node in enumerate(graph.nodes):
        if _is_hard_swish(node) and absorbed[node.references].all():
            graph.nodes[index] = Swish(**vars(node))
            factors[node.references] = SIXTH
        elif _is_average(node):
            graph.nodes[index] = _averaging(node)
        elif _is_second_reader(node, graph):
            graph.nodes[index] = _rectifying(node)
    divide(graph, factors)


def _is_hard_swish(node: Node) -> bool:
    return (
        isinstance(node, Plain)
        and isinstance(node.layer, layers.Activation)
        and node.layer.activation is keras.activations.hard_silu
    )


def _is_average(node: Node) -> TypeGuard[Plain]:
    """Return whether all averages are taken over equally many pixels."""
    return (
        isinstance(node, Plain)
        and isinstance(node.layer, layers.AveragePooling2D)
        and node.layer.padding == "valid"
    )


def _is_second_reader(node: Node, graph: Graph) -> TypeGuard[Plain]:
    """Return whether it is the ReLU of a convolution that it cannot be folded into."""
    if not (isinstance(node, Plain) and isinstance(node.layer, layers.ReLU)):
        return False
    layer = node.layer
    plain = not layer.negative_slope and not layer.threshold
    maker = graph.maker(node.reads[0])
    return plain and layer.max_value in RELU_NAMES and isinstance(maker, Weighted)


def _rectifying(node: Plain) -> Depthwise:
    return Depthwise(
        name=node.name,
        reads=node.reads,
        channels=node.channels,
        base=node.base,
        kernel=np.ones((1, 1, node.channels, 1)),
        bias=np.zeros(node.channels),
        activation=RELU_NAMES[node.layer.max_value],
        config={"strides": (1, 1), "padding": "valid", "dilation_rate": (1, 1)},
    )


def _averaging(node: Plain) -> Depthwise:
    size = node.layer.pool_size
    return Depthwise(
        name=node.name,
        reads=node.reads,
        channels=node.channels,
        base=node.base,
        kernel=np.full((*size, node.channels, 1), 1 / np.prod(size)),
        bias=np.zeros(node.channels),
        config={"strides": node.layer.strides, "padding": "valid", "dilation_rate": (1, 1)},
    )
