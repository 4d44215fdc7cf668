"""Hard swish for int8, where runtimes look it up element by element: as a sum and a product."""

import keras
import numpy as np
from keras import layers

from keras_shufflenet.export.lowering.nodes import Graph, Node, Plain, Swish
from keras_shufflenet.export.lowering.scaling import absorbing, divide

SIXTH = 6.0  # hard swish is x · relu6(x + 3) / 6


def spell_hard_swish(graph: Graph) -> None:
    """Write hard swish as x · relu6(x + 3), where its readers can be divided by 6 instead."""
    absorbed = absorbing(graph)
    factors = np.ones(absorbed.size)
    for index, node in enumerate(graph.nodes):
        if _is_hard_swish(node) and absorbed[node.references].all():
            graph.nodes[index] = Swish(**vars(node))
            factors[node.references] = SIXTH
    divide(graph, factors)


def _is_hard_swish(node: Node) -> bool:
    return (
        isinstance(node, Plain)
        and isinstance(node.layer, layers.Activation)
        and node.layer.activation is keras.activations.hard_silu
    )
