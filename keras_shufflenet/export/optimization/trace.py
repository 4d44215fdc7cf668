"""From a functional model to a graph: rearrangements vanish, normalizations are folded."""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_shufflenet._keras_private import reading_operations
from keras_shufflenet.export.optimization.functional_graph import Step, flattened
from keras_shufflenet.export.optimization.graph import (
    RELU_NAMES,
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
    Weighted,
)

PLAIN = (
    layers.Activation,
    layers.Add,
    layers.AveragePooling2D,
    layers.ELU,
    layers.Flatten,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.LeakyReLU,
    layers.MaxPooling2D,
    layers.Multiply,
    layers.ReLU,
    layers.Reshape,
    layers.UpSampling2D,
    layers.ZeroPadding2D,
)
WINDOW = ("strides", "padding", "dilation_rate")
IDENTITIES = (  # at inference
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.RandomBrightness,
    layers.RandomContrast,
    layers.RandomFlip,
    layers.RandomRotation,
    layers.RandomTranslation,
    layers.RandomZoom,
    layers.SpatialDropout2D,
)


class GraphOptimizationError(ValueError):
    """The model has a layer that cannot be optimized."""


class Trace:
    """Reads a model, layer by layer.

    Attributes:
        graph: Graph of the layers so far.
    """

    def __init__(self, model: keras.Model) -> None:
        self.graph = Graph()
        self._views: dict[int, References] = {}
        numbers = itertools.count()
        images = [next(numbers) for _ in model.inputs]
        steps, results = flattened(model, images, numbers)
        self._readers = Counter(number for step in steps for number in step.reads)
        self._readers.update(results)
        for number, x in zip(images, model.inputs, strict=True):
            image = Image(name=x.name, reads=[], channels=x.shape[-1], shape=x.shape)
            self._views[number] = self.graph.add(image)
        for step in steps:
            self._views[step.makes] = self._trace(step)
        self.graph.outputs = [self._views[number] for number in results]

    def _trace(self, step: Step) -> References:
        """Add the nodes of a step and return the references of its output."""
        layer = step.call.operation
        reads = [self._views[number] for number in step.reads]
        if all(read.ndim == 1 for read in reads):
            if isinstance(layer, IDENTITIES):
                return reads[0]
            if isinstance(layer, layers.Concatenate):
                return self._concatenate(layer, reads, step)
            for kind, trace in TRACERS.items():
                if isinstance(layer, kind):
                    return trace(self, layer, reads, step)
            kept = step.output.shape[-1] == reads[0].size and not _is_permuted(layer)
            if isinstance(layer, PLAIN) and kept:
                return self._plain(layer, reads)
            if isinstance(layer, layers.Reshape) and _splits_positions(step):
                channels = step.output.shape[-1]
                node = Rows(name=layer.name, reads=reads, channels=channels, layer=layer)
                return self.graph.add(node)
        return rearranged(layer, reads[0], step.call, step.output)

    def _concatenate(
        self, layer: layers.Concatenate, reads: list[References], step: Step
    ) -> References:
        """Concatenate channels, or positions, as detectors do with their anchors."""
        if layer.axis in (-1, len(step.output.shape) - 1):
            return np.concatenate(reads)
        return self._plain(layer, reads)

    def _plain(self, layer: keras.Layer, reads: list[References]) -> References:
        return self.graph.add(
            Plain(name=layer.name, reads=reads, channels=reads[0].size, layer=layer)
        )

    def _foldable(self, read: References, step: Step) -> Weighted | None:
        """Return the preceding node if a step can be folded into it."""
        maker = self.graph.maker(read)
        if self._readers[step.reads[0]] > 1 or not isinstance(maker, Weighted):
            return None
        return maker if maker.activation == "linear" else None

    # Layers with weights

    def _conv(self, layer: layers.Conv2D, reads: list[References], _step: Any) -> References:
        _require(layer.data_format == "channels_last", layer, "channels first")
        config = {key: getattr(layer, key) for key in (*WINDOW, "groups")}
        return self._weighted(Conv, layer, reads, layer.filters, config)

    def _depthwise(
        self, layer: layers.DepthwiseConv2D, reads: list[References], _step: Any
    ) -> References:
        _require(layer.depth_multiplier == 1, layer, "a depth multiplier")
        config = {key: getattr(layer, key) for key in WINDOW}
        return self._weighted(Depthwise, layer, reads, reads[0].size, config)

    def _dense(self, layer: layers.Dense, reads: list[References], _step: Any) -> References:
        return self._weighted(Dense, layer, reads, layer.units, {})

    def _deconv(
        self, layer: layers.Conv2DTranspose, reads: list[References], _step: Any
    ) -> References:
        known = layer.kernel_size == (4, 4) and layer.strides == (2, 2) and layer.padding == "same"
        _require(known, layer, "a kernel other than 4 × 4 or a stride other than 2")
        return self._weighted(Deconv, layer, reads, layer.filters, {})

    def _weighted(
        self,
        kind: type[Weighted],
        layer: Any,
        reads: list[References],
        channels: int,
        config: dict[str, Any],
    ) -> References:
        node = kind(
            name=layer.name,
            layer_name=layer.name,
            reads=reads,
            channels=channels,
            kernel=_array(layer.kernel),
            bias=_bias(layer, channels),
            activation=keras.activations.serialize(layer.activation),
            config=config,
        )
        return self.graph.add(node)

    # Layers that are folded

    def _batch_norm(
        self, layer: layers.BatchNormalization, reads: list[References], step: Any
    ) -> References:
        ones = np.ones(reads[0].size)
        factor = _array(layer.gamma) if layer.scale else ones
        factor = factor / np.sqrt(_array(layer.moving_variance) + layer.epsilon)
        offset = (_array(layer.beta) if layer.center else 0) - _array(layer.moving_mean) * factor
        maker = self._foldable(reads[0], step)
        if maker is not None:
            maker.scale(factor, offset)
            return reads[0]
        kernel = factor.reshape(1, 1, -1, 1)
        config = {"strides": (1, 1), "padding": "valid", "dilation_rate": (1, 1)}
        return self.graph.add(
            Depthwise(
                name=layer.name,
                reads=reads,
                channels=factor.size,
                kernel=kernel,
                bias=offset * ones,
                config=config,
            )
        )

    def _relu(self, layer: layers.ReLU, reads: list[References], step: Any) -> References:
        name = RELU_NAMES.get(layer.max_value)
        maker = self._foldable(reads[0], step)
        if name and maker is not None and not layer.negative_slope and not layer.threshold:
            maker.activation = name
            return reads[0]
        return self._by_maker(layer, reads[0])

    def _by_maker(self, layer: layers.ReLU, read: References) -> References:
        """Add a ReLU for each node whose channels are read, unless it ends in the same ReLU."""
        bases = np.array([node.base for node in self.graph.nodes])
        makers = np.searchsorted(bases, read, side="right") - 1
        made = read.copy()
        for index in np.unique(makers):
            if not _is_same_relu(self.graph.nodes[index], layer):
                own = makers == index
                made[own] = self._plain(layer, [read[own]])
        return made

    def _normalization(
        self, layer: layers.Normalization, reads: list[References], _step: Any
    ) -> References:
        mean, variance = (_array(x).squeeze() for x in (layer.mean, layer.variance))
        std = np.sqrt(variance).reshape(-1, reads[0].size)
        _require(not layer.invert, layer, "invert=True")
        _require(np.ptp(std, axis=0).max() == 0, layer, "a variance for each pixel")
        return self.graph.add(
            Subtract(
                name=layer.name,
                reads=reads,
                channels=reads[0].size,
                mean=mean,
                std=std[0],
            )
        )

    def _rescaling(
        self, layer: layers.Rescaling, reads: list[References], _step: Any
    ) -> References:
        _require(
            np.ndim(layer.scale) == np.ndim(layer.offset) == 0, layer, "a scale for each channel"
        )
        return self._plain(layer, reads)

    # Layers that rearrange channels

    def _cropping(
        self, layer: layers.Cropping2D, reads: list[References], _step: Any
    ) -> References:
        """Crop feature maps, or slice channels, see `models.layers.channel_slice`."""
        if layer.data_format == "channels_last":
            return self._plain(layer, reads)
        rows, (start, behind) = layer.cropping
        _require(rows == (0, 0), layer, "cropping of height and channels")
        return reads[0][start : reads[0].size - behind]


TRACERS: dict[type, Callable[..., References]] = {
    layers.DepthwiseConv2D: Trace._depthwise,
    layers.Conv2DTranspose: Trace._deconv,
    layers.Conv2D: Trace._conv,
    layers.Dense: Trace._dense,
    layers.BatchNormalization: Trace._batch_norm,
    layers.ReLU: Trace._relu,
    layers.Normalization: Trace._normalization,
    layers.Rescaling: Trace._rescaling,
    layers.Cropping2D: Trace._cropping,
}


def _is_permuted(layer: Any) -> bool:
    """Return whether axes are permuted after a layer: the beginning of a shuffle."""
    return any(isinstance(reader, layers.Permute) for reader in reading_operations(layer))


def _splits_positions(step: Step) -> bool:
    """Return whether a layer makes rows of a part of the channels: (..., k · C) to (N, rows, C)."""
    before, after = step.call.input_tensors[0].shape, step.output.shape
    return len(after) == 3 and before[-1] > after[-1] and before[-1] % after[-1] == 0


def rearranged(
    layer: Any, references: References, call: Any, output: keras.KerasTensor
) -> References:
    """Rearrange references by reshaping, permuting or gathering of channels."""
    before, after = call.input_tensors[0].shape[1:], output.shape[1:]
    if isinstance(layer, layers.Reshape):
        area = before[: len(before) - references.ndim]
        if references.ndim > 1 and after[-1] == references.size:  # also of a single pixel
            return references.ravel()
        for axes in range(len(after)):
            kept, split = after[:axes], after[axes:]
            if _count(split) == references.size and _count(kept) == _count(area):
                return references.reshape(split)
    elif isinstance(layer, layers.Permute):
        merged = len(before) - references.ndim
        order = [axis - 1 - merged for axis in layer.dims[merged:]]
        if min(order, default=-1) >= 0 and layer.dims[:merged] == tuple(range(1, merged + 1)):
            return references.transpose(order)
    elif type(layer).__name__ == "Take" and layer.axis in (-1, len(before)):
        (_, indices), _ = call.arguments.args, call.arguments.kwargs
        return references[np.asarray(indices)]
    raise GraphOptimizationError(
        f"The layer {layer.name!r} cannot be optimized. "
        f"Received: {type(layer).__name__} from {before} to {after}"
    )


def _is_same_relu(node: Node, layer: layers.ReLU) -> bool:
    config = {**layer.get_config(), "name": node.name}
    return (
        isinstance(node, Plain)
        and type(node.layer) is type(layer)
        and {**node.layer.get_config(), "name": node.name} == config
    )


def _array(variable: Any) -> np.ndarray:
    """Double precision: rounding happens once, at the end."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)


def _bias(layer: Any, channels: int) -> np.ndarray:
    return _array(layer.bias) if layer.use_bias else np.zeros(channels)


def _count(sizes: tuple[int | None, ...]) -> int | None:
    """Return the number of positions; None if unknown."""
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def _require(condition: bool, layer: keras.Layer, what: str) -> None:
    if not condition:
        raise GraphOptimizationError(
            f"The layer {layer.name!r} cannot be optimized. "
            f"Received: {type(layer).__name__} with {what}"
        )
