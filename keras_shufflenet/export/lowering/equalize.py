"""One range for what is concatenated, so that int8 needs no re-quantization in between.

LiteRT wants the inputs and the output of a concatenation to have one scale, and puts a QUANTIZE in
front of every other one. ReLU is homogeneous: a channel before it may be multiplied by any positive
number if its readers are divided by it. Multiplied so that the greatest output on real images of
the channels that are read together becomes 6, and with ReLU6 in the place of ReLU, all that is
concatenated has the range 0..6 exactly.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_shufflenet.export.lowering.nodes import Conv, Depthwise, Graph, Node
from keras_shufflenet.export.lowering.order import groups
from keras_shufflenet.export.lowering.scaling import absorbing, divide

RANGE = 6.0  # of ReLU6
MARGIN = 1 + 1e-4  # so that rounding never leaves the greatest output below
MOST_PASSES = 3
DEAD = 1e-3  # channels that stay below say nothing; scaled up they would be noise
BATCH = 8


def equalize(
    graph: Graph, lowered: keras.Model, assign: Callable[[], None], images: np.ndarray
) -> None:
    """Scale every convolution that ends in ReLU and whose readers can be scaled back.

    A clip moves what comes behind by a little, hence the repetitions.

    Args:
        graph: to change.
        lowered: its model.
        assign: brings the model up to the graph.
        images: (N, H, W, 3) as the model takes them.
    """
    absorbed = absorbing(graph)
    nodes = [
        node
        for node in graph.nodes
        if isinstance(node, (Conv, Depthwise))
        and node.activation == "relu"
        and absorbed[node.references].all()
    ]
    if not nodes:
        return
    grouped = {node: groups(graph, node) for node in nodes}
    probe = _probe(lowered, nodes)
    for _ in range(MOST_PASSES):
        factors = np.ones(absorbed.size)
        for node, greatest in zip(nodes, _greatest(probe, nodes, images), strict=True):
            for group in grouped[node]:
                limit = greatest[group].max()
                if limit > DEAD and limit != RANGE:
                    factors[node.base + group] = MARGIN * RANGE / limit
        if np.all(factors == 1):
            break
        for node in nodes:
            node.scale(factors[node.references], np.zeros(node.channels))
            node.activation = "relu6"
        divide(graph, factors)
        assign()


def _probe(lowered: keras.Model, nodes: Sequence[Node]) -> Any:
    """A function from images to the greatest output of each channel of each node."""
    outputs = [lowered.get_layer(node.name).output for node in nodes]
    return keras.Model(
        lowered.inputs, [keras.ops.max(output, axis=(0, 1, 2)) for output in outputs]
    )


def _greatest(probe: Any, nodes: Sequence[Node], images: np.ndarray) -> list[np.ndarray]:
    """The greatest output of each channel of each node over the images."""
    greatest = [np.zeros(node.channels) for node in nodes]
    for start in range(0, len(images), BATCH):
        found = keras.tree.flatten(probe([images[start : start + BATCH]], training=False))
        for node, so_far, batch in zip(nodes, greatest, found, strict=True):
            so_far[node.order] = np.maximum(so_far[node.order], keras.ops.convert_to_numpy(batch))
    return greatest
