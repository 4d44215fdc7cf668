"""Channels may be multiplied by positive numbers where all their readers can be divided by them."""

import numpy as np
from keras import layers

from keras_shufflenet.export.optimization.nodes import Conv, Dense, Depthwise, Graph, Node, Plain

HOMOGENEOUS = (
    layers.AveragePooling2D,
    layers.Cropping2D,
    layers.Flatten,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.MaxPooling2D,
    layers.Multiply,
    layers.Reshape,
    layers.UpSampling2D,
    layers.ZeroPadding2D,
)


def absorbing(graph: Graph) -> np.ndarray:
    """For each reference whether all that read it can be divided by a factor of it."""
    absorbed = np.ones(graph.nodes[-1].base + graph.nodes[-1].channels, bool)
    for output in graph.outputs:
        absorbed[output] = False
    for node in reversed(graph.nodes):
        if isinstance(node, Plain) and isinstance(node.layer, HOMOGENEOUS):
            for read in node.reads:
                absorbed[read] &= absorbed[node.references]
        elif not isinstance(node, (Conv, Depthwise, Dense)):
            for read in node.reads:
                absorbed[read] = False
    return absorbed


def divide(graph: Graph, factors: np.ndarray) -> None:
    """Divide the kernels of all readers.

    Args:
        graph: to change.
        factors: for each reference what its channel was multiplied by, 1 where that is not
            `absorbing`. Those of pooling and the like are filled in.
    """
    for node in graph.nodes:
        _follow(node, factors)


def _follow(node: Node, factors: np.ndarray) -> None:
    """Divide a node's kernel by what it reads is multiplied by, or pass the factors on."""
    if isinstance(node, Plain) and isinstance(node.layer, HOMOGENEOUS):
        factors[node.references] = np.prod([factors[read] for read in node.reads], axis=0)
    elif isinstance(node, Dense):
        node.kernel = node.kernel / factors[node.reads[0], np.newaxis]
    elif isinstance(node, (Conv, Depthwise)):
        _divide_inputs(node, factors[node.reads[0]])


def _divide_inputs(node: Conv | Depthwise, factors: np.ndarray) -> None:
    if isinstance(node, Depthwise) or node.config["groups"] == 1:
        node.kernel = node.kernel / factors[:, np.newaxis]
    else:  # each output channel has the inputs of its group
        groups = node.config["groups"]
        by_group = np.repeat(factors.reshape(groups, -1).T, node.channels // groups, axis=1)
        node.kernel = node.kernel / by_group
