"""Weights that Keras saved: `.weights.h5` files and whole models in `.keras` files.

Both are matched by the names of the layers, with the same strictness as a PyTorch checkpoint.
"""

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_shufflenet.weights.account import Account
from keras_shufflenet.weights.errors import MALFORMED, CheckpointError
from keras_shufflenet.weights.state_dict import (
    PREPROCESSING,
    STEM,
    has_preprocessing,
    is_top,
    takes_bgr,
    weighted_layers,
)

HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\3\4"
MEMBER = "model.weights.h5"
LARGEST_EXPANSION = 100


def is_keras_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is of Keras, judged by its content."""
    with open(path, "rb") as stream:
        head = stream.read(len(HDF5))
    if head == HDF5:
        return True
    if not head.startswith(ZIP):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return MEMBER in archive.namelist()
    except zipfile.BadZipFile:
        return False


def load_keras_file(
    model: keras.Model, path: str | os.PathLike[str], *, backbone_only: bool = False
) -> None:
    """Assign the weights of a file of Keras to a model.

    Args:
        model: made by a builder of this package.
        path: of a `.weights.h5` or `.keras` file.
        backbone_only: leave the classifier or keypoint head as it is and ignore the file's.

    Raises:
        CheckpointError: if the file is broken.
        WeightsMismatchError: if it is of another model. Nothing was assigned.
    """
    try:
        with _open(Path(path)) as file:
            values = _matched(model, dict(_saved_layers(file)), backbone_only, path)
            turned = takes_bgr(model) and _has_preprocessing(file) != has_preprocessing(model)
    except (*MALFORMED, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, ValueError) and "Received: " in str(error):
            raise
        raise CheckpointError(
            f"The file of Keras is broken ({error}); allowed are files of `model.save_weights` "
            f"and `model.save`. Received: {os.fspath(path)!r}"
        ) from error
    stem = model.get_layer(STEM).kernel if turned else None
    for variable, value in values:
        variable.assign(value[:, :, ::-1] if variable is stem else value)


def _open(path: Path) -> h5py.File:
    if not zipfile.is_zipfile(path):
        return h5py.File(path, "r")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(MEMBER)
        if info.file_size > LARGEST_EXPANSION * path.stat().st_size:
            raise ValueError(f"{MEMBER} claims to unpack to {info.file_size} bytes")
        return h5py.File(io.BytesIO(archive.read(MEMBER)), "r")


def _has_preprocessing(file: h5py.File) -> bool:
    """Whether the model in the file takes RGB and turns it to what its network takes."""
    names = {name for name, _ in _saved_layers(file)}
    return PREPROCESSING in names or "identity" in file["layers"]


def _saved_layers(file: h5py.File) -> Iterator[tuple[str, list[h5py.Dataset]]]:
    """Names of the layers and their variables, in Keras' order."""
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
    """A variable, unless its numbers are somewhere else on this machine."""
    dataset = group[name]
    linked = not isinstance(group.get(name, getlink=True), h5py.HardLink)
    if linked or not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} is no plain array")
    return dataset


def _matched(
    model: keras.Model,
    saved: dict[str, list[h5py.Dataset]],
    backbone_only: bool,
    path: str | os.PathLike[str],
) -> list[tuple[keras.Variable, np.ndarray]]:
    """Variables and their numbers, read only once all shapes are known to be right."""
    account, pairs = Account(), []
    body = weighted_layers(model, backbone_only)
    for layer in body:
        pairs += _compare(layer, saved.get(layer.name), account)
    used = {layer.name for layer in body}
    headless = backbone_only or not any(is_top(name) for name in used)
    account.extra = [
        f"layer {name!r}"
        for name in saved
        if name not in used and name != PREPROCESSING and not (headless and is_top(name))
    ]
    account.settle(model, "a file of Keras", os.fspath(path))
    return [(variable, dataset[()]) for variable, dataset in pairs]


def _compare(
    layer: keras.Layer, saved: list[h5py.Dataset] | None, account: Account
) -> list[tuple[keras.Variable, h5py.Dataset]]:
    if saved is None:
        account.missing.append(f"layer {layer.name!r}")
        return []
    needed = [tuple(variable.shape) for variable in layer.weights]
    shapes = [dataset.shape for dataset in saved]
    if shapes != needed:
        account.wrong.append(f"layer {layer.name!r} is {shapes}, {needed} needed")
    return list(zip(layer.weights, saved, strict=False))
