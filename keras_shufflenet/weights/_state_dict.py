"""State dicts: PyTorch's parameters by name, from and to a model's variables.

Every variable must be assigned exactly once and every key must be used; otherwise nothing is
assigned, and the error lists the missing keys, unexpected keys and mismatched shapes.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_shufflenet._checks import check_bool
from keras_shufflenet.weights import catalog, layouts
from keras_shufflenet.weights._choice import Fit, Request, choose
from keras_shufflenet.weights._nesting import Contents, find_tensors
from keras_shufflenet.weights._outputs import match_head
from keras_shufflenet.weights._targets import find_targets, unknown_layers
from keras_shufflenet.weights.assignment import assign, weighted_layers
from keras_shufflenet.weights.layouts._layout import Layout


def load_state_dict(
    model: keras.Model,
    state: Mapping[str, Any],
    layout: str | None = None,
    *,
    include_head: bool = True,
    ema: bool | None = None,
    prefix: str | None = None,
) -> None:
    """Assign a PyTorch state dict to a model.

    Args:
        model: A model made by a builder of this package.
        state: Arrays by the publisher's parameter names, with PyTorch's axes, as returned by
            `read_checkpoint`; or nested dictionaries of such arrays, as in a checkpoint. The
            network is found below any prefix.
        layout: Name in `layouts.LAYOUTS` of the publisher's layout. Defaults to the one that
            matches the keys.
        include_head: Whether to load the classifier or keypoint head, too. If False, the model's
            head stays as it is, and the checkpoint's is ignored. A model without a head, or
            without its output layer, always ignores the checkpoint's.
        ema: Whether to take averaged (EMA) weights. By default they are taken if there are some,
            with a warning if there are others, too.
        prefix: What precedes the names of the network's tensors, such as "student.". Defaults to
            the only prefix below which the model's weights are.

    Raises:
        ValueError: If an argument is invalid; a `WeightsMismatchError` that lists the missing keys,
            unexpected keys and mismatched shapes, or tells that the checkpoint is of another
            network. Nothing was assigned.
    """
    if not isinstance(state, Mapping):
        raise ValueError(
            "`state` must be a mapping from names to arrays, as returned by `read_checkpoint`; "
            "`weights.load` takes files. Received: "
            + (f"state={state!r}" if isinstance(state, str | os.PathLike) else f"{type(state)}")
        )
    contents = find_tensors(state, _is_array)
    assign_tensors(model, contents, Request(layout, include_head, ema, prefix))


def assign_tensors(
    model: keras.Model,
    contents: Contents[Any],
    request: Request,
    path: str | os.PathLike[str] | None = None,
) -> None:
    """Assign those tensors of a checkpoint that are the weights of a model.

    Args:
        model: A model made by a builder of this package.
        contents: The tensors of a checkpoint.
        request: What to take of them.
        path: Path of the file, for errors.

    Raises:
        ValueError: As `load_state_dict`.
    """
    if request.ema is not None:
        check_bool("ema", request.ema)
    arrays = {
        place: {name: np.asarray(tensor) for name, tensor in tensors.items()}
        for place, tensors in contents.tensors.items()
    }
    names = [name for tensors in arrays.values() for name in tensors]
    file = "" if path is None else f"{os.fspath(path)!r} with "
    received = f"{file}{len(names)} keys, the first of them {names[:3]}"
    fit = choose(model, replace(contents, tensors=arrays), request, received)
    head = _matched_outputs(model, fit, request, received)
    for target in fit.targets:
        target.assign(fit.subset.state[target.key])
    for variable, value in head:
        assign(variable, value)


def _matched_outputs(
    model: keras.Model, fit: Fit, request: Request, received: str
) -> list[tuple[keras.Variable, np.ndarray]]:
    """Return the variables of the head with the numbers of the outputs that match."""
    if request.match_outputs is None:
        return []
    state, layout = fit.subset.state, fit.subset.layout

    def arrays(layer: keras.Layer) -> list[np.ndarray]:
        targets = find_targets(model, [layer], layout)
        keys = {target.key: len(target.axes) for target in targets}
        if any(key not in state or state[key].ndim != axes for key, axes in keys.items()):
            return []
        return [np.asarray(state[each.key], np.float32).transpose(each.axes) for each in targets]

    return match_head(model, arrays, request.match_outputs, layout.name, received)


def _is_array(thing: Any) -> bool:
    return hasattr(thing, "shape") and hasattr(thing, "dtype")


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
    return {target.key: target.read() for target in find_targets(model, body, fitting[0])}


def takes_bgr(model: keras.Model) -> bool:
    """Return whether a network was published with BGR input."""
    return any(table.channel_order == "bgr" for table in fitting_layouts(model)[:1])


def fitting_layouts(model: keras.Model) -> list[Layout]:
    """Return the layouts that have all layers of a model, the one of its own publisher first.

    Args:
        model: A model made by a builder of this package.
    """
    body = weighted_layers(model, include_head=True)
    entries = reversed(catalog.list_weights(model.name))
    published = [entry.layout for entry in entries if entry.layout is not None]

    def similarity(table: Layout) -> tuple[int, bool, bool]:
        publisher, network = table.name.split("/")
        rank = published.index(table.name) if table.name in published else -1
        return rank, publisher in model.name, network in model.name

    fitting = [table for table in layouts.LAYOUTS.values() if _has_all(model, body, table)]
    return sorted(fitting, key=similarity, reverse=True)


def _has_all(model: keras.Model, body: Sequence[keras.Layer], layout: Layout) -> bool:
    names = {operation.name for operation in model.operations}
    fits = not (layout.requires - names or layout.excludes & names)
    return fits and not unknown_layers(body, layout)
