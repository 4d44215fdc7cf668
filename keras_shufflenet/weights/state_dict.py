"""Assignment of a checkpoint's tensors to a model, with strict accounting.

Every variable of the model is hit exactly once and every key of the checkpoint is used, or nothing
is assigned at all and the error names the odd ones.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from keras_shufflenet.weights import catalog, layouts
from keras_shufflenet.weights.account import Account
from keras_shufflenet.weights.assign import assign
from keras_shufflenet.weights.errors import WeightsMismatchError
from keras_shufflenet.weights.layouts._layout import Layout
from keras_shufflenet.weights.torch_pickle import without_wrapper

# What is behind the maps that features are; of it, what depends on the classes or keypoints.
TOP = re.compile(r"predictions|head_.*|auxiliary_.*")
HEAD = re.compile(r"predictions|head_(?!se_|fc).*|auxiliary_.*")
AUXILIARY = "auxiliary_"
STEM = "stem_conv"
PREPROCESSING = "preprocessing"

# Axes of PyTorch's kernel in the order in which Keras has them.
KERNEL_AXES: dict[type[keras.Layer], tuple[int, ...]] = {
    layers.Conv2D: (2, 3, 1, 0),
    layers.DepthwiseConv2D: (2, 3, 0, 1),
    layers.Conv2DTranspose: (2, 3, 1, 0),
    layers.Dense: (1, 0),
}
HUGE = 1e9  # weights are far below; a flipped bit of an exponent gets above
INPUT_CHANNELS = 1  # axis of PyTorch's kernel of a convolution
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
    """A variable, and where its numbers come from.

    Attributes:
        layer: name of the layer.
        variable: to assign.
        key: of the checkpoint.
        axes: of the checkpoint's array, in Keras' order.
        reverse_input: whether the input channels must be turned round, from BGR to RGB.
    """

    layer: str
    variable: keras.Variable
    key: str
    axes: tuple[int, ...]
    reverse_input: bool = False

    def fits(self, array: np.ndarray) -> bool:
        """Whether the array holds real numbers and has the right shape."""
        return (
            np.issubdtype(array.dtype, np.floating)
            and array.ndim == len(self.axes)
            and tuple(array.shape[axis] for axis in self.axes) == tuple(self.variable.shape)
        )

    def is_plausible(self, array: np.ndarray) -> bool:
        """Whether the numbers can be weights: finite, not huge, and no negative variance."""
        if self.variable.name == "moving_variance" and array.min(initial=0) < 0:
            return False
        return float(np.abs(array).max(initial=0)) < HUGE  # false for NaN, too

    @property
    def shape(self) -> tuple[int, ...]:
        """What the checkpoint's array must have."""
        size = dict(zip(self.axes, self.variable.shape, strict=True))
        return tuple(size[axis] for axis in range(len(self.axes)))

    def read(self) -> np.ndarray:
        """The variable as the checkpoint has it."""
        array = np.asarray(keras.ops.convert_to_numpy(self.variable)).transpose(
            np.argsort(self.axes)
        )
        return np.ascontiguousarray(np.flip(array, INPUT_CHANNELS) if self.reverse_input else array)

    def assign(self, array: np.ndarray) -> None:
        """Transpose and assign."""
        if self.reverse_input:
            array = np.flip(array, INPUT_CHANNELS)
        assign(self.variable, array.transpose(self.axes))


def load_state_dict(
    model: keras.Model,
    state: Mapping[str, np.ndarray],
    layout: str | None = None,
    *,
    backbone_only: bool = False,
) -> None:
    """Assign a PyTorch state dict to a model.

    Args:
        model: made by a builder of this package.
        state: arrays by the publisher's names, in PyTorch's axes, as `read_checkpoint` gives them.
            A leading `module.` is stripped.
        layout: name of the publisher's table, of `layouts.LAYOUTS`; None to find it by the keys.
        backbone_only: leave the classifier or keypoint head as it is and ignore the checkpoint's.
            Where a model has no head at all the checkpoint's head is ignored anyway.

    Raises:
        WeightsMismatchError: a ValueError that names the keys that are missing, left over or of the
            wrong shape, or says that the checkpoint is of another network. Nothing was assigned.
    """
    state = without_wrapper(state)
    table = layouts.get(layout) if layout is not None else _find_layout(state)
    received = _describe(state)
    state = {table.plain(key): array for key, array in state.items()}
    _check_structure(model, table, received)
    body = weighted_layers(model, backbone_only)
    targets = _targets(model, body, table)
    account = Account(missing=_unknown(body, table))
    for target in targets:
        _compare(target, state, account)
    skipped = _skipped_modules(model, table, backbone_only)
    used = {target.key for target in targets}
    for key in state:
        twin = table.twin(key)
        if twin is not None and twin in state:
            _compare_twins(key, twin, state, account)
        elif key not in used and not _ignored(key, table, skipped):
            account.extra.append(key)
    account.settle(model, f"layout {table.name!r}", received)
    for target in targets:
        target.assign(state[target.key])


def state_dict(model: keras.Model, layout: str | None = None) -> dict[str, np.ndarray]:
    """The weights of a model as a publisher's PyTorch code names and shapes them.

    What `load_state_dict` reads; `torch.from_numpy` makes tensors of the arrays. DetNAS' keys lack
    the names of the operators.

    Args:
        model: made by a builder of this package.
        layout: name of the publisher's table, of `layouts.LAYOUTS`; None for the one of the
            model's own publisher, by its name.

    Raises:
        ValueError: if the layout lacks layers of the model, or no layout has all of them.
    """
    fitting = fitting_layouts(model)
    names = [table.name for table in fitting]
    if layout is not None:
        fitting = [table for table in fitting if table is layouts.get(layout)]
    if not fitting:
        raise ValueError(
            f"The layouts that have all layers of {model.name!r} are {names}. "
            f"Received: layout={layout!r}"
        )
    body = weighted_layers(model, backbone_only=False)
    return {target.key: target.read() for target in _targets(model, body, fitting[0])}


def takes_bgr(model: keras.Model) -> bool:
    """Whether a network's publisher feeds it BGR."""
    return any(table.channel_order == "bgr" for table in fitting_layouts(model)[:1])


def fitting_layouts(model: keras.Model) -> list[Layout]:
    """The layouts that have all layers of a model, the one of its own publisher first.

    Args:
        model: made by a builder of this package.
    """
    body = weighted_layers(model, backbone_only=False)
    published = [entry.layout for entry in reversed(catalog.list_weights(model.name))]

    def likeness(table: Layout) -> tuple[int, bool, bool]:
        publisher, network = table.name.split("/")
        place = published.index(table.name) if table.name in published else -1
        return place, publisher in model.name, network in model.name

    fitting = [table for table in layouts.LAYOUTS.values() if _has_all(model, body, table)]
    return sorted(fitting, key=likeness, reverse=True)


def _has_all(model: keras.Model, body: Sequence[keras.Layer], layout: Layout) -> bool:
    names = {operation.name for operation in model.operations}
    fits = not (layout.needs - names or layout.forbids & names)
    return fits and not _unknown(body, layout)


def weighted_layers(model: keras.Model, backbone_only: bool) -> list[keras.Layer]:
    """Layers that weights are loaded into: all that have some, but for the normalization of images.

    Args:
        model: any functional model.
        backbone_only: leave out classifier and keypoint head.
    """
    return [
        layer
        for layer in model.layers
        if layer.weights
        and not isinstance(layer, layers.Normalization)
        and not (backbone_only and is_head(layer.name))
    ]


def is_head(name: str) -> bool:
    """Whether a layer of that name belongs to a classifier or a keypoint head."""
    return HEAD.fullmatch(name) is not None


def is_top(name: str) -> bool:
    """Whether a layer of that name is missing in a network without its top."""
    return TOP.fullmatch(name) is not None


def _describe(state: Mapping[str, np.ndarray]) -> str:
    return f"{len(state)} keys, the first of them {list(state)[:3]}"


def _split(key: str) -> tuple[str, str]:
    module, _, parameter = key.rpartition(".")
    return module, parameter


def _find_layout(state: Mapping[str, np.ndarray]) -> Layout:
    """The layout that knows most of the keys."""
    modules: dict[str | None, list[str]] = {}  # by noise, which most layouts have not
    known = {}
    for name, layout in layouts.LAYOUTS.items():
        if layout.noise not in modules:
            modules[layout.noise] = [_split(layout.plain(key))[0] for key in state]
        theirs = set(layout.modules.values())
        known[name] = sum(module in theirs for module in modules[layout.noise])
    best = max(known, key=lambda name: known[name])
    if 2 * known[best] < max(1, len(state)):
        tried = ", ".join(f"{name} {count}" for name, count in known.items())
        raise WeightsMismatchError(
            "No known layout explains the keys of the checkpoint; keys explained by each: "
            f"{tried}. (Of a supernet take one path: `weights.supernet_path`.) "
            f"Received: {_describe(state)}"
        )
    return layouts.LAYOUTS[best]


def _check_structure(model: keras.Model, layout: Layout, received: str) -> None:
    """Refuse a checkpoint of another network, even one whose shapes happen to fit."""
    names = {operation.name for operation in model.operations}
    body = [layer.name for layer in weighted_layers(model, backbone_only=True)]
    named = sum(name in layout.modules for name in body)
    if 2 * named < len(body):
        reason = (
            f"which has {named} of the {len(body)} layers with weights of this model's backbone"
        )
    elif layout.needs - names or layout.forbids & names:
        reason = "whose units are built differently"
    else:
        return
    raise WeightsMismatchError(
        f"The checkpoint is of the network {layout.name!r}, {reason}: it does not fit the model "
        f"{model.name!r}. Received: {received}"
    )


def has_preprocessing(model: keras.Model) -> bool:
    """Whether a model takes RGB 0..255 and turns it to what its network takes."""
    return any(layer.name == PREPROCESSING for layer in model.layers)


def _unknown(body: Sequence[keras.Layer], layout: Layout) -> list[str]:
    names = [layer.name for layer in body if layer.name not in layout.modules]
    return [f"anything for layer {name!r}" for name in names]


def _targets(model: keras.Model, body: Sequence[keras.Layer], layout: Layout) -> list[Target]:
    turned = STEM if layout.channel_order == "bgr" and has_preprocessing(model) else None
    return [
        _target(layer, variable, layout.modules[layer.name], reverse_input=layer.name == turned)
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


def _compare(target: Target, state: Mapping[str, np.ndarray], account: Account) -> None:
    place = f"layer {target.layer!r} ({target.variable.name})"
    if target.key not in state:
        account.missing.append(f"{target.key} for {place}")
    elif not target.fits(array := np.asarray(state[target.key])):
        account.wrong.append(
            f"{target.key} is {array.dtype} {array.shape}, {place} needs floating point "
            f"{target.shape}"
        )
    elif not target.is_plausible(array):
        account.wrong.append(
            f"{target.key} holds numbers that no trained network has, from {array.min():.3g} to "
            f"{array.max():.3g}: the file is damaged"
        )


def _compare_twins(key: str, twin: str, state: Mapping[str, np.ndarray], account: Account) -> None:
    """A tensor that is there under two names must be the same."""
    if not np.array_equal(state[key], state[twin]):
        account.wrong.append(f"{key} differs from {twin}, whose other name it is")


def _skipped_modules(model: keras.Model, layout: Layout, backbone_only: bool) -> set[str]:
    """Modules of the publisher's top that the model takes none of."""
    names = {layer.name for layer in model.layers}
    has_top = any(is_top(name) for name in names)

    def skipped(name: str) -> bool:
        if backbone_only:
            return is_head(name) or (is_top(name) and name not in names)
        return name not in names and (name.startswith(AUXILIARY) or not has_top)

    return {module for name, module in layout.modules.items() if is_top(name) and skipped(name)}


def _ignored(key: str, layout: Layout, skipped: set[str]) -> bool:
    module, parameter = _split(key)
    return parameter in layout.ignored or module in skipped
