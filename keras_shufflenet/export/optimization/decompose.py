"""Decomposition of layers without fast integer kernels into layers that have them."""

from typing import TypeGuard

import keras
import numpy as np
from keras import layers

from keras_shufflenet.export.optimization.equalization import absorbing, divide
from keras_shufflenet.export.optimization.graph import Depthwise, Graph, Node, Plain, Swish

SIXTH = 6.0  # hard swish is x · relu6(x + 3) / 6


def decompose(graph: Graph) -> None:
    """Rewrite a graph that will be quantized.

    Hard swish, otherwise a table lookup for each element, becomes x · relu6(x + 3) where its
    readers can be divided by 6 instead. Average pooling becomes a depthwise convolution.
    """
    absorbed = absorbing(graph)
    factors = np.ones(absorbed.size)
    for index, node in enumerate(graph.nodes):
        if _is_hard_swish(node) and absorbed[node.references].all():
            graph.nodes[index] = Swish(**vars(node))
            factors[node.references] = SIXTH
        elif _is_average(node):
            graph.nodes[index] = _averaging(node)
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
