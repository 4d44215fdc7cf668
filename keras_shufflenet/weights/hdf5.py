"""Read the layers of files that Keras saved, which are checked first: see `hdf5_checks`.

Keras 3 stores a group `layers` in every model, a model within a model included. Keras 2, and Keras
3 in `.h5` files, store the names of layers and weights as attributes.
"""

import contextlib
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_shufflenet._layer_names import PREPROCESSING
from keras_shufflenet.weights.checkpoint import HDF5_MAGIC
from keras_shufflenet.weights.errors import MALFORMED
from keras_shufflenet.weights.hdf5_checks import check_file, child, is_bfloat16
from keras_shufflenet.weights.keras_archive import WEIGHTS, open_archive, refusing_damage
from keras_shufflenet.weights.torch_pickle import ZIP_MAGIC

LAYERS = "layers"
VARIABLES = "vars"
LEGACY_MODEL = "model_weights"
LAYER_NAMES, WEIGHT_NAMES = "layer_names", "weight_names"
OPTIMIZERS = ("optimizer", "optimizer_weights")
NORMALIZING = {"identity", "normalization"}  # groups of the layers that preprocess images
MAX_DEPTH = 8  # of models in models


@dataclass(frozen=True)
class SavedModel:
    """The layers of a model in a file.

    Attributes:
        place: Path of the model's group in the file; "" for the outermost model.
        layers: Variables in Keras' order, by the name of the layer.
        has_preprocessing: Whether the model preprocesses RGB in 0..255 itself.
        further: Paths of the arrays of a layer beside its variables, by its name; under "" of
            those beside all layers.
    """

    place: str
    layers: dict[str, list[h5py.Dataset]]
    has_preprocessing: bool
    further: dict[str, list[str]] = field(default_factory=dict)


def is_keras_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a file was saved by Keras, by its content."""
    head = _head(path)
    if head == HDF5_MAGIC:
        return True
    if not head.startswith(ZIP_MAGIC):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return WEIGHTS in archive.namelist()
    except (*MALFORMED, OSError, zipfile.BadZipFile):
        return False


def _head(path: str | os.PathLike[str]) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(len(HDF5_MAGIC))


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[h5py.File]:
    """Open a `.h5` file, or the one in a `.keras` file, whose links and arrays are checked.

    Raises:
        CheckpointError: If the file is damaged or more than groups of plain arrays, also if that
            is found while it is open.
    """
    with refusing_damage(path):
        source: Path | io.BytesIO = path
        if _head(path).startswith(ZIP_MAGIC):
            with open_archive(path) as archive:
                source = io.BytesIO(archive.read(WEIGHTS))
        with h5py.File(source, "r") as file:
            check_file(file, path.stat().st_size)
            yield file


def saved_models(file: h5py.File) -> list[SavedModel]:
    """Return the model in a file and the models within it.

    Raises:
        ValueError: If the file has no layers, or something of it is elsewhere on this machine.
    """
    legacy = _child(file, LEGACY_MODEL) if LEGACY_MODEL in set(file) else file
    if LAYER_NAMES in legacy.attrs or f"{LAYER_NAMES}0" in legacy.attrs:
        return list(_legacy_models(legacy))
    models = list(_models(file, 0))
    if not models:
        raise ValueError(f"it has no group {LAYERS!r}")
    return models


def read(dataset: h5py.Dataset) -> np.ndarray:
    """Return the numbers of a variable as float32.

    Raises:
        TypeError: If they are not floating-point numbers.
    """
    array = np.asarray(dataset[()])
    if is_bfloat16(dataset):
        array = (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        raise TypeError(f"{dataset.name} is of type {array.dtype}")
    return array.astype(np.float32)


def _models(group: h5py.Group, depth: int) -> Iterator[SavedModel]:
    """Yield the models in a group: those of subclasses have it as an attribute of any name."""
    names = [name for name in group if name not in (VARIABLES, *OPTIMIZERS)]
    groups = {name: child for name in names if (child := _group(group, name)) is not None}
    if LAYERS in groups:
        own = _group(group, VARIABLES) if VARIABLES in set(group) else None
        yield _model(group.name.strip("/"), groups[LAYERS], [*_arrays(group), *_arrays(own)])
    if depth < MAX_DEPTH:
        for child in groups.values():
            yield from _models(child, depth + 1)


def _arrays(group: h5py.Group | None) -> list[str]:
    """Return the paths of the arrays that are directly in a group."""
    found = [] if group is None else [_child(group, name) for name in group]
    return [thing.name for thing in found if isinstance(thing, h5py.Dataset)]


def _model(place: str, group: h5py.Group, beside: list[str]) -> SavedModel:
    layers, further = {}, {"": beside}
    for name in group:
        layer = _group(group, name)
        known = layer is not None and VARIABLES in set(layer)  # `in layer` would follow a link
        variables = _group(layer, VARIABLES) if known else None
        if variables is not None and len(variables):
            title = str(variables.attrs.get("name", name))
            numbered = [index for index in variables if index.isdecimal()]
            layers[title] = [_dataset(variables, str(index)) for index in range(len(numbered))]
            further[title] = [_child(variables, key).name for key in set(variables) - {*numbered}]
    preprocesses = PREPROCESSING in layers or bool(NORMALIZING & set(group))
    return SavedModel(place, layers, preprocesses, further)


def _legacy_models(group: h5py.Group) -> Iterator[SavedModel]:
    """Yield the outermost model, and a model within it for each group with several layers."""
    outer: dict[str, list[h5py.Dataset]] = {}
    names = _texts(group, LAYER_NAMES)
    for name in names:
        child = _child(group, name)
        weights = _texts(child, WEIGHT_NAMES)
        inner: dict[str, list[h5py.Dataset]] = {}
        for weight in weights:
            layer = weight.rpartition("/")[0].rpartition("/")[2]
            inner.setdefault(layer, []).append(_dataset(child, weight))
        if len(inner) == 1:
            outer[name] = next(iter(inner.values()))
        elif inner:
            yield SavedModel(name, inner, PREPROCESSING in inner)
    yield SavedModel("", outer, PREPROCESSING in names)


def _texts(group: h5py.Group, name: str) -> list[str]:
    """Return a list of texts that Keras split into several attributes if it is long."""
    parts = [name] if name in group.attrs else []
    while not parts or parts[-1] != name:
        part = f"{name}{len(parts)}"
        if part not in group.attrs:
            break
        parts.append(part)
    texts: list[Any] = [text for part in parts for text in group.attrs[part]]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _group(parent: h5py.Group, name: str) -> h5py.Group | None:
    child = _child(parent, name)
    return child if isinstance(child, h5py.Group) else None


def _child(parent: h5py.Group, path: str) -> Any:
    """Return what is at a path, unless a part of it is a link."""
    found = parent
    for name in path.split("/"):
        found = child(found, name)
    return found


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """Return a variable."""
    dataset = _child(group, name)
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{dataset.name} is not an array")
    return dataset
