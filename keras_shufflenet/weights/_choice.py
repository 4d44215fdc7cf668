"""Choose the tensors of a checkpoint that are the weights of a model."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from keras_shufflenet._layer_names import STEM
from keras_shufflenet.weights import layouts
from keras_shufflenet.weights._nesting import Contents
from keras_shufflenet.weights._outputs import MatchOutputs
from keras_shufflenet.weights._subsets import Subset, Subsets, check_ema, is_counter
from keras_shufflenet.weights._targets import Target, compare, has_output, unknown_layers
from keras_shufflenet.weights.assignment import warn_of_new_head, weighted_layers
from keras_shufflenet.weights.errors import MAX_LISTED, WeightsMismatchError, list_names
from keras_shufflenet.weights.layouts._layout import Layout


@dataclass(frozen=True)
class Fit:
    """A subset of a checkpoint that matches a model.

    Attributes:
        subset: The subset.
        targets: The model's variables with their keys in the subset.
        left_out: Names in it of modules that the network does not have, such as a loss.
    """

    subset: Subset
    targets: Sequence[Target]
    left_out: Sequence[str]

    def same_numbers(self, other: "Fit") -> bool:
        """Return whether the other would assign the same numbers."""
        return all(
            np.array_equal(self.subset.state[ours.key], other.subset.state[theirs.key])
            for ours, theirs in zip(self.targets, other.targets, strict=True)
        )


@dataclass(frozen=True)
class Request:
    """What to take of a checkpoint.

    Attributes:
        layout: Name of the layout; None for the one that matches.
        include_head: Whether to load the classifier or keypoint head, too.
        ema: Whether to take averaged (EMA) weights; None for averaged ones where there are both.
        prefix: What precedes the names of the network's tensors; None for the prefix that matches.
        skip_mismatched_head: Whether the model may keep its head, with a warning, where the
            checkpoint has one of another number of classes or none.
        match_outputs: Which outputs of the checkpoint's last layers are those of the model's, if
            they are loaded one by one; the head is then not part of what must match.
    """

    layout: str | None = None
    include_head: bool = True
    ema: bool | None = None
    prefix: str | None = None
    skip_mismatched_head: bool = False
    match_outputs: MatchOutputs | None = None


def choose(
    model: keras.Model, contents: Contents[np.ndarray], request: Request, received: str
) -> Fit:
    """Return the subset of a checkpoint that a layout explains fully and that fits a model.

    Args:
        model: A model made by a builder of this package.
        contents: The tensors of the checkpoint.
        request: What to take of them.
        received: Description of the checkpoint for errors.

    Raises:
        ValueError: If `ema` or `prefix` ask for what the checkpoint does not have; a
            `WeightsMismatchError` if no subset fits, or several do.
    """
    table = None if request.layout is None else layouts.get(request.layout)
    subsets = Subsets(contents, table)
    places = _below(subsets, request.prefix)
    fits = _fits(model, subsets, places, request.include_head)
    new_head = False
    if not fits and request.skip_mismatched_head:
        bodies = _fits(model, subsets, places, include_head=False)
        new_head = not any(has_output(model, fit.subset.state, fit.subset.layout) for fit in bodies)
        if new_head:
            fits, request = bodies, replace(request, include_head=False)
    if not fits:
        raise _closest(model, subsets, places, request, received)
    fit = _pick(fits, request, received)
    if new_head:
        warn_of_new_head(model, received)
    if request.prefix is None:
        _warn_of_left_out(fit, fits)
    return fit


def _below(subsets: Subsets, prefix: str | None) -> list[tuple[str, str]]:
    """Return the (layout, prefix) pairs of the wanted prefix."""
    if prefix is None:
        return subsets.found
    wanted = (prefix, f"{prefix}.") if prefix else ("",)
    places = [place for place in subsets.found if place[1] in wanted]
    if not places:
        known = list(dict.fromkeys(place[1] for place in subsets.found))[:MAX_LISTED]
        raise ValueError(
            f"`prefix` must be one of those that names of a known layout have in the checkpoint: "
            f"{', '.join(map(repr, known))}. Received: prefix={prefix!r}"
        )
    return places


def _fits(
    model: keras.Model,
    subsets: Subsets,
    places: Sequence[tuple[str, str]],
    include_head: bool,
) -> list[Fit]:
    """Return the subsets that match a model, without those of the same numbers."""
    body = weighted_layers(model, include_head)
    variables = sum(len(layer.weights) for layer in body)
    fits: list[Fit] = []
    for place in places:
        if subsets.known(place) < variables or find_fault(model, layouts.LAYOUTS[place[0]]):
            continue
        subset = subsets.take(place)
        targets, report = compare(model, subset.state, subset.layout, include_head)
        fit = Fit(subset, targets, report.left_out)
        if not report and not any(fit.same_numbers(other) for other in fits):
            fits.append(fit)
    return fits


def find_fault(model: keras.Model, layout: Layout) -> str | None:
    """Return why a layout is of another network than the model, even with the same shapes."""
    names = {operation.name for operation in model.operations}
    body = [layer.name for layer in weighted_layers(model, include_head=False)]
    named = sum(name in layout.modules for name in body)
    if 2 * named < len(body):
        return f"which has {named} of the {len(body)} layers with weights of this model's backbone"
    if layout.requires - names or layout.excludes & names:
        return f"whose units are built differently{layout.hint}"
    return None


def _pick(fits: list[Fit], request: Request, received: str) -> Fit:
    averaged = [fit for fit in fits if fit.subset.averaged]
    plain = [fit for fit in fits if not fit.subset.averaged]
    check_ema(request.ema, bool(averaged), bool(plain))
    chosen = averaged if averaged and request.ema is not False else plain
    if len(chosen) > 1:
        prefixes = ", ".join(repr(fit.subset.prefix) for fit in chosen)
        raise WeightsMismatchError(
            f"The checkpoint has several networks that match the model, below the prefixes "
            f"{prefixes}: choose one, as in `weights.load(model, path, "
            f"prefix={chosen[0].subset.prefix!r})` or `convert --prefix "
            f"{chosen[0].subset.prefix}`. Received: {received}"
        )
    if averaged and plain and request.ema is None:
        warnings.warn(
            f"The checkpoint has averaged (EMA) weights ({_place(averaged[0])}) and others "
            f"({_place(plain[0])}): the averaged ones were taken. `ema=False` takes the others, "
            "`ema=True` takes the averaged ones without this warning.",
            stacklevel=2,
        )
    return chosen[0]


def _place(fit: Fit) -> str:
    return f"below {fit.subset.prefix!r}" if fit.subset.prefix else "without a prefix"


def _warn_of_left_out(fit: Fit, fits: Sequence[Fit]) -> None:
    """Name the tensors beside the network in the same dictionary."""
    others = frozenset[str]().union(*(other.subset.names for other in fits))
    left_out = [name for name in fit.subset.beside if name not in others]
    left_out += [f"{fit.subset.prefix}{name}" for name in fit.left_out]
    if left_out:
        warnings.warn(
            f"The checkpoint has tensors beside the network ({_place(fit)}), which were left out: "
            f"{list_names(left_out)}",
            stacklevel=2,
        )


def _closest(
    model: keras.Model,
    subsets: Subsets,
    places: Sequence[tuple[str, str]],
    request: Request,
    received: str,
) -> WeightsMismatchError:
    """Return the error that compares the checkpoint with the layout that comes closest."""
    if not places:
        return WeightsMismatchError(
            f"No name in the checkpoint is one of a known layout, in which {model.name!r} would "
            f"have names such as {_examples(model)}. Received: {received}"
        )
    best = _explaining(model, subsets, places)
    body = weighted_layers(model, request.include_head)
    tied = [p for p in places if p[1] == best[1] and subsets.known(p) == subsets.known(best)]
    subset = subsets.take(min(tied, key=lambda p: len(unknown_layers(body, layouts.get(p[0])))))
    fault = find_fault(model, subset.layout)
    total = sum(not is_counter(key, array) for key, array in subset.state.items())
    below = f" below the prefix {subset.prefix!r}" if subset.prefix else ""
    if fault is not None and 2 * subset.known >= total:
        return WeightsMismatchError(
            f"The checkpoint is of the network {subset.layout.name!r}{below}, {fault}: it does not "
            f"match the model {model.name!r}. Received: {received}"
        )
    _, report = compare(model, subset.state, subset.layout, request.include_head)
    hint = ""
    if subset.layout.ignored_pattern or subset.layout.name == "megvii/one_shot":
        hint = " (of a supernet, `weights.supernet_path` extracts one path)"
    start = (
        f"The checkpoint, whose closest layout is {subset.layout.name!r}{below} "
        f"({subset.known} of {total} keys known){hint}, does not match"
    )
    return report.error(start, model, received)


def _explaining(
    model: keras.Model, subsets: Subsets, places: Sequence[tuple[str, str]]
) -> tuple[str, str]:
    """Return the (layout, prefix) whose differences from the model say most."""
    variables = sum(len(layer.weights) for layer in model.layers)
    fit = {name for name, table in layouts.LAYOUTS.items() if find_fault(model, table) is None}
    own = [place for place in places if place[0] in fit]
    first = places[0][1]
    elsewhere = [p for p in own if not (p[1].startswith(first) or first.startswith(p[1]))]
    if elsewhere and 2 * subsets.known(elsewhere[0]) >= variables:
        return elsewhere[0]  # beside another network, such as the teacher of a distillation
    best = subsets.take(places[0])
    if 2 * best.known >= len(best.state) or not own:
        return places[0]
    return own[0]


def _examples(model: keras.Model) -> str:
    """Return the name of the first kernel in the layouts of a model."""
    body = weighted_layers(model, include_head=False)
    own = [
        table
        for table in layouts.LAYOUTS.values()
        if find_fault(model, table) is None and not unknown_layers(body, table)
    ]
    return ", ".join(f"'{table.modules[STEM]}.weight' ({table.name})" for table in own)
