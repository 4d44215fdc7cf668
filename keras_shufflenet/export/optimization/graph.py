"""The graph that is optimized: nodes that compute channels, and their readers.

Every channel of every node has a number, its reference. The input of a layer is an array of
references, in the layer's order; slices, concatenations and shuffles only rearrange such arrays and
are no nodes. The order of a node's channels in memory is chosen when all readers are known.
"""

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

References = np.ndarray  # of integers

RELU_NAMES = {None: "relu", 6.0: "relu6"}  # by the maximum of the layer


@dataclass(eq=False, kw_only=True)
class Node:
    """A tensor of the graph.

    Attributes:
        name: Name of its layer.
        reads: References of the channels of each input, in the layer's order.
        channels: Number of channels.
        base: Reference of its first channel; the others follow.
        order: Its channels in the order of memory; None while any order will do.
    """

    name: str
    reads: list[References]
    channels: int
    base: int = 0
    order: np.ndarray | None = None

    @property
    def references(self) -> References:
        """Return the references of all its channels, in the layer's order."""
        return np.arange(self.base, self.base + self.channels)

    @property
    def keeps_channels(self) -> bool:
        """Return whether channel i only depends on the channels i of its inputs."""
        return False

    @property
    def is_rigid(self) -> bool:
        """Return whether its channels have a fixed order."""
        return False


@dataclass(eq=False, kw_only=True)
class Image(Node):
    """The model's input."""

    shape: tuple[int | None, ...]

    @property
    def is_rigid(self) -> bool:
        """Return True: pixels are RGB."""
        return True


@dataclass(eq=False, kw_only=True)
class Weighted(Node):
    """A node with a kernel; a following normalization and activation can be folded into it.

    Attributes:
        kernel: Kernel with output channels on `output_axis`.
        bias: Bias (channels,).
        activation: "linear", or the activation that is folded in.
        config: Further arguments of the layer.
        layer_name: Name of the layer, which several nodes may share, as in the head of a detector.
    """

    kernel: np.ndarray
    bias: np.ndarray
    activation: str = "linear"
    config: dict[str, Any] = field(default_factory=dict)
    layer_name: str = ""
    output_axis = -1

    def scale(self, factor: np.ndarray, offset: np.ndarray) -> None:
        """Multiply and shift the output channels."""
        shape = [1] * self.kernel.ndim
        shape[self.output_axis] = -1
        self.kernel = self.kernel * factor.reshape(shape)
        self.bias = self.bias * factor + offset


@dataclass(eq=False, kw_only=True)
class Conv(Weighted):
    """A convolution: kernel (height, width, inputs, channels)."""

    @property
    def is_rigid(self) -> bool:
        """Return whether it is grouped: groups consist of adjacent channels."""
        return self.config["groups"] > 1


@dataclass(eq=False, kw_only=True)
class Dense(Weighted):
    """A dense layer: kernel (inputs, channels)."""


@dataclass(eq=False, kw_only=True)
class Depthwise(Weighted):
    """A depthwise convolution: kernel (height, width, channels, 1)."""

    output_axis = 2

    @property
    def keeps_channels(self) -> bool:
        """Return True."""
        return True


@dataclass(eq=False, kw_only=True)
class Deconv(Weighted):
    """A transposed 4 × 4 convolution of stride 2: kernel (4, 4, channels, inputs).

    Attributes:
        pointwise: A 1 × 1 convolution that is its only reader. It commutes with the interleaving
            of the four phases and is applied before.
    """

    output_axis = 2
    pointwise: Conv | None = None


@dataclass(eq=False, kw_only=True)
class Subtract(Node):
    """Images minus a mean.

    Attributes:
        mean: (channels,), (width, channels) or (height, width, channels).
        std: Standard deviation (channels,); None once it is folded into a kernel.
    """

    mean: np.ndarray
    std: np.ndarray | None

    @property
    def is_rigid(self) -> bool:
        """Return True: pixels are RGB."""
        return True


@dataclass(eq=False, kw_only=True)
class Plain(Node):
    """A layer without weights that treats all channels alike: pooling, activation, sum, ...

    Attributes:
        layer: Layer with the configuration.
    """

    layer: keras.Layer

    @property
    def keeps_channels(self) -> bool:
        """Return True."""
        return True


@dataclass(eq=False, kw_only=True)
class Rows(Node):
    """Positions of k · `channels` channels as k positions each, such as the anchors of a detector.

    Attributes:
        layer: The `Reshape` layer.
    """

    layer: keras.Layer

    @property
    def is_rigid(self) -> bool:
        """Return True: its channels are those of k groups."""
        return True


@dataclass(eq=False, kw_only=True)
class Swish(Plain):
    """x · relu6(x + 3), six times the hard swish that `layer` is."""


@dataclass(eq=False)
class Graph:
    """The nodes of a model.

    Attributes:
        nodes: Nodes in the order of computation.
        outputs: References of each output of the model.
    """

    nodes: list[Node] = field(default_factory=list)
    outputs: list[References] = field(default_factory=list)
    _named: dict[str, int] = field(default_factory=dict)

    def add(self, node: Node) -> References:
        """Append a node, number its channels and make its name unique."""
        alike = self._named.get(node.name, 0)
        self._named[node.name] = alike + 1
        if alike:
            node.name = f"{node.name}_{alike}"
        if self.nodes:
            node.base = self.nodes[-1].base + self.nodes[-1].channels
        self.nodes.append(node)
        return node.references

    def drop_unread(self) -> None:
        """Remove the nodes that no output depends on, as in a nested model of which a part is read.

        The others keep their references.
        """
        last = self.nodes[-1]
        is_read = np.zeros(last.base + last.channels, bool)
        for output in self.outputs:
            is_read[output] = True
        kept = []
        for node in reversed(self.nodes):
            if is_read[node.references].any() or isinstance(node, Image):
                kept.append(node)
                for read in node.reads:
                    is_read[read] = True
        self.nodes = kept[::-1]

    def readers(self, node: Node) -> list[Node | None]:
        """Return the readers of a node, once for each input; None for an output of the model."""
        reads: list[tuple[Node | None, References]] = [(None, output) for output in self.outputs]
        reads += [(reader, read) for reader in self.nodes for read in reader.reads]
        return [reader for reader, read in reads if np.isin(node.references, read).any()]

    def only_reader(self, node: Node) -> Node | None:
        """Return the only reader of a node if it reads all of it in the layer's order."""
        readers = self.readers(node)
        if len(readers) != 1 or readers[0] is None or len(readers[0].reads) != 1:
            return None
        return readers[0] if np.array_equal(readers[0].reads[0], node.references) else None

    def maker(self, references: References) -> Node | None:
        """Return the node whose channels these are, if all of them in the layer's order."""
        for node in reversed(self.nodes):
            if node.base <= references.flat[0]:
                return node if np.array_equal(references, node.references) else None
        return None
