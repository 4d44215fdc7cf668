"""From a graph with ordered channels to a Keras model of slices, concatenations, convolutions."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_shufflenet._keras_private import operation_of
from keras_shufflenet.export.optimization.graph import (
    Conv,
    Deconv,
    Dense,
    Depthwise,
    Graph,
    Image,
    Node,
    Plain,
    References,
    Rows,
    Subtract,
    Swish,
    Weighted,
)
from keras_shufflenet.models.layers import channel_shuffle, channel_slice

CONCAT_INPUTS = 4  # XNNPACK's maximum
MAX_TAPS = 25  # of a depthwise kernel; XNNPACK is several times slower above
MAX_PIECES = 16  # with more, a single shuffle is cheaper if there is one
PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))  # of a pixel in a block of 2 × 2
# Taps of a transposed kernel of 4 that reach even and odd pixels, and their padding.
TAPS = ((3, 1), (2, 0))
PADDINGS = ((1, 0), (0, 1))

Arrays = Callable[[], tuple[np.ndarray, ...]]  # returns the current weights of a layer


class Emission:
    """Writes the model, node by node."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._bases = np.array([node.base for node in graph.nodes])
        self._tensors: dict[Node, keras.KerasTensor] = {}
        self._arranged: dict[bytes, keras.KerasTensor] = {}
        self._names: dict[str, int] = {}
        self._weights: list[tuple[keras.Layer, Weighted, Arrays]] = []

    def write(self, name: str) -> keras.Model:
        """Return the model with the weights of the nodes."""
        for node in self._graph.nodes:
            self._tensors[node] = WRITERS[type(node)](self, node)
        outputs = [self._exactly(output, "output") for output in self._graph.outputs]
        inputs = [self._tensors[node] for node in self._graph.nodes if isinstance(node, Image)]
        model = keras.Model(*(x[0] if len(x) == 1 else x for x in (inputs, outputs)), name=name)
        self.assign()
        return model

    def assign(self) -> None:
        """Assign the current weights and activations of the nodes to their layers."""
        for layer, node, arrays in self._weights:
            layer.set_weights([array.astype(np.float32) for array in arrays()])
            layer.activation = keras.activations.get(node.activation)

    # Arrangement of channels

    def _exactly(self, references: References, reader: str) -> keras.KerasTensor:
        """Return a tensor of these channels in this order."""
        key = references.tobytes()
        if key not in self._arranged:
            self._arranged[key] = self._arrange(references, reader)
        return self._arranged[key]

    def _conveniently(self, references: References) -> References:
        """Return the same channels in the order of memory, each once."""
        return np.array(sorted(set(references.tolist()), key=self._place))

    def _place(self, reference: int) -> tuple[int, int]:
        """Return the number of the node and the position in its tensor."""
        index = int(np.searchsorted(self._bases, reference, side="right")) - 1
        node = self._graph.nodes[index]
        assert node.order is not None  # its layer exists
        return index, int(np.flatnonzero(node.order == reference - node.base)[0])

    def _arrange(self, references: References, reader: str) -> keras.KerasTensor:
        places = [self._place(reference) for reference in references.tolist()]
        runs = _runs(places)
        if len(runs) > MAX_PIECES and (groups := self._shuffle_groups(places)):
            name = self._name(f"{reader}_shuffle")
            return channel_shuffle(self._tensors[self._graph.nodes[places[0][0]]], groups, name)
        pieces = [self._slice(*run) for run in runs]
        while len(pieces) > 1:
            quads = [pieces[i : i + CONCAT_INPUTS] for i in range(0, len(pieces), CONCAT_INPUTS)]
            pieces = [self._concatenate(quad, reader) for quad in quads]
        return pieces[0]

    def _concatenate(self, pieces: list[keras.KerasTensor], reader: str) -> keras.KerasTensor:
        if len(pieces) == 1:
            return pieces[0]
        return layers.Concatenate(name=self._name(f"{reader}_concat"))(pieces)

    def _shuffle_groups(self, places: list[tuple[int, int]]) -> int:
        """Return the groups of the shuffle that gives this order of a node; 0 if there is none."""
        (index, first), (_, second) = places[:2]
        channels, step = self._graph.nodes[index].channels, second - first
        if step < 1 or channels % step:
            return 0
        dealt = np.arange(channels).reshape(-1, step).T.flatten()
        return channels // step if places == [(index, p) for p in dealt.tolist()] else 0

    def _slice(self, index: int, start: int, stop: int) -> keras.KerasTensor:
        node = self._graph.nodes[index]
        if (start, stop) == (0, node.channels):
            return self._tensors[node]
        assert node.order is not None  # its layer exists
        key = node.references[node.order[start:stop]].tobytes()
        if key not in self._arranged:
            name = self._name(f"{node.name}_slice")
            self._arranged[key] = channel_slice(self._tensors[node], start, stop, name)
        return self._arranged[key]

    def _name(self, name: str) -> str:
        """Return a unique name: a repeated one is numbered."""
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return f"{name}{count}" if count else name

    # Nodes

    def _image(self, node: Image) -> keras.KerasTensor:
        return keras.Input(node.shape[1:], name=node.name)

    def _subtract(self, node: Subtract) -> keras.KerasTensor:
        x = self._exactly(node.reads[0], node.name)
        std = np.ones(node.channels) if node.std is None else node.std
        mean, variance = np.broadcast_arrays(node.mean, np.square(std))
        if mean.ndim == 3:
            return _normalization(mean, variance, (1, 2, 3), node.name)(x)
        width = x.shape[2]
        if width is None:
            return _normalization(mean, variance, -1, node.name)(x)
        # Runtimes subtract long rows ten times as fast as three numbers at a time.
        if mean.ndim == 1:
            mean, variance = (np.tile(numbers, (width, 1)) for numbers in (mean, variance))
        return _normalization(mean, variance, (2, 3), node.name)(x)

    def _plain(self, node: Plain) -> keras.KerasTensor:
        inputs = [self._exactly(read, node.name) for read in self._ordered_reads(node)]
        if _repeats_pixels(node.layer):
            return self._repeat_pixels(node, inputs[0])
        config = {**node.layer.get_config(), "dtype": "float32", "name": self._name(node.name)}
        layer = type(node.layer).from_config(config)
        return layer(inputs if len(inputs) > 1 else inputs[0])

    def _repeat_pixels(self, node: Plain, x: keras.KerasTensor) -> keras.KerasTensor:
        """Write four interleaved copies of the pixels; LiteRT would have two slow TILE."""
        copies = layers.Concatenate(name=f"{node.name}_copies")([x] * len(PHASES))
        x = keras.ops.depth_to_space(copies, 2)
        operation_of(x).name = node.name
        return x

    def _rows(self, node: Rows) -> keras.KerasTensor:
        config = {**node.layer.get_config(), "dtype": "float32", "name": node.name}
        return layers.Reshape.from_config(config)(self._exactly(node.reads[0], node.name))

    def _swish(self, node: Swish) -> keras.KerasTensor:
        (read,) = self._ordered_reads(node)
        x = self._exactly(read, node.name)
        shifted = keras.ops.add(x, 3.0)
        operation_of(shifted).name = f"{node.name}_shift"
        gate = layers.ReLU(6.0, name=f"{node.name}_gate")(shifted)
        return layers.Multiply(name=node.name)([x, gate])

    def _ordered_reads(self, node: Node) -> list[References]:
        """Return the reads of a node that keeps channels; set its order if it has none."""
        if node.order is None:
            wanted = node.reads[0]
            arranged = self._conveniently(wanted)
            position = {reference: index for index, reference in enumerate(wanted.tolist())}
            if len(arranged) == len(wanted):
                node.order = np.array([position[reference] for reference in arranged.tolist()])
            else:  # a channel twice
                node.order = np.arange(node.channels)
        return [read[node.order] for read in node.reads]

    def _conv(self, node: Conv) -> keras.KerasTensor:
        x, gathered = self._gathered(node, axis=2)
        layer = layers.Conv2D(node.channels, node.kernel.shape[:2], name=node.name, **node.config)
        return self._weighted(
            layer, node, x, lambda: (gathered()[..., node.order], node.bias[node.order])
        )

    def _dense(self, node: Dense) -> keras.KerasTensor:
        x, gathered = self._gathered(node, axis=0)
        layer = layers.Dense(node.channels, name=node.name)
        return self._weighted(
            layer, node, x, lambda: (gathered()[:, node.order], node.bias[node.order])
        )

    def _depthwise(self, node: Depthwise) -> keras.KerasTensor:
        (read,) = self._ordered_reads(node)
        x = self._exactly(read, node.name)
        if _is_split(node, x.shape[1]):
            return self._by_rows(node, x)
        layer = layers.DepthwiseConv2D(node.kernel.shape[:2], name=node.name, **node.config)
        return self._weighted(
            layer, node, x, lambda: (node.kernel[:, :, node.order], node.bias[node.order])
        )

    def _by_rows(self, node: Depthwise, x: keras.KerasTensor) -> keras.KerasTensor:
        """Write a large kernel as a sum of kernels with a few of its rows."""
        height, width = node.kernel.shape[:2]
        if node.config["padding"] == "same":
            padding = (height // 2, width // 2)
            x = layers.ZeroPadding2D(padding, name=f"{node.name}_pad")(x)

        def part(rows: slice) -> tuple[np.ndarray, ...]:
            kernel = node.kernel[rows][:, :, node.order]
            return (kernel,) if rows.start else (kernel, node.bias[node.order])

        parts = []
        for start in range(0, height, MAX_TAPS // width):
            rows = slice(start, min(start + MAX_TAPS // width, height))
            size, name = (rows.stop - start, width), f"{node.name}_rows{start}"
            crop = layers.Cropping2D(((start, height - rows.stop), (0, 0)), name=f"{name}_slice")
            layer = layers.DepthwiseConv2D(
                size, node.config["strides"], use_bias=start == 0, name=name
            )
            parts.append(self._weighted(layer, node, crop(x), partial(part, rows)))
        return layers.Add(name=node.name)(parts)

    def _gathered(
        self, node: Weighted, axis: int
    ) -> tuple[keras.KerasTensor, Callable[[], np.ndarray]]:
        """Return the input of a node in the order of memory, and its kernel in that order."""
        (read,) = node.reads
        if node.is_rigid:
            return self._exactly(read, node.name), lambda: node.kernel
        arranged = self._conveniently(read)
        position = {reference: index for index, reference in enumerate(arranged.tolist())}
        places = [position[reference] for reference in read.tolist()]

        def gathered() -> np.ndarray:
            inputs = np.moveaxis(node.kernel, axis, 0)
            summed = np.zeros((len(arranged), *inputs.shape[1:]))
            np.add.at(summed, places, inputs)
            return np.moveaxis(summed, 0, axis)

        return self._exactly(arranged, node.name), gathered

    def _weighted(
        self, layer: keras.Layer, node: Weighted, x: keras.KerasTensor, arrays: Arrays
    ) -> keras.KerasTensor:
        self._weights.append((layer, node, arrays))
        return layer(x)

    def _deconv(self, node: Deconv) -> keras.KerasTensor:
        """Write four interleaved 2 × 2 convolutions, one for each phase of the output pixels."""
        x, gathered = self._gathered(node, axis=3)
        filters = node.kernel.shape[2]
        order = node.order if node.pointwise is None else np.arange(filters)

        def taps(row: int, column: int) -> tuple[np.ndarray, np.ndarray]:
            phase = gathered()[np.ix_(TAPS[row], TAPS[column])]
            return phase.transpose(0, 1, 3, 2)[..., order], node.bias[order]

        phases = []
        for row, column in PHASES:
            name = f"{node.name}_phase{row}{column}"
            padding = (PADDINGS[row], PADDINGS[column])
            y = layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
            conv = layers.Conv2D(filters, 2, name=name)
            y = self._weighted(conv, node, y, partial(taps, row, column))
            phases.append(self._pointwise(node, node.pointwise, y, name) if node.pointwise else y)
        x = layers.Concatenate(name=f"{node.name}_phases")(phases)
        x = keras.ops.depth_to_space(x, 2)
        operation_of(x).name = f"{node.name}_interleave"
        return x

    def _pointwise(
        self, node: Deconv, conv: Conv, x: keras.KerasTensor, phase: str
    ) -> keras.KerasTensor:
        layer = layers.Conv2D(conv.channels, 1, name=f"{phase}_{conv.name}")
        return self._weighted(
            layer, conv, x, lambda: (conv.kernel[..., node.order], conv.bias[node.order])
        )


WRITERS: dict[type[Node], Any] = {
    Image: Emission._image,
    Subtract: Emission._subtract,
    Plain: Emission._plain,
    Swish: Emission._swish,
    Rows: Emission._rows,
    Conv: Emission._conv,
    Dense: Emission._dense,
    Depthwise: Emission._depthwise,
    Deconv: Emission._deconv,
}


def _repeats_pixels(layer: keras.Layer) -> bool:
    """Return whether a layer doubles height and width by repeating pixels."""
    return (
        isinstance(layer, layers.UpSampling2D)
        and (layer.interpolation, layer.size) == ("nearest", (2, 2))
        and layer.data_format == "channels_last"
    )


def _is_split(node: Depthwise, rows: int | None) -> bool:
    """Return whether a depthwise convolution is split into smaller ones by rows.

    Each of these must see more than padding: LiteRT cannot quantize an output that is always 0.
    """
    height, width = node.kernel.shape[:2]
    config = node.config
    padding = height // 2 if config["padding"] == "valid" else 0
    padded_evenly = config["strides"] == (1, 1) and height % 2 == width % 2 == 1
    return (
        height * width > MAX_TAPS >= width
        and rows is not None
        and rows - 2 * padding > height // 2
        and node.activation == "linear"
        and config["dilation_rate"] == (1, 1)
        and (config["padding"] == "valid" or padded_evenly)
    )


def _normalization(
    mean: np.ndarray, variance: np.ndarray, axis: int | tuple[int, ...], name: str
) -> layers.Normalization:
    return layers.Normalization(
        axis=axis, mean=mean.tolist(), variance=variance.tolist(), name=name
    )


def _runs(places: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Return contiguous runs: (node, first position, position after the last)."""
    runs: list[tuple[int, int, int]] = []
    for index, position in places:
        if runs and runs[-1][0] == index and runs[-1][2] == position:
            runs[-1] = (index, runs[-1][1], position + 1)
        else:
            runs.append((index, position, position + 1))
    return runs
