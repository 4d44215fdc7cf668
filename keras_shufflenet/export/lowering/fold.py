"""What the nodes of a graph take over from their neighbours once all readers are known."""

import numpy as np
from keras import layers

from keras_shufflenet.export.lowering.nodes import Conv, Deconv, Graph, Plain, Subtract


def fold(graph: Graph) -> None:
    """Move deviations into kernels, and pointwise convolutions before deconvolutions' ends."""
    for node in list(graph.nodes):
        if isinstance(node, Subtract):
            _fold_deviation(graph, node)
        elif isinstance(node, Deconv):
            _take_pointwise(graph, node)


def _fold_deviation(graph: Graph, images: Subtract) -> None:
    """Divide the kernel that reads the images instead of the images; the zeros around stay zero."""
    reader = graph.only_reader(images)
    if isinstance(reader, Plain) and isinstance(reader.layer, layers.ZeroPadding2D):
        reader = graph.only_reader(reader)
    if isinstance(reader, Conv) and images.deviation is not None:
        reader.kernel = reader.kernel / images.deviation[:, np.newaxis]
        images.deviation = None


def _take_pointwise(graph: Graph, deconv: Deconv) -> None:
    reader = graph.only_reader(deconv)
    if isinstance(reader, Conv) and _is_pointwise(reader):
        deconv.pointwise = reader
        _replace(graph, reader, deconv)


def _is_pointwise(conv: Conv) -> bool:
    plain = conv.config["strides"] == (1, 1) and conv.config["groups"] == 1
    return plain and conv.kernel.shape[:2] == (1, 1)


def _replace(graph: Graph, reader: Conv, deconv: Deconv) -> None:
    """Let the deconvolution stand where its reader stood."""
    position = graph.nodes.index(reader)
    graph.nodes.remove(deconv)
    deconv.base, deconv.channels = reader.base, reader.channels
    graph.nodes[position - 1] = deconv
