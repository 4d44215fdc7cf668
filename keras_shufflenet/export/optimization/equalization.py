"""Rescaling of channels before int8 quantization, which leaves the network equivalent.

A channel may be multiplied by any positive number if all of its readers can be divided by it.

* `unify_concat_scales`: LiteRT requires one scale for the inputs and the output of a concatenation
  and inserts QUANTIZE operators otherwise. ReLU activations are rescaled so that the clipping limit
  of all channels that are read together becomes 6, and ReLU becomes ReLU6: everything that is
  concatenated then has the range 0..6. A network's own ReLU6 is clipped below 6 that way.
* `equalize_across_layers`: a tensor has one scale for all of its channels, a kernel that reads it
  one for each of its output channels. A channel with a small range loses its bits in the former,
  one with small weights in the latter. Source: Nagel et al., "Data-Free Quantization Through Weight
  Equalization and Bias Correction", https://arxiv.org/abs/1906.04721, section 4.1; activation
  ranges are those of the representative images.
"""

from collections.abc import Callable, Iterator

import keras
import numpy as np
from keras import layers

from keras_shufflenet.export.optimization.channel_order import reader_groups
from keras_shufflenet.export.optimization.graph import (
    Conv,
    Dense,
    Depthwise,
    Graph,
    Node,
    Plain,
    Weighted,
)

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
    """Return for each reference whether all of its readers can be divided by a factor of it."""
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
        graph: The graph, which is changed.
        factors: Factor of the channel of each reference, 1 where that is not `absorbing`. Those of
            pooling and similar layers are filled in.
    """
    for node in graph.nodes:
        _follow(node, factors)


def _follow(node: Node, factors: np.ndarray) -> None:
    """Divide a node's kernel by the factors of its inputs, or propagate the factors."""
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


BATCH = 8
SMOOTHING = 0.95  # of the moving average, per image
STEPS = 2.0**8  # of int8
# Candidates, as fractions of the maximum; the limit of least squared error is taken.
FRACTIONS = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3])

Groups = dict[Weighted, list[np.ndarray]]  # the channels of each node that share a limit


class Probe:
    """Observes ReLU activations on representative images.

    Args:
        network: The model of the graph.
        groups: The channels that share a limit, for each node that ends in a ReLU.
        images: Representative images (N, H, W, 3).
    """

    def __init__(self, network: keras.Model, groups: Groups, images: np.ndarray) -> None:
        self._groups = groups
        self._images = images
        outputs = [network.get_layer(node.name).output for node in groups]
        self._model = keras.Model(network.inputs, outputs)

    def maximum(self) -> np.ndarray:
        """Return the limits that clip nothing: one for each channel, node after node."""
        return self._by_group(self._peaks().max(axis=0))

    def moving_average(self) -> np.ndarray:
        """Return the exponential moving averages of the images' maxima."""
        peaks = self._peaks()
        average = self._by_group(peaks[0])
        for image in peaks[1:]:
            average += (1 - SMOOTHING) * (self._by_group(image) - average)
        return average

    def least_squares(self) -> np.ndarray:
        """Return the limits of least squared error of rounding and clipping.

        The criterion is OCTAV's (Sakr et al., arXiv 2206.06501), evaluated for some candidates.
        """
        limits = self.maximum()
        candidates = limits * FRACTIONS[:, np.newaxis]
        counts, tails = np.zeros(limits.shape), np.zeros(candidates.shape)
        for outputs in self._run():
            start = 0
            for node, output in zip(self._groups, outputs, strict=True):
                own = slice(start, start := start + node.channels)
                counts[own] += _in_order(node, keras.ops.sum(output > 0, axis=(0, 1, 2)))
                for tail, limit in zip(tails, candidates[:, own], strict=True):
                    over = keras.ops.relu(output - limit[node.order].astype("float32"))
                    squares = keras.ops.sum(keras.ops.square(over), axis=(0, 1, 2))
                    tail[own] += _in_order(node, squares)
        errors = np.square(candidates / STEPS) / 12 * counts + tails
        summed = np.stack([self._by_group(error, np.sum) for error in errors])
        return np.take_along_axis(candidates, summed.argmin(axis=0)[np.newaxis], axis=0)[0]

    def _peaks(self) -> np.ndarray:
        """Return the maximum of each channel for each image."""
        batches = [
            np.concatenate(
                [
                    _in_order(node, keras.ops.max(output, axis=(1, 2)))
                    for node, output in zip(self._groups, outputs, strict=True)
                ],
                axis=1,
            )
            for outputs in self._run()
        ]
        return np.concatenate(batches)

    def _run(self) -> Iterator[list[keras.KerasTensor]]:
        for start in range(0, len(self._images), BATCH):
            batch = self._images[start : start + BATCH]
            yield keras.tree.flatten(self._model([batch], training=False))

    def _by_group(
        self, values: np.ndarray, reduce: Callable[[np.ndarray], float] = np.max
    ) -> np.ndarray:
        """Replace the value of each channel by that of its group."""
        start, result = 0, np.empty_like(values)
        for node, groups in self._groups.items():
            for group in groups:
                result[start + group] = reduce(values[start + group])
            start += node.channels
        return result


def _in_order(node: Weighted, values: keras.KerasTensor) -> np.ndarray:
    """Reorder values by channel in memory (last axis) to the layer's order."""
    array = keras.ops.convert_to_numpy(values)
    result = np.empty(array.shape)
    result[..., node.order] = array
    return result


METHODS: dict[str, Callable[[Probe], np.ndarray]] = {
    "min_max": Probe.maximum,
    "moving_average": Probe.moving_average,
    "mse": Probe.least_squares,
}


RANGE = 6.0  # of ReLU6
MARGIN = 1.02  # of the clipping limit, so that bias correction does not change the range
MAX_PASSES = 3
DEAD = 1e-3  # channels that stay below are inactive; rescaled they would be noise


def unify_concat_scales(
    graph: Graph,
    network: keras.Model,
    assign: Callable[[], None],
    images: np.ndarray,
    method: str,
) -> None:
    """Rescale ReLU activations to the range 0..6, so that concatenations need no requantization.

    Applies to every convolution that ends in ReLU or ReLU6 and whose readers can be divided.
    Clipping slightly changes later activations, hence the repetitions.

    Args:
        graph: The graph, which is changed.
        network: Its model.
        assign: Updates the model from the graph.
        images: Representative images (N, H, W, 3).
        method: One of `METHODS`, which finds the clipping limits.
    """
    absorbed = absorbing(graph)
    grouped: Groups = {
        node: reader_groups(graph, node)
        for node in graph.nodes
        if isinstance(node, (Conv, Depthwise))
        and node.activation in ("relu", "relu6")
        and absorbed[node.references].all()
    }
    if not grouped:
        return
    probe = Probe(network, grouped, images)
    references = np.concatenate([node.references for node in grouped])
    for number in range(MAX_PASSES):
        limits = _in_layers(probe.maximum() if number else METHODS[method](probe), grouped)
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


def _in_layers(limits: np.ndarray, nodes: Groups) -> np.ndarray:
    """Give the calls of a layer the same limits, so that they share a kernel in the file, too."""
    slices: dict[str, list[slice]] = {}
    start = 0
    for node in nodes:
        slices.setdefault(node.layer_name or node.name, []).append(
            slice(start, start := start + node.channels)
        )
    limits = limits.copy()
    for calls in slices.values():
        most = np.max([limits[own] for own in calls], axis=0)
        for own in calls:
            limits[own] = most
    return limits


BATCH = 8
MAX_FACTOR = 16.0  # and the reciprocal of the minimum


def equalize_across_layers(
    graph: Graph, network: keras.Model, assign: Callable[[], None], images: np.ndarray
) -> None:
    """Equalize the channels of depthwise convolutions that only kernels read.

    Args:
        graph: The graph, which is changed.
        network: Its model.
        assign: Updates the model from the graph.
        images: Representative images (N, H, W, 3).
    """
    weights = _max_weights(graph)
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
    for node, outputs in zip(nodes, _max_outputs(nodes, network, images), strict=True):
        ranges = np.maximum(outputs, outputs.max() / 2**8)
        wanted = np.sqrt(weights[node.references] / ranges)
        wanted /= np.exp(np.log(wanted).mean())
        factors[node.references] = np.clip(wanted, 1 / MAX_FACTOR, MAX_FACTOR)
        node.scale(factors[node.references], np.zeros(node.channels))
    divide(graph, factors)
    assign()


def _max_outputs(
    nodes: list[Depthwise], network: keras.Model, images: np.ndarray
) -> list[np.ndarray]:
    """Return the maximum magnitudes of the channels of each node on the images."""
    probe = keras.Model(network.inputs, [network.get_layer(node.name).output for node in nodes])
    greatest = [np.zeros(node.channels) for node in nodes]
    for start in range(0, len(images), BATCH):
        outputs = keras.tree.flatten(probe([images[start : start + BATCH]], training=False))
        for node, output, most in zip(nodes, outputs, greatest, strict=True):
            found = keras.ops.convert_to_numpy(keras.ops.max(keras.ops.abs(output), axis=(0, 1, 2)))
            most[node.order] = np.maximum(most[node.order], found)
    return greatest


def _max_weights(graph: Graph) -> np.ndarray:
    """Return the maximum weight that reads each reference, in units of the kernel's scales.

    0 where anything but ungrouped convolutions and dense layers reads it.
    """
    last = graph.nodes[-1]
    greatest = np.zeros(last.base + last.channels)
    excluded = np.zeros(greatest.size, bool)
    for output in graph.outputs:
        excluded[output] = True
    for node in graph.nodes:
        for read in node.reads:
            if isinstance(node, Dense) or (isinstance(node, Conv) and node.config["groups"] == 1):
                kernel = np.abs(node.kernel).reshape(-1, *node.kernel.shape[-2:])
                scales = np.maximum(kernel.max(axis=(0, 1)), np.finfo(np.float32).tiny)
                np.maximum.at(greatest, read, (kernel / scales).max(axis=(0, 2)))
            else:
                excluded[read] = True
    return np.where(excluded, 0, greatest)
