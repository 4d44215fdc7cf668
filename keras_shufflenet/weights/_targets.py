"""The variables of a model, the keys of their numbers in a state dict, and whether these match."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from keras_shufflenet._layer_names import AUXILIARY_PREFIX, STEM, is_head, is_output, is_top
from keras_shufflenet.weights._subsets import is_counter
from keras_shufflenet.weights.assignment import (
    KeyReport,
    assign,
    has_preprocessing,
    is_plausible,
    reverse_colors,
    weighted_layers,
)
from keras_shufflenet.weights.errors import WeightsMismatchError
from keras_shufflenet.weights.layouts._layout import Layout

# Axes of PyTorch's kernel in Keras' order.
KERNEL_AXES: dict[type[keras.Layer], tuple[int, ...]] = {
    layers.Conv2D: (2, 3, 1, 0),
    layers.DepthwiseConv2D: (2, 3, 0, 1),
    layers.Conv2DTranspose: (2, 3, 1, 0),
    layers.Dense: (1, 0),
}
INPUT_CHANNELS = 1  # axis of PyTorch's convolution kernel
PARAMETERS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@dataclass(frozen=True)
class Target:
    """A variable, and the key of its numbers in a checkpoint.

    Attributes:
        layer: Name of the layer.
        variable: Variable to assign.
        key: Key in the checkpoint.
        axes: Axes of the checkpoint's array, in Keras' order.
        reverse_input: Whether the input channels must be reversed, from BGR to RGB.
    """

    layer: str
    variable: keras.Variable
    key: str
    axes: tuple[int, ...]
    reverse_input: bool = False

    def fits(self, array: np.ndarray) -> bool:
        """Return whether an array is floating point and has the right shape."""
        return (
            np.issubdtype(array.dtype, np.floating)
            and array.ndim == len(self.axes)
            and tuple(array.shape[axis] for axis in self.axes) == tuple(self.variable.shape)
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape that the checkpoint's array must have."""
        size = dict(zip(self.axes, self.variable.shape, strict=True))
        return tuple(size[axis] for axis in range(len(self.axes)))

    def read(self) -> np.ndarray:
        """Return the variable as the checkpoint has it."""
        array = np.asarray(keras.ops.convert_to_numpy(self.variable)).transpose(
            np.argsort(self.axes)
        )
        return np.ascontiguousarray(
            reverse_colors(array, INPUT_CHANNELS) if self.reverse_input else array
        )

    def assign(self, array: np.ndarray) -> None:
        """Transpose an array and assign it."""
        if self.reverse_input:
            array = reverse_colors(array, INPUT_CHANNELS)
        assign(self.variable, array.transpose(self.axes))


def find_targets(model: keras.Model, body: Sequence[keras.Layer], layout: Layout) -> list[Target]:
    """Return the variables of layers that a layout has."""
    reversed_layer = STEM if layout.channel_order == "bgr" and has_preprocessing(model) else None
    return [
        _target(layer, variable, layout.modules[layer.name], layer.name == reversed_layer)
        for layer in body
        if layer.name in layout.modules
        for variable in layer.weights
    ]


def _target(
    layer: keras.Layer, variable: keras.Variable, module: str, reverse_input: bool
) -> Target:
    if variable.name not in PARAMETERS:
        raise WeightsMismatchError(
            f"PyTorch has no counterpart of the variable {variable.name!r} of layer "
            f"{layer.name!r}. Received: a layer of class {type(layer).__name__}"
        )
    axes = KERNEL_AXES[type(layer)] if variable.name == "kernel" else (0,)
    key = f"{module}.{PARAMETERS[variable.name]}"
    return Target(layer.name, variable, key, axes, reverse_input and variable.name == "kernel")


def _compare(target: Target, state: Mapping[str, np.ndarray], report: KeyReport) -> None:
    place = f"layer {target.layer!r} ({target.variable.name})"
    if target.key not in state:
        report.missing_keys.append(f"{target.key} for {place}")
    elif not target.fits(array := np.asarray(state[target.key])):
        report.mismatched.append(
            f"{target.key} is {array.dtype} {array.shape}, {place} needs floating point "
            f"{target.shape}"
        )
    elif not is_plausible(target.variable, array):
        report.mismatched.append(
            f"{target.key} has values that no trained network has, from {array.min():.3g} to "
            f"{array.max():.3g}: the file is damaged"
        )


def compare(
    model: keras.Model, state: Mapping[str, np.ndarray], layout: Layout, include_head: bool
) -> tuple[list[Target], KeyReport]:
    """Return the variables that a state dict is for, and its differences from the model.

    An unknown key in one of the network's outermost modules, or in a further one of the same kind
    such as `stage5`, is a difference; keys of other modules are left out.

    Args:
        model: A model made by a builder of this package.
        state: Arrays by the names of the layout.
        layout: The layout.
        include_head: Whether the classifier or keypoint head is loaded, too.
    """
    body = weighted_layers(model, include_head)
    targets = find_targets(model, body, layout)
    report = KeyReport(missing_keys=unknown_layers(body, layout))
    for target in targets:
        _compare(target, state, report)
    skipped = _skipped_modules(model, layout, include_head)
    used = {target.key for target in targets}
    own = {_kind(module) for module in layout.modules.values()}
    for key, array in state.items():
        alias = layout.alias(key)
        if alias is not None and alias in state:
            if not np.array_equal(array, state[alias]):
                report.mismatched.append(f"{key} differs from {alias}, of which it is an alias")
        elif (
            key in used
            or not skipped.isdisjoint(_modules(key))
            or is_counter(key, array)
            or layout.is_unused(key)
        ):
            continue
        elif "." in key and _kind(key) in own:
            report.unexpected_keys.append(key)
        else:  # a loss, a metric, the normalization of images, ...
            report.left_out.append(key)
    return targets, report


def has_output(model: keras.Model, state: Mapping[str, np.ndarray], layout: Layout) -> bool:
    """Return whether a state dict has an array of the output layer with the model's shape."""
    outputs = [layer for layer in weighted_layers(model, True) if is_output(layer.name)]
    return any(
        target.key in state and np.shape(state[target.key]) == target.shape
        for target in find_targets(model, outputs, layout)
    )


def unknown_layers(body: Sequence[keras.Layer], layout: Layout) -> list[str]:
    """Return entries of a report for the layers that a layout does not have."""
    names = [layer.name for layer in body if layer.name not in layout.modules]
    return [f"anything for layer {name!r}" for name in names]


def _skipped_modules(model: keras.Model, layout: Layout, include_head: bool) -> set[str]:
    """Return the modules of the publisher's top that are not loaded.

    Modules that have nothing else are among them, such as `classifier` for `classifier.1`, where a
    head of one's own may be.
    """
    names = {layer.name for layer in model.layers}
    has_top = any(is_top(name) for name in names)

    def skipped(name: str) -> bool:
        if not include_head:
            return is_head(name) or (is_top(name) and name not in names)
        return name not in names and (
            name.startswith(AUXILIARY_PREFIX) or is_output(name) or not has_top
        )

    left = {name for name in layout.modules if is_top(name) and skipped(name)}
    outermost = {name: module.partition(".")[0] for name, module in layout.modules.items()}
    kept = {module for name, module in outermost.items() if name not in left}
    return {layout.modules[name] for name in left} | {outermost[name] for name in left} - kept


def _kind(key: str) -> str:
    """Return the name of the outermost module of a parameter, without its number."""
    return key.partition(".")[0].rstrip("0123456789")


def _modules(key: str) -> tuple[str, str]:
    """Return the module of a parameter, and the outermost module that it is in."""
    return key.rpartition(".")[0], key.partition(".")[0]
