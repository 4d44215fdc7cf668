"""What PyTorch checkpoints and Keras files share: which layers get weights, and the key report."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import keras
import numpy as np

from keras_shufflenet._layer_names import PREPROCESSING, STEM, is_head
from keras_shufflenet.weights.errors import MAX_LISTED, WeightsMismatchError

MAX_WEIGHT = 1e9  # far above any weight, but below most numbers with a flipped exponent bit
RGB = 3
ADAPT = "(The builders adapt them with `adapt_input_channels=True`.)"


def weighted_layers(model: keras.Model, include_head: bool) -> list[keras.Layer]:
    """Return the layers that weights are loaded into, without the normalization of images.

    Args:
        model: Any functional model.
        include_head: Whether to include the classifier or keypoint head.
    """
    return [
        layer
        for layer in model.layers
        if layer.weights
        and not isinstance(layer, keras.layers.Normalization)
        and (include_head or not is_head(layer.name))
    ]


def head_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers whose shape depends on the number of classes or keypoints."""
    return [layer for layer in weighted_layers(model, include_head=True) if is_head(layer.name)]


def has_preprocessing(model: keras.Model) -> bool:
    """Return whether a model takes RGB in 0..255 and preprocesses it itself."""
    return any(layer.name == PREPROCESSING for layer in model.layers)


def stem_channels(model: keras.Model) -> int | None:
    """Return the number of channels of a network's images; None for another kind of model."""
    stems = [layer for layer in model.layers if layer.name == STEM]
    return int(stems[0].kernel.shape[2]) if stems else None


def reverse_colors(array: np.ndarray, axis: int) -> np.ndarray:
    """Swap red and blue, the first and the third channel; further channels stay."""
    if array.shape[axis] < RGB:
        return array
    order = [2, 1, 0, *range(RGB, array.shape[axis])]
    return np.take(array, order, axis)


def warn_of_new_head(model: keras.Model, received: str) -> None:
    """Warn that a model keeps its head, of which a file has none of the same shapes."""
    names = [layer.name for layer in head_layers(model)]
    warnings.warn(
        "The file has no classifier with the names and shapes of this model's: everything else "
        f"was loaded, and the classifier {', '.join(f'`{name}`' for name in names)} is new, with "
        f"random weights. Received: {received}",
        stacklevel=2,
    )


@dataclass
class KeyReport:
    """The differences between the keys of a file and the variables of a model.

    Attributes:
        missing_keys: Keys that the model needs and the file lacks.
        unexpected_keys: Keys of the file that the model has no variable for.
        mismatched: Keys with another shape, type or impossible values.
        left_out: Keys of modules that the network does not have, such as a loss.
    """

    missing_keys: list[str] = field(default_factory=list)
    unexpected_keys: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of differences because of which the weights cannot be loaded."""
        return len(self.missing_keys) + len(self.unexpected_keys) + len(self.mismatched)

    def raise_if_any(self, model: keras.Model, origin: str, received: str) -> None:
        """Raise WeightsMismatchError unless file and model match."""
        if self:
            raise self.error(f"The checkpoint ({origin}) does not match", model, received)

    def error(self, start: str, model: keras.Model, received: str) -> WeightsMismatchError:
        """Return the error that lists the differences.

        Args:
            start: Beginning of its message, which the name of the model follows.
            model: The model.
            received: The file.
        """
        entries = [
            _enumerate("missing keys", self.missing_keys),
            _enumerate("unexpected keys", self.unexpected_keys),
            _enumerate("mismatched shapes, types or values", self.mismatched),
        ]
        stem = any(STEM in entry for entry in self.mismatched)
        hint = f"\n{ADAPT}" if stem and stem_channels(model) not in (None, RGB) else ""
        return WeightsMismatchError(
            f"{start} the model {model.name!r}; nothing was assigned.{''.join(entries)}{hint}\n"
            "Every variable must be assigned exactly once, and every key must be used. "
            f"Received: {received}"
        )


def _enumerate(title: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    rest = len(items) - MAX_LISTED
    more = [f"... and {rest} more"] if rest > 0 else []
    lines = [f"{title} ({len(items)}):", *items[:MAX_LISTED], *more]
    return "".join(f"\n    {line}" for line in lines)


def is_plausible(variable: keras.Variable, array: np.ndarray) -> bool:
    """Return whether numbers can be weights: finite, not huge, and no negative variance."""
    if variable.name == "moving_variance" and array.min(initial=0) < 0:
        return False
    return float(np.abs(array).max(initial=0)) < MAX_WEIGHT  # false for NaN, too


def assign(variable: keras.Variable, array: np.ndarray) -> None:
    """Copy an array into a variable.

    On TensorFlow, `keras.Variable.assign` takes ten times as long as the copy itself, for checks
    that were made already; with hundreds of variables that is longer than reading their file.

    Args:
        variable: A variable of a built layer.
        array: Numbers of the variable's shape.
    """
    # Backends keep what they get, and the array may be read-only or a view into a file.
    array = np.array(array, np.float32, order="C")
    handle = _tensorflow_handle(variable)
    if handle is None:
        variable.assign(array)
    else:
        import tensorflow as tf

        tf.raw_ops.AssignVariableOp(resource=handle, value=array)


def _tensorflow_handle(variable: keras.Variable) -> object | None:
    """Return TensorFlow's resource of a float32 variable on a single device."""
    if keras.backend.backend() != "tensorflow" or variable.dtype != "float32":
        return None
    value = variable.value
    distributed = hasattr(value, "values")
    return None if distributed else getattr(value, "handle", None)
