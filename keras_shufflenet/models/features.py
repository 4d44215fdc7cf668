"""Maps of a network by stride."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from keras_shufflenet.models.families import FAMILIES, build_network


def feature_extractor(
    model: keras.Model | str, strides: Iterable[int] | int = (4, 8, 16, 32), **arguments: Any
) -> keras.Model:
    """A model that gives the maps at several strides.

    Args:
        model: one of this package's networks, or its name.
        strides: which, of 2, 4, 8, 16, 32: several, or one.
        arguments: for the builder, if `model` is a name; the classifier is left out.

    Returns:
        A functional model with a list of outputs, in the order of `strides`: each is the last
        tensor of the network of that stride (after a shuffle, before the last 1 × 1 convolution).

    Raises:
        ValueError: for an unknown network or stride.
    """
    if isinstance(model, str):
        model = build_network(model, **{"include_top": False, **arguments})
    taps = _taps(model)
    strides = list(strides) if isinstance(strides, Iterable) else [strides]
    if not strides or any(stride not in taps for stride in strides):
        allowed = ", ".join(map(str, taps))
        raise ValueError(f"`strides` must be among {allowed}. Received: strides={strides}")
    outputs = [_layers_of(model, taps[stride])[-1].output for stride in strides]
    return keras.Model(model.input, outputs, name=f"{model.name}_features")


def _taps(model: keras.Model) -> Mapping[int, str]:
    """The taps of the family that has the model's stages, no fewer and no more."""
    stages = {name for layer in model.layers if (name := _group(layer.name)).startswith("stage")}
    for family in FAMILIES:
        prefixes = family.taps.values()
        known = {prefix for prefix in prefixes if prefix.startswith("stage")}
        if known == stages and all(_layers_of(model, prefix) for prefix in prefixes):
            return family.taps
    raise ValueError(
        "Features by stride are there for this package's networks only. "
        f"Received: a model named {model.name!r} with other layers"
    )


def _group(name: str) -> str:
    return name.partition("_")[0]


def _layers_of(model: keras.Model, prefix: str) -> list[keras.Layer]:
    """The layers whose names begin with a prefix, in the order of the network."""
    return [
        layer
        for layer in model.layers
        if layer.name == prefix or layer.name.startswith(f"{prefix}_")
    ]
