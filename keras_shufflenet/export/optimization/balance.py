"""Channels of depthwise convolutions brought to like ranges, at the cost of the kernels behind.

An output has one scale for all of its channels, a kernel behind it one for each of its outputs: a
channel with a small range loses its bits in the first, one with small weights in the second. What
a channel is multiplied by, its readers are divided by, and the network stays the same.

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
https://arxiv.org/abs/1906.04721, section 4.1; the ranges of outputs are those of real images.
"""

from collections.abc import Callable

import keras
import numpy as np

from keras_shufflenet.export.optimization.nodes import Conv, Dense, Depthwise, Graph
from keras_shufflenet.export.optimization.scaling import divide

BATCH = 8
MOST = 16.0  # of a factor, and one over it of the least


def balance(
    graph: Graph, lowered: keras.Model, assign: Callable[[], None], images: np.ndarray
) -> None:
    """Scale the outputs of depthwise convolutions whose every channel is read by kernels alone.

    Args:
        graph: to change.
        lowered: its model.
        assign: brings the model up to the graph.
        images: (N, H, W, 3) as the model takes them.
    """
    weights = _greatest_weights(graph)
    nodes = [
        node
        for node in graph.nodes
        if isinstance(node, Depthwise)
        and node.activation == "linear"
        and (weights[node.references] > 0).all()
    ]
    if not nodes:
        return
    factors = np.ones(weights.size)
    for node, outputs in zip(nodes, _greatest_outputs(nodes, lowered, images), strict=True):
        ranges = np.maximum(outputs, outputs.max() / 2**8)
        wanted = np.sqrt(weights[node.references] / ranges)
        wanted /= np.exp(np.log(wanted).mean())
        factors[node.references] = np.clip(wanted, 1 / MOST, MOST)
        node.scale(factors[node.references], np.zeros(node.channels))
    divide(graph, factors)
    assign()


def _greatest_outputs(
    nodes: list[Depthwise], lowered: keras.Model, images: np.ndarray
) -> list[np.ndarray]:
    """For each node the greatest magnitudes of its channels on the images."""
    probe = keras.Model(lowered.inputs, [lowered.get_layer(node.name).output for node in nodes])
    greatest = [np.zeros(node.channels) for node in nodes]
    for start in range(0, len(images), BATCH):
        outputs = keras.tree.flatten(probe([images[start : start + BATCH]], training=False))
        for node, output, most in zip(nodes, outputs, greatest, strict=True):
            found = keras.ops.convert_to_numpy(keras.ops.max(keras.ops.abs(output), axis=(0, 1, 2)))
            most[node.order] = np.maximum(most[node.order], found)
    return greatest


def _greatest_weights(graph: Graph) -> np.ndarray:
    """For each reference the greatest weight that it meets, in units of the kernel's scales.

    0 where anything but ungrouped convolutions and dense layers reads it.
    """
    last = graph.nodes[-1]
    greatest = np.zeros(last.base + last.channels)
    barred = np.zeros(greatest.size, bool)
    for output in graph.outputs:
        barred[output] = True
    for node in graph.nodes:
        for read in node.reads:
            if isinstance(node, Dense) or (isinstance(node, Conv) and node.config["groups"] == 1):
                kernel = np.abs(node.kernel).reshape(-1, *node.kernel.shape[-2:])
                scales = np.maximum(kernel.max(axis=(0, 1)), np.finfo(np.float32).tiny)
                np.maximum.at(greatest, read, (kernel / scales).max(axis=(0, 2)))
            else:
                barred[read] = True
    return np.where(barred, 0, greatest)
