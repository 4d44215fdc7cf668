"""Names of networks, and where in them the strides are."""

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from keras_shufflenet.models import (
    detnas,
    mobilenet_v2,
    one_shot,
    shufflenet_v1,
    shufflenet_v2,
    shufflenet_v2_large,
    shufflenet_v2_plus,
)


@dataclass(frozen=True)
class Family:
    """Networks that one builder makes.

    Attributes:
        builder: makes the model.
        variants: registry name to the builder's arguments.
        taps: stride to the beginning of the names of the layers that end there.
    """

    builder: Callable[..., keras.Model]
    variants: Mapping[str, Mapping[str, Any]]
    taps: Mapping[int, str]


FAMILIES = (
    Family(shufflenet_v1.ShuffleNetV1, shufflenet_v1.VARIANTS, shufflenet_v1.TAPS),
    Family(shufflenet_v2.ShuffleNetV2, shufflenet_v2.VARIANTS, shufflenet_v2.TAPS),
    Family(
        shufflenet_v2_plus.ShuffleNetV2Plus, shufflenet_v2_plus.VARIANTS, shufflenet_v2_plus.TAPS
    ),
    Family(
        shufflenet_v2_large.ShuffleNetV2Large,
        shufflenet_v2_large.LARGE_VARIANTS,
        shufflenet_v2_large.TAPS,
    ),
    Family(
        shufflenet_v2_large.ShuffleNetV2ExLarge,
        shufflenet_v2_large.EXLARGE_VARIANTS,
        shufflenet_v2_large.TAPS,
    ),
    Family(one_shot.OneShotNet, one_shot.VARIANTS, one_shot.TAPS),
    Family(detnas.DetNAS, detnas.VARIANTS, detnas.TAPS),
    Family(mobilenet_v2.MobileNetV2, mobilenet_v2.VARIANTS, mobilenet_v2.TAPS),
)


def list_models(pattern: str = "*") -> list[str]:
    """Names for `create_model`, sorted.

    Args:
        pattern: with the wildcards of a shell, for example "shufflenet_v2*".
    """
    return sorted(
        name for family in FAMILIES for name in family.variants if fnmatch.fnmatch(name, pattern)
    )


def create_model(name: str, **arguments: Any) -> keras.Model:
    """Build a network by name.

    Args:
        name: one of `list_models()`.
        arguments: further ones of the builder, for example `weights="imagenet"`.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: if there is no such network.
    """
    for family in FAMILIES:
        if name in family.variants:
            return family.builder(**{**family.variants[name], **arguments})
    raise ValueError(
        f"There is no such network; `list_models()` has {len(list_models())}, among them: "
        f"{', '.join(_near(name))}. "
        f"Received: name={name!r}"
    )


def _near(name: str) -> list[str]:
    return difflib.get_close_matches(name, list_models(), n=5, cutoff=0.3) or list_models()[:5]


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
        model = create_model(model, **{"include_top": False, **arguments})
    taps = _taps(model)
    strides = [strides] if isinstance(strides, int) else list(strides)
    if not strides or any(stride not in taps for stride in strides):
        allowed = ", ".join(map(str, taps))
        raise ValueError(f"`strides` have to be among {allowed}. Received: strides={strides}")
    outputs = [_layers_of(model, taps[stride])[-1].output for stride in strides]
    return keras.Model(model.input, outputs, name=f"{model.name}_features")


def _taps(model: keras.Model) -> Mapping[int, str]:
    for family in FAMILIES:
        if all(_layers_of(model, prefix) for prefix in family.taps.values()):
            return family.taps
    raise ValueError(
        "Features by stride are there for this package's networks only. "
        f"Received: a model named {model.name!r} with other layers"
    )


def _layers_of(model: keras.Model, prefix: str) -> list[keras.Layer]:
    """The layers whose names begin with a prefix, in the order of the network."""
    return [
        layer
        for layer in model.layers
        if layer.name == prefix or layer.name.startswith(f"{prefix}_")
    ]
