"""State dicts: PyTorch's parameters by name, from and to a model's variables.

Every variable must be assigned exactly once and every key must be used; otherwise nothing is
assigned, and the error lists the missing keys, unexpected keys and mismatched shapes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from keras_shufflenet._layer_names import AUXILIARY_PREFIX, STEM, is_head, is_output, is_top
from keras_shufflenet.weights import catalog, layouts
from keras_shufflenet.weights.assignment import (
    KeyReport,
    assign,
    has_preprocessing,
    reverse_colors,
    weighted_layers,
)
from keras_shufflenet.weights.errors import WeightsMismatchError
from keras_shufflenet.weights.layouts._layout import Layout
from keras_shufflenet.weights.torch_pickle import strip_module_prefix

# Axes of PyTorch's kernel in Keras' order.
KERNEL_AXES: dict[type[keras.Layer], tuple[int, ...]] = {
    layers.Conv2D: (2, 3, 1, 0),
    layers.DepthwiseConv2D: (2, 3, 0, 1),
    layers.Conv2DTranspose: (2, 3, 1, 0),
    layers.Dense: (1, 0),
}
MAX_WEIGHT = 1e9  # far above any weight, but below most numbers with a flipped exponent bit
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

    def is_plausible(self, array: np.ndarray) -> bool:
        """Return whether numbers can be weights: finite, not huge, and no negative variance."""
        if self.variable.name == "moving_variance" and array.min(initial=0) < 0:
            return False
        return float(np.abs(array).max(initial=0)) < MAX_WEIGHT  # false for NaN, too

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


def load_state_dict(
    model: keras.Model,
    state: Mapping[str, np.ndarray],
    layout: str | None = None,
    *,
    include_head: bool = True,
) -> None:
    """Assign a PyTorch state dict to a model.

    Args:
        model: A model made by a builder of this package.
        state: Arrays by the publisher's parameter names, with PyTorch's axes, as returned by
            `read_checkpoint`. A leading `module.` is stripped.
        layout: Name in `layouts.LAYOUTS` of the publisher's layout. Defaults to the one that
            matches the keys.
        include_head: Whether to load the classifier or keypoint head, too. If False, the model's
            head stays as it is, and the checkpoint's is ignored. A model without a head, or
            without its output layer, always ignores the checkpoint's.

    Raises:
        WeightsMismatchError: A ValueError that lists the missing keys, unexpected keys and
            mismatched shapes, or tells that the checkpoint is of another network. Nothing was
            assigned.
    """
    state = strip_module_prefix(state)
    table = layouts.get(layout) if layout is not None else _find_layout(state)
    received = _describe(state)
    state = {table.normalize_key(key): array for key, array in state.items()}
    _check_structure(model, table, received)
    body = weighted_layers(model, include_head)
    targets = _targets(model, body, table)
    report = KeyReport(missing_keys=_unknown(body, table))
    for target in targets:
        _compare(target, state, report)
    skipped = _skipped_modules(model, table, include_head)
    used = {target.key for target in targets}
    for key in state:
        alias = table.alias(key)
        if alias is not None and alias in state:
            _compare_aliases(key, alias, state, report)
        elif key not in used and not _ignored(key, table, skipped):
            report.unexpected_keys.append(key)
    report.raise_if_any(model, f"layout {table.name!r}", received)
    for target in targets:
        target.assign(state[target.key])


def state_dict(model: keras.Model, layout: str | None = None) -> dict[str, np.ndarray]:
    """Return the weights of a model with the names and axes of a publisher's PyTorch code.

    `load_state_dict` reads them; `torch.from_numpy` makes tensors of the arrays. DetNAS' keys lack
    the names of the operators.

    Args:
        model: A model made by a builder of this package.
        layout: Name in `layouts.LAYOUTS` of the publisher's layout. Defaults to the layout of the
            model's own publisher.

    Returns:
        Arrays by the publisher's parameter names.

    Raises:
        ValueError: If the layout lacks layers of the model, or no layout has all of them.
    """
    fitting = fitting_layouts(model)
    names = [table.name for table in fitting]
    if layout is not None:
        fitting = [table for table in fitting if table is layouts.get(layout)]
    if not fitting:
        raise ValueError(
            f"`layout` must be one that has all layers of the model {model.name!r}: {names}. "
            f"Received: layout={layout!r}"
        )
    body = weighted_layers(model, include_head=True)
    return {target.key: target.read() for target in _targets(model, body, fitting[0])}


def takes_bgr(model: keras.Model) -> bool:
    """Return whether a network was published with BGR input."""
    return any(table.channel_order == "bgr" for table in fitting_layouts(model)[:1])


def fitting_layouts(model: keras.Model) -> list[Layout]:
    """Return the layouts that have all layers of a model, the one of its own publisher first.

    Args:
        model: A model made by a builder of this package.
    """
    body = weighted_layers(model, include_head=True)
    published = [entry.layout for entry in reversed(catalog.list_weights(model.name))]

    def similarity(table: Layout) -> tuple[int, bool, bool]:
        publisher, network = table.name.split("/")
        rank = published.index(table.name) if table.name in published else -1
        return rank, publisher in model.name, network in model.name

    fitting = [table for table in layouts.LAYOUTS.values() if _has_all(model, body, table)]
    return sorted(fitting, key=similarity, reverse=True)


def _has_all(model: keras.Model, body: Sequence[keras.Layer], layout: Layout) -> bool:
    names = {operation.name for operation in model.operations}
    fits = not (layout.requires - names or layout.excludes & names)
    return fits and not _unknown(body, layout)


def _describe(state: Mapping[str, np.ndarray]) -> str:
    return f"{len(state)} keys, the first of them {list(state)[:3]}"


def _split(key: str) -> tuple[str, str]:
    module, _, parameter = key.rpartition(".")
    return module, parameter


def _find_layout(state: Mapping[str, np.ndarray]) -> Layout:
    """Return the layout that has most of the keys; of several, the one with the fewest modules."""
    modules: dict[str | None, list[str]] = {}  # by ignored pattern, which few layouts have
    known = {}
    for name, layout in layouts.LAYOUTS.items():
        if layout.ignored_pattern not in modules:
            modules[layout.ignored_pattern] = [
                _split(layout.normalize_key(key))[0] for key in state
            ]
        theirs = set(layout.modules.values())
        known[name] = sum(module in theirs for module in modules[layout.ignored_pattern])
    best = max(known, key=lambda name: (known[name], -len(layouts.LAYOUTS[name].modules)))
    if 2 * known[best] < max(1, len(state)):
        tried = ", ".join(f"{name} {count}" for name, count in known.items())
        raise WeightsMismatchError(
            "No layout matches the keys of the checkpoint; numbers of known keys by layout: "
            f"{tried}. (For a supernet, extract one path with `weights.supernet_path`.) "
            f"Received: {_describe(state)}"
        )
    return layouts.LAYOUTS[best]


def _check_structure(model: keras.Model, layout: Layout, received: str) -> None:
    """Refuse a checkpoint of another network, even one with the same shapes."""
    names = {operation.name for operation in model.operations}
    body = [layer.name for layer in weighted_layers(model, include_head=False)]
    named = sum(name in layout.modules for name in body)
    if 2 * named < len(body):
        reason = (
            f"which has {named} of the {len(body)} layers with weights of this model's backbone"
        )
    elif layout.requires - names or layout.excludes & names:
        reason = "whose units are built differently"
    else:
        return
    raise WeightsMismatchError(
        f"The checkpoint is of the network {layout.name!r}, {reason}: it does not match the model "
        f"{model.name!r}. Received: {received}"
    )


def _unknown(body: Sequence[keras.Layer], layout: Layout) -> list[str]:
    names = [layer.name for layer in body if layer.name not in layout.modules]
    return [f"anything for layer {name!r}" for name in names]


def _targets(model: keras.Model, body: Sequence[keras.Layer], layout: Layout) -> list[Target]:
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
    elif not target.is_plausible(array):
        report.mismatched.append(
            f"{target.key} has values that no trained network has, from {array.min():.3g} to "
            f"{array.max():.3g}: the file is damaged"
        )


def _compare_aliases(
    key: str, alias: str, state: Mapping[str, np.ndarray], report: KeyReport
) -> None:
    """Report a tensor that is stored under two names with different values."""
    if not np.array_equal(state[key], state[alias]):
        report.mismatched.append(f"{key} differs from {alias}, of which it is an alias")


def _skipped_modules(model: keras.Model, layout: Layout, include_head: bool) -> set[str]:
    """Return the modules of the publisher's top that are not loaded."""
    names = {layer.name for layer in model.layers}
    has_top = any(is_top(name) for name in names)

    def skipped(name: str) -> bool:
        if not include_head:
            return is_head(name) or (is_top(name) and name not in names)
        return name not in names and (
            name.startswith(AUXILIARY_PREFIX) or is_output(name) or not has_top
        )

    return {module for name, module in layout.modules.items() if is_top(name) and skipped(name)}


def _ignored(key: str, layout: Layout, skipped: set[str]) -> bool:
    module, parameter = _split(key)
    return parameter in layout.ignored or module in skipped
