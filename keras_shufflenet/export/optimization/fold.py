"""Folding of nodes into their neighbors, once all readers are known."""

from typing import TypeGuard

import numpy as np
from keras import layers

from keras_shufflenet.export.optimization.graph import Conv, Deconv, Graph, Node, Plain, Subtract


def fold(graph: Graph) -> None:
    """Fold standard deviations, pointwise convolutions after transposed ones, and padding."""
    for node in list(graph.nodes):
        if _is_pooling(node):
            _take_padding(graph, node)
        elif isinstance(node, Subtract):
            _fold_std(graph, node)
        elif isinstance(node, Deconv):
            _take_pointwise(graph, node)


def _fold_std(graph: Graph, images: Subtract) -> None:
    """Divide the first kernel instead of the images; padded zeros remain zero."""
    reader = graph.only_reader(images)
    if isinstance(reader, Plain) and isinstance(reader.layer, layers.ZeroPadding2D):
        reader = graph.only_reader(reader)
    if isinstance(reader, Conv) and images.std is not None:
        reader.kernel = reader.kernel / images.std[:, np.newaxis]
        images.std = None


def _take_pointwise(graph: Graph, deconv: Deconv) -> None:
    reader = graph.only_reader(deconv)
    if isinstance(reader, Conv) and _is_pointwise(reader):
        deconv.pointwise = reader
        _replace(graph, reader, deconv)


def _is_pointwise(conv: Conv) -> bool:
    plain = conv.config["strides"] == (1, 1) and conv.config["groups"] == 1
    return plain and conv.kernel.shape[:2] == (1, 1)


def _replace(graph: Graph, reader: Conv, deconv: Deconv) -> None:
    """Replace the reader of a transposed convolution by the latter."""
    position = graph.nodes.index(reader)
    graph.nodes.remove(deconv)
    deconv.base, deconv.channels = reader.base, reader.channels
    graph.nodes[position - 1] = deconv


def _is_pooling(node: Node) -> TypeGuard[Plain]:
    if not (isinstance(node, Plain) and isinstance(node.layer, layers.MaxPooling2D)):
        return False
    layer = node.layer
    known = (layer.pool_size, layer.strides, layer.padding) == ((3, 3), (2, 2), "valid")
    return known and layer.data_format == "channels_last"


def _take_padding(graph: Graph, pooling: Plain) -> None:
    """Avoid a padded copy between a ReLU convolution and max pooling.

    LiteRT's own pooling padding is symmetric if the size of the feature maps is odd. So the
    convolution computes one more row and column, and so does the pooling, whose last row and
    column are then sliced off. After a ReLU, zero padding does not change the maximum.
    """
    padding = graph.maker(pooling.reads[0])
    conv = graph.maker(padding.reads[0]) if _pads_by_one(padding) else None
    before = graph.maker(conv.reads[0]) if isinstance(conv, Conv) else None
    if not (isinstance(conv, Conv) and _pads_by_one(padding) and _pads_by_one(before)):
        return
    fits = all(size is not None and size % 4 == 0 for size in before.layer.input.shape[1:3])
    halves = conv.kernel.shape[:2] == (3, 3) and conv.config["strides"] == (2, 2)
    alone = graph.only_reader(before) is conv and graph.only_reader(conv) is padding
    rectified = conv.activation in ("relu", "relu6") and conv.config["padding"] == "valid"
    if fits and halves and alone and rectified and graph.only_reader(padding) is pooling:
        before.layer = layers.ZeroPadding2D(((1, 3), (1, 3)))
        padding.name, pooling.name = pooling.name, f"{pooling.name}_slice"
        padding.layer = layers.MaxPooling2D(3, 2, padding="same")
        pooling.layer = layers.Cropping2D(((0, 1), (0, 1)))


def _pads_by_one(node: Node | None) -> TypeGuard[Plain]:
    return (
        isinstance(node, Plain)
        and isinstance(node.layer, layers.ZeroPadding2D)
        and node.layer.padding == ((1, 1), (1, 1))
        and node.layer.data_format == "channels_last"
    )
