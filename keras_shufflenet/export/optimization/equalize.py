"""One range for what is concatenated, so that int8 needs no re-quantization in between.

LiteRT wants the inputs and the output of a concatenation to have one scale, and puts a QUANTIZE in
front of every other one. ReLU is homogeneous: a channel before it may be multiplied by any positive
number if its readers are divided by it. Multiplied so that the greatest output on real images of
the channels that are read together becomes 6, and with ReLU6 in the place of ReLU, all that is
concatenated has the range 0..6 exactly. A network's own ReLU6 is so cut off at less than 6.
"""

from collections.abc import Callable

import keras
import numpy as np

from keras_shufflenet.export.optimization.nodes import Conv, Depthwise, Graph
from keras_shufflenet.export.optimization.order import groups
from keras_shufflenet.export.optimization.ranges import METHODS, Groups, Probe
from keras_shufflenet.export.optimization.scaling import absorbing, divide

RANGE = 6.0  # of ReLU6
MARGIN = 1.02  # of what is cut off, so that corrected biases leave the range as it is
MOST_PASSES = 3
DEAD = 1e-3  # channels that stay below say nothing; scaled up they would be noise


def equalize(
    graph: Graph,
    lowered: keras.Model,
    assign: Callable[[], None],
    images: np.ndarray,
    method: str,
) -> None:
    """Scale every convolution that ends in ReLU or ReLU6 and whose readers can be scaled back.

    A clip moves what comes behind by a little, hence the repetitions.

    Args:
        graph: to change.
        lowered: its model.
        assign: brings the model up to the graph.
        images: (N, H, W, 3) as the model takes them.
        method: of `ranges.METHODS`, that finds the clips.
    """
    absorbed = absorbing(graph)
    grouped: Groups = {
        node: groups(graph, node)
        for node in graph.nodes
        if isinstance(node, (Conv, Depthwise))
        and node.activation in ("relu", "relu6")
        and absorbed[node.references].all()
    }
    if not grouped:
        return
    probe = Probe(lowered, grouped, images)
    references = np.concatenate([node.references for node in grouped])
    for number in range(MOST_PASSES):
        limits = probe.greatest() if number else METHODS[method](probe)
        factors = np.ones(absorbed.size)
        scaled = (limits > DEAD) & (limits != RANGE)
        factors[references[scaled]] = MARGIN * RANGE / limits[scaled]
        if not scaled.any():
            break
        for node in grouped:
            node.scale(factors[node.references], np.zeros(node.channels))
            node.activation = "relu6"
        divide(graph, factors)
        assign()
