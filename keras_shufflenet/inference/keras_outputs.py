"""Names of the outputs of Keras models, and their channel order."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

ONLY = "output"  # name of the output of a model that names none


def output_names(model: "keras.Model") -> tuple[str, ...] | None:
    """Return unique names of a model's outputs, in its order; None if it does not declare them.

    They are the keys of a dictionary of outputs, otherwise the names of the layers.
    """
    names = getattr(model, "output_names", None)
    if not names:
        return None
    if isinstance(model.output, Mapping) and len(model.output) == len(names):
        return tuple(sorted(model.output))
    return _unique(names)


def name_outputs(names: Sequence[str] | None, outputs: Any) -> dict[str, Any]:
    """Return the outputs of a call by name.

    Args:
        names: Names in the order of the model; None for the keys of a dictionary, or numbers.
        outputs: A tensor, or a list or dictionary of tensors.
    """
    import keras

    flat = keras.tree.flatten(outputs)
    if names is None and isinstance(outputs, Mapping):
        names = sorted(outputs)
    elif names is None:
        numbered = [f"{ONLY}_{index}" for index in range(len(flat))]
        names = [ONLY] if len(flat) == 1 else numbered
    return dict(zip(names, flat, strict=True))


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Number repeated names."""
    found: list[str] = []
    for name in names:
        alike = sum(other == name for other in names[: len(found)])
        found.append(f"{name}_{alike}" if alike else name)
    return tuple(found)


def is_channels_first(model: "keras.Model") -> bool:
    """Return whether a model, or a model inside it, has layers that expect channels first.

    Cropping layers do not count: `models.layers.channel_slice` uses them with either order.
    """
    import keras

    return any(
        is_channels_first(layer)
        if isinstance(layer, keras.Model)
        else getattr(layer, "data_format", None) == "channels_first"
        and not isinstance(layer, keras.layers.Cropping2D)
        for layer in model.layers
    )
