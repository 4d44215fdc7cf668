"""Load weights that Keras saved: `.weights.h5` and `.h5` files, and models in `.keras` files.

All are matched by layer names, as strictly as a PyTorch checkpoint.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import h5py
import keras
import numpy as np

from keras_shufflenet._layer_names import PREPROCESSING, STEM, is_body, is_output, is_top
from keras_shufflenet.weights import layouts
from keras_shufflenet.weights._choice import Request, find_fault
from keras_shufflenet.weights._outputs import match_head
from keras_shufflenet.weights._state_dict import takes_bgr
from keras_shufflenet.weights.assignment import (
    KeyReport,
    has_preprocessing,
    is_plausible,
    reverse_colors,
    warn_of_new_head,
    weighted_layers,
)
from keras_shufflenet.weights.errors import WeightsMismatchError, list_names
from keras_shufflenet.weights.hdf5 import SavedModel, open_file, read, saved_models
from keras_shufflenet.weights.layouts._layout import KerasLayout

Layers = dict[str, list[h5py.Dataset]]
T = TypeVar("T")


def load_keras_file(model: keras.Model, path: str | os.PathLike[str], request: Request) -> None:
    """Assign the weights of a Keras file to a model.

    Args:
        model: A model made by a builder of this package.
        path: Path of a `.weights.h5`, `.h5` or `.keras` file of this package's network, which may
            be within another model, or of keras.applications.
        request: What to take of it; `layout`, `ema` and `prefix` are of PyTorch checkpoints only.

    Raises:
        CheckpointError: If the file is malformed.
        WeightsMismatchError: If it is of another model. Nothing was assigned.
    """
    with open_file(Path(path)) as file:
        match = _matched(model, saved_models(file), request, path)
        saved = match.saved
        reverse_stem = takes_bgr(model) and saved.has_preprocessing != has_preprocessing(model)
        values = [(variable, read(dataset)) for variable, dataset in match.pairs]
        if request.match_outputs is not None:
            values += match_head(
                model,
                lambda layer: [read(dataset) for dataset in match.layers.get(layer.name, ())],
                request.match_outputs,
                "a Keras file",
                repr(os.fspath(path)),
            )
    _check_values(model, values, path)
    stem = model.get_layer(STEM).kernel if reverse_stem else None
    for variable, value in values:
        variable.assign(reverse_colors(value, 2) if variable is stem else value)


def _check_values(
    model: keras.Model,
    values: Sequence[tuple[keras.Variable, np.ndarray]],
    path: str | os.PathLike[str],
) -> None:
    report = KeyReport()
    for variable, value in values:
        if not is_plausible(variable, value):
            report.mismatched.append(
                f"{variable.path} has values that no trained network has: the file is damaged"
            )
    report.raise_if_any(model, "a Keras file", os.fspath(path))


@dataclass(frozen=True)
class Match:
    """A model in a file, beside ours.

    Attributes:
        saved: The model in the file.
        layers: Its layers by our names.
        pairs: Our variables with their numbers in the file.
        report: The differences.
        number: Number of our layers that it has.
    """

    saved: SavedModel
    layers: Layers
    pairs: list[tuple[keras.Variable, h5py.Dataset]]
    report: KeyReport
    number: int


def _matched(
    model: keras.Model,
    models: Sequence[SavedModel],
    request: Request,
    path: str | os.PathLike[str],
) -> Match:
    """Return the saved model whose layers match."""
    received = repr(os.fspath(path))
    matches = _matches(model, models, request.include_head, received)
    found = [match for match in matches if not match.report]
    new_head = False
    if not found and request.skip_mismatched_head:
        bodies = _matches(model, models, False, received)
        fitting = [match for match in bodies if not match.report]
        new_head = not any(_has_output(model, match.layers) for match in fitting)
        if new_head:
            matches, found = bodies, fitting
    if not found:
        closest = max(matches, key=lambda match: match.number)
        place = closest.saved.place
        where = f", in the model {place!r} within it" if place else ""
        closest.report.raise_if_any(model, f"a Keras file{where}", os.fspath(path))
    if len(found) > 1:
        places = ", ".join(repr(match.saved.place) for match in found)
        raise WeightsMismatchError(
            f"The file has several networks that match the model {model.name!r}, in the groups "
            f"{places}: save the one that is wanted alone. Received: {received}"
        )
    left_out = found[0].report.left_out
    if left_out:
        warnings.warn(
            "The file has layers or arrays beside the network, which were left out: "
            f"{list_names(left_out)}",
            stacklevel=2,
        )
    if new_head:
        warn_of_new_head(model, received)
    return found[0]


def _matches(
    model: keras.Model, models: Sequence[SavedModel], include_head: bool, received: str
) -> list[Match]:
    """Return the comparison of each saved model with ours.

    Raises:
        WeightsMismatchError: If one is a publisher's and of another network.
    """
    body = weighted_layers(model, include_head)
    matches = []
    for saved in models:
        names = _publisher(saved)
        if names is not None and (fault := find_fault(model, names)) is not None:
            raise WeightsMismatchError(
                f"The file is of the network {names.name!r}, {fault}: it does not match the model "
                f"{model.name!r}. Received: {received}"
            )
        layers = saved.layers if names is None else _renamed(saved.layers, names)
        report, pairs = _compare(body, layers, include_head)
        further = saved.further if names is None else _renamed(saved.further, names)
        report.left_out += further.get("", [])
        for layer in body:
            report.unexpected_keys += further.get(layer.name, [])
        number = sum(layer.name in layers for layer in body)
        matches.append(Match(saved, layers, pairs, report, number))
    return matches


def _has_output(model: keras.Model, layers: Layers) -> bool:
    """Return whether a saved model has an array of the output layer with the model's shape."""
    return any(
        dataset.shape == tuple(variable.shape)
        for layer in weighted_layers(model, True)
        if is_output(layer.name)
        for dataset in layers.get(layer.name, ())
        for variable in layer.weights
    )


def _publisher(saved: SavedModel) -> KerasLayout | None:
    """Return the layout that has most layers of a saved model; None for our own names."""
    for names in layouts.KERAS_LAYOUTS:
        theirs = set(names.modules.values())
        if 2 * len(theirs & set(saved.layers)) > len(theirs):
            return names
    return None


def _renamed(layers: dict[str, T], names: KerasLayout) -> dict[str, T]:
    """Return the layers by our names, those that the layout does not have by theirs."""
    ours = {theirs: layer for layer, theirs in names.modules.items()}
    return {ours.get(name, name): variables for name, variables in layers.items()}


def _compare(
    body: Sequence[keras.Layer], layers: Layers, include_head: bool
) -> tuple[KeyReport, list[tuple[keras.Variable, h5py.Dataset]]]:
    """Return the differences between a saved model and our layers, and the pairs of variables.

    Without a head, a model takes the network out of a larger one, whose other layers are left out.
    """
    report, pairs = KeyReport(), []
    for layer in body:
        pairs += _pairs(layer, layers.get(layer.name), report)
    used = {layer.name for layer in body}
    headless = not include_head or not any(is_top(name) for name in used)
    for name in layers:
        ignored = name == PREPROCESSING or is_output(name) or (headless and is_top(name))
        if name not in used and not ignored:
            beside = headless and not is_body(name)
            (report.left_out if beside else report.unexpected_keys).append(f"layer {name!r}")
    return report, pairs


def _pairs(
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
