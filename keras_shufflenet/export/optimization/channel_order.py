"""The order of the channels of each node in memory.

Channels that are read together are contiguous: each reader then needs a few slices and no shuffle.
Within a stage of ShuffleNetV2 every channel that a unit computes is read once, by a unit known in
advance, so that such an order always exists.
"""

from dataclasses import dataclass

import numpy as np

from keras_shufflenet.export.optimization.graph import Graph, Node, Weighted


@dataclass(frozen=True)
class Demand:
    """The channels of a node that a reader requires.

    Attributes:
        channels: Channels of the node, in the required order.
        any_order: Whether any other order would do.
    """

    channels: np.ndarray
    any_order: bool


def choose_orders(graph: Graph) -> None:
    """Set the `order` of every node; it stays None for nodes that accept any order."""
    origins = _origins(graph)
    for node in reversed(graph.nodes):
        demands = _demands(graph, node)
        whole = all(len(demand.channels) == node.channels for demand in demands)
        loose = whole and all(demand.any_order for demand in demands)
        if node.is_rigid:
            node.order = np.arange(node.channels)
        elif loose and node.keeps_channels and len(node.reads) == 1:
            node.order = None
        else:
            node.order = _grouped(demands, origins[node.references])


def _demands(graph: Graph, node: Node) -> list[Demand]:
    demands = [Demand(*_wanted(reader, read)) for reader in graph.nodes for read in reader.reads]
    demands += [Demand(output, any_order=False) for output in graph.outputs]
    last = node.base + node.channels
    own = [Demand(_of(demand.channels, node.base, last), demand.any_order) for demand in demands]
    return [demand for demand in own if len(demand.channels)]


def reader_groups(graph: Graph, node: Node) -> list[np.ndarray]:
    """Group the channels of a node by their readers."""
    found: dict[tuple[int, ...], list[int]] = {}
    for channel, readers in enumerate(_readers(_demands(graph, node), node.channels)):
        found.setdefault(readers, []).append(channel)
    return [np.array(group) for group in found.values()]


def _readers(demands: list[Demand], channels: int) -> list[tuple[int, ...]]:
    """Return for each channel the numbers of the demands that contain it."""
    readers: list[list[int]] = [[] for _ in range(channels)]
    for index, demand in enumerate(demands):
        for channel in demand.channels:
            readers[channel].append(index)
    return [tuple(own) for own in readers]


def _of(references: np.ndarray, first: int, last: int) -> np.ndarray:
    return references[(references >= first) & (references < last)] - first


def _wanted(reader: Node, read: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the channels that a node reads, in its order, and whether another order would do."""
    if reader.is_rigid:
        return read, False
    if reader.keeps_channels:
        return (read, True) if reader.order is None else (read[reader.order], False)
    return read, isinstance(reader, Weighted)


def _origins(graph: Graph) -> np.ndarray:
    """Number the references; channels of a node that come from the same nodes get one number."""
    last = graph.nodes[-1]
    origins = np.zeros(last.base + last.channels, int)
    numbers: dict[tuple[int, ...], int] = {}
    for node in graph.nodes:
        kept = node.reads if node.keeps_channels else []
        for channel, reference in enumerate(node.references):
            key = (node.base, *(int(origins[read[channel]]) for read in kept))
            origins[reference] = numbers.setdefault(key, len(numbers))
    return origins


def _grouped(demands: list[Demand], origins: np.ndarray) -> np.ndarray:
    """Sort channels by their readers, then by their origin, then by the required order."""
    channels = len(origins)
    strict = [demand for demand in demands if not demand.any_order]
    if strict and len(strict[0].channels) == channels == len(np.unique(strict[0].channels)):
        return strict[0].channels
    readers, place = _readers(demands, channels), np.arange(channels)
    for demand in strict:
        for position, channel in enumerate(demand.channels):
            place[channel] = position
    return np.array(sorted(range(channels), key=lambda c: (readers[c], origins[c], place[c])))
