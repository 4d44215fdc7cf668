"""Load weights that Keras saved: `.weights.h5` files and whole models in `.keras` files.

Both are matched by layer names, as strictly as a PyTorch checkpoint.
"""

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_shufflenet._layer_names import PREPROCESSING, STEM, is_output, is_top
from keras_shufflenet.weights._state_dict import takes_bgr
from keras_shufflenet.weights.assignment import (
    KeyReport,
    has_preprocessing,
    reverse_colors,
    weighted_layers,
)
from keras_shufflenet.weights.checkpoint import HDF5_MAGIC, MAX_EXPANSION
from keras_shufflenet.weights.errors import MALFORMED, CheckpointError
from keras_shufflenet.weights.torch_pickle import ZIP_MAGIC

MEMBER = "model.weights.h5"


def is_keras_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a file was saved by Keras, by its content."""
    with open(path, "rb") as stream:
        head = stream.read(len(HDF5_MAGIC))
    if head == HDF5_MAGIC:
        return True
    if not head.startswith(ZIP_MAGIC):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return MEMBER in archive.namelist()
    except zipfile.BadZipFile:
        return False


def load_keras_file(
    model: keras.Model, path: str | os.PathLike[str], *, include_head: bool = True
) -> None:
    """Assign the weights of a Keras file to a model.

    Args:
        model: A model made by a builder of this package.
        path: Path of a `.weights.h5` or `.keras` file.
        include_head: Whether to load the classifier or keypoint head, too. If False, the model's
            head stays as it is, and the file's is ignored.

    Raises:
        CheckpointError: If the file is malformed.
        WeightsMismatchError: If it is of another model. Nothing was assigned.
    """
    try:
        with _open(Path(path)) as file:
            values = _matched(model, dict(_saved_layers(file)), include_head, path)
            reverse_stem = takes_bgr(model) and _has_preprocessing(file) != has_preprocessing(model)
    except (*MALFORMED, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, ValueError) and "Received: " in str(error):
            raise
        raise CheckpointError(
            f"The Keras file is malformed or truncated ({error}); supported are files of "
            f"`model.save_weights` and `model.save`. Received: {os.fspath(path)!r}"
        ) from error
    stem = model.get_layer(STEM).kernel if reverse_stem else None
    for variable, value in values:
        variable.assign(reverse_colors(value, 2) if variable is stem else value)


def _open(path: Path) -> h5py.File:
    if not zipfile.is_zipfile(path):
        return h5py.File(path, "r")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(MEMBER)
        if info.file_size > MAX_EXPANSION * path.stat().st_size:
            raise ValueError(f"{MEMBER} claims to unpack to {info.file_size} bytes")
        return h5py.File(io.BytesIO(archive.read(MEMBER)), "r")


def _has_preprocessing(file: h5py.File) -> bool:
    """Return whether the model in the file takes RGB in 0..255 and preprocesses it itself."""
    names = {name for name, _ in _saved_layers(file)}
    return PREPROCESSING in names or "identity" in file["layers"]


def _saved_layers(file: h5py.File) -> Iterator[tuple[str, list[h5py.Dataset]]]:
    """Yield the names of the layers and their variables, in Keras' order."""
    for group in _children(file["layers"]):
        variables = group.get("vars")
        if variables is not None and len(variables):
            name = str(variables.attrs["name"])
            yield name, [_dataset(variables, str(index)) for index in range(len(variables))]


def _children(group: h5py.Group) -> Iterator[h5py.Group]:
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            yield group[name]


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """Return a variable, unless its numbers are in another file on this machine."""
    dataset = group[name]
    linked = not isinstance(group.get(name, getlink=True), h5py.HardLink)
    if linked or not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} is not a plain array")
    return dataset


def _matched(
    model: keras.Model,
    saved: dict[str, list[h5py.Dataset]],
    include_head: bool,
    path: str | os.PathLike[str],
) -> list[tuple[keras.Variable, np.ndarray]]:
    """Return variables and their numbers, which are read only if all shapes match."""
    report, pairs = KeyReport(), []
    body = weighted_layers(model, include_head)
    for layer in body:
        pairs += _compare(layer, saved.get(layer.name), report)
    used = {layer.name for layer in body}
    headless = not include_head or not any(is_top(name) for name in used)
    report.unexpected_keys = [
        f"layer {name!r}"
        for name in saved
        if name not in used
        and name != PREPROCESSING
        and not is_output(name)
        and not (headless and is_top(name))
    ]
    report.raise_if_any(model, "a Keras file", os.fspath(path))
    return [(variable, dataset[()]) for variable, dataset in pairs]


def _compare(
    layer: keras.Layer, saved: list[h5py.Dataset] | None, report: KeyReport
) -> list[tuple[keras.Variable, h5py.Dataset]]:
    if saved is None:
        report.missing_keys.append(f"layer {layer.name!r}")
        return []
    needed = [tuple(variable.shape) for variable in layer.weights]
    shapes = [dataset.shape for dataset in saved]
    if shapes != needed:
        report.mismatched.append(f"layer {layer.name!r} is {shapes}, {needed} needed")
    return list(zip(layer.weights, saved, strict=False))
