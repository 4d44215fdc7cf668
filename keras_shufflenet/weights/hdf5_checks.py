"""Check an HDF5 file before anything in it is read.

HDF5 can take numbers out of other files, by links, virtual datasets and external storage, and loads
programs of the machine for compressions that it does not know. Numbers that claim a large shape
take memory that the file does not have.
"""

import math
from collections.abc import Callable
from typing import Any

import h5py

from keras_shufflenet.weights.checkpoint import MAX_EXPANSION

MAX_OBJECTS = 20_000  # groups and arrays; a detector with its optimizer has about 6 000
MAX_DEPTH = 32  # of groups
FILTERS = {
    h5py.h5z.FILTER_DEFLATE: "gzip",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
}
NUMBERS = "fiub"  # kinds of NumPy's types


def check_file(file: h5py.File, size: int) -> None:
    """Refuse a file that is more than groups of plain arrays.

    Args:
        file: The opened file. Nothing else is opened, whatever the file says.
        size: Its size in bytes.

    Raises:
        TypeError: If an array is not of numbers.
        ValueError: If a link leads out of the tree, an array has its numbers elsewhere, is
            compressed in an unusual way, or together they claim far more bytes than the file has.
    """
    claimed = 0

    def add(dataset: h5py.Dataset) -> None:
        nonlocal claimed
        check_dataset(dataset)
        claimed += math.prod(dataset.shape) * dataset.dtype.itemsize
        if claimed > MAX_EXPANSION * size:
            raise ValueError(f"{size} bytes claim to unpack to {claimed} or more")

    _visit(file, add)


def check_dataset(dataset: h5py.Dataset) -> None:
    """Refuse an array whose numbers are not plainly in the file.

    Raises:
        TypeError: If it is not of numbers.
        ValueError: If its numbers are elsewhere, or compressed in an unusual way.
    """
    properties = dataset.id.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL:
        raise ValueError(f"{dataset.name} is not a plain array, but a view of other files")
    if properties.get_external_count():
        raise ValueError(f"{dataset.name} is not a plain array: its numbers are in other files")
    for index in range(properties.get_nfilters()):
        number = properties.get_filter(index)[0]
        if number not in FILTERS:
            known = ", ".join(FILTERS.values())
            raise ValueError(f"{dataset.name} has the filter {number}, of which {known} are read")
    if dataset.shape is None:
        raise ValueError(f"{dataset.name} is empty")
    if dataset.dtype.kind not in NUMBERS and not is_bfloat16(dataset):
        raise TypeError(f"{dataset.name} is of type {dataset.dtype}")


def is_bfloat16(dataset: h5py.Dataset) -> bool:
    """Return whether Keras stored bfloat16 numbers, which HDF5 does not have, as their bits."""
    kept = dataset.dtype.itemsize == 2 and dataset.dtype.kind in "uiV"
    return kept and dataset.attrs.get("dtype") == "bfloat16"


def child(parent: h5py.Group, name: str) -> Any:
    """Return what is in a group under a name, unless that is a link.

    Raises:
        ValueError: If it is missing or a link.
    """
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{parent.name.rstrip('/')}/{name} is missing or a link")
    return parent[name]


def _visit(file: h5py.File, visit: Callable[[h5py.Dataset], None]) -> None:
    """Call a function with every array of a file."""
    seen: set[tuple[int, int]] = set()
    groups: list[tuple[h5py.Group, int]] = [(file, 0)]
    while groups:
        group, depth = groups.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"{group.name[:80]} is deeper than {MAX_DEPTH} groups")
        if len(group) + len(seen) > MAX_OBJECTS:
            raise ValueError(f"it has more than {MAX_OBJECTS} groups and arrays")
        for name in group:
            found = child(group, name)
            place = h5py.h5o.get_info(found.id)
            if (place.fileno, place.addr) in seen:  # as in a group that contains itself
                raise ValueError(f"{found.name} is in the file under two names")
            seen.add((place.fileno, place.addr))
            if isinstance(found, h5py.Group):
                groups.append((found, depth + 1))
            elif isinstance(found, h5py.Dataset):
                visit(found)
            else:
                raise TypeError(f"{found.name} is neither a group nor an array")
