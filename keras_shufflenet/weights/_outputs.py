"""The outputs of a file's last layers that are those of a model: the classes of both, for example.

A last layer has its outputs on the last axis of kernel and bias, in Keras' order of axes.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from keras_shufflenet.weights.assignment import (
    KeyReport,
    head_layers,
    is_plausible,
    warn_of_new_head,
)

MatchOutputs = Callable[[str, int, int], Sequence[int | None]]
"""Maps the name of a layer, the number of the model's outputs and that of the file's to the index
in the file of each of the model's outputs, None for a new one."""

Pairs = list[tuple[keras.Variable, np.ndarray]]


def match_head(
    model: keras.Model,
    arrays: Callable[[keras.Layer], Sequence[np.ndarray]],
    match: MatchOutputs,
    origin: str,
    received: str,
) -> Pairs:
    """Return the variables of the last layers with their numbers, those of new outputs unchanged.

    Args:
        model: The model.
        arrays: Returns the numbers of a layer's variables in the file, with Keras' axes; none if
            the file does not have the layer. If it has none of the layers, a warning says so.
        match: Which outputs are which.
        origin: What the file is, for messages.
        received: The file, for messages.

    Raises:
        WeightsMismatchError: If the layers differ in more than their outputs.
    """
    report, pairs = KeyReport(), Pairs()
    for layer in head_layers(model):
        found = arrays(layer)
        if len(found) == len(layer.weights):
            pairs += _match_layer(layer, found, match, report)
        else:
            report.missing_keys.append(f"layer {layer.name!r}")
    if pairs or report.mismatched:
        report.raise_if_any(model, origin, received)
    else:
        warn_of_new_head(model, received)
    return pairs


def _match_layer(
    layer: keras.Layer, arrays: Sequence[np.ndarray], match: MatchOutputs, report: KeyReport
) -> Pairs:
    pairs = []
    for variable, value, array in zip(layer.weights, layer.get_weights(), arrays, strict=True):
        value = value.copy()
        place = f"layer {layer.name!r} ({variable.name})"
        if array.ndim != value.ndim or array.shape[:-1] != value.shape[:-1]:
            needed = (*value.shape[:-1], "any")
            report.mismatched.append(f"{place} is {array.shape}, {needed} needed")
        elif not is_plausible(variable, array):
            report.mismatched.append(f"{place} has values that no trained network has")
        else:
            rows = match(layer.name, value.shape[-1], array.shape[-1])
            kept = [index for index, row in enumerate(rows) if row is not None]
            value[..., kept] = array[..., [row for row in rows if row is not None]]
            pairs.append((variable, value))
    return pairs
