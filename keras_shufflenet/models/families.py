"""The families of networks: builder, names, and where in them the strides are."""

import difflib
from collections.abc import Callable, Mapping
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
        presets: registry name to the builder's arguments.
        taps: stride to the beginning of the names of the layers that end there.
    """

    builder: Callable[..., keras.Model]
    presets: Mapping[str, Mapping[str, Any]]
    taps: Mapping[int, str]


FAMILIES = (
    Family(shufflenet_v1.ShuffleNetV1, shufflenet_v1.PRESETS, shufflenet_v1.FEATURE_PREFIXES),
    Family(shufflenet_v2.ShuffleNetV2, shufflenet_v2.PRESETS, shufflenet_v2.FEATURE_PREFIXES),
    Family(
        shufflenet_v2_plus.ShuffleNetV2Plus,
        shufflenet_v2_plus.PRESETS,
        shufflenet_v2_plus.FEATURE_PREFIXES,
    ),
    Family(
        shufflenet_v2_large.ShuffleNetV2Large,
        shufflenet_v2_large.LARGE_PRESETS,
        shufflenet_v2_large.FEATURE_PREFIXES,
    ),
    Family(
        shufflenet_v2_large.ShuffleNetV2ExLarge,
        shufflenet_v2_large.EXLARGE_PRESETS,
        shufflenet_v2_large.FEATURE_PREFIXES,
    ),
    Family(one_shot.OneShotNet, one_shot.PRESETS, one_shot.FEATURE_PREFIXES),
    Family(detnas.DetNAS, detnas.PRESETS, detnas.FEATURE_PREFIXES),
    Family(mobilenet_v2.MobileNetV2, mobilenet_v2.PRESETS, mobilenet_v2.FEATURE_PREFIXES),
)


def network_names() -> list[str]:
    """Names of all networks, sorted."""
    return sorted(name for family in FAMILIES for name in family.presets)


def build_network(name: str, **arguments: Any) -> keras.Model:
    """Build a network by name.

    Args:
        name: one of `network_names()`.
        arguments: further ones of the builder.

    Raises:
        ValueError: if there is no such network.
    """
    for family in FAMILIES:
        if isinstance(name, str) and name in family.presets:
            return family.builder(**{**family.presets[name], **arguments})
    names = network_names()
    near = difflib.get_close_matches(str(name), names, n=5, cutoff=0.3) or names[:5]
    raise ValueError(
        f"There is no such network; `list_models()` has {len(names)} names, among them "
        f"{', '.join(near)}. Received: name={name!r}"
    )
