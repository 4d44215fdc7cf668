"""Find the parts of a checkpoint that a layout explains, below whatever prefix they are.

Every name is tried from each of its dots, slashes, underscores, ... on:
`state_dict.student.conv1.0.weight` has the module `conv1.0` of torchvision's ShuffleNetV2 below the
prefix `state_dict.student.`. The names of one layout below one prefix make a subset.
"""

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from keras_shufflenet.weights import layouts
from keras_shufflenet.weights._nesting import Contents
from keras_shufflenet.weights.errors import CheckpointError, list_names
from keras_shufflenet.weights.layouts._layout import Layout

T = TypeVar("T")

PARAMETERS = ("weight", "bias", "running_mean", "running_var")
BUFFERS = PARAMETERS[2:]
# Parts of names that torch's wrappers (DataParallel, torch.compile, FSDP, activation checkpointing)
# and DeepSpeed add, to the whole network or to modules of it.
WRAPPERS = frozenset(
    (
        *("module", "_orig_mod", "_fsdp_wrapped_module", "_fpw_module"),
        *("_checkpoint_wrapped_module", "_forward_module"),
    )
)
AVERAGED = frozenset({"ema", "swa", "avg", "average", "averaged", "polyak", "shadow"})
# Prefixes of averages in the same dictionary whose names have no dots: that of mmcv's EMAHook, with
# `_` instead, and that of the LitEma of latent diffusion, with nothing instead. mmcv swaps averages
# and others before it saves, so that the plain names have the averages.
DOTLESS = (("ema_", "_", True), ("model_ema.", "", False))
MAX_PARTS = 24  # of the name of a module in a layout, to bound the time that a hostile file takes
SEPARATOR = re.compile(r"[\W_]")
MAX_INNER = 16  # prefixes that are tried for names without dots
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Counters of torch.optim.swa_utils, thop and others, which are no part of a network.
COUNTERS = frozenset(
    {"num_batches_tracked", "n_averaged", "num_updates", "decay", "total_ops", "total_params"}
)


@dataclass(frozen=True)
class Subset:
    """The tensors of a checkpoint below one prefix, by the names that a layout has.

    Attributes:
        layout: The layout.
        prefix: What precedes the layout's names, "" or ending in a dot, a slash or the like.
        known: Number of tensors whose names the layout has.
        averaged: Whether they are averaged (EMA) weights.
        state: Tensors by the layout's names, those that it does not have among them.
        names: The names that they have in the checkpoint.
        beside: Names of the other tensors in the same dictionaries.
    """

    layout: Layout
    prefix: str
    known: int
    averaged: bool
    state: Mapping[str, np.ndarray]
    names: frozenset[str]
    beside: tuple[str, ...]


class Subsets:
    """The subsets of a checkpoint, those with most known names first."""

    def __init__(self, contents: Contents[np.ndarray], layout: Layout | None = None) -> None:
        """Find them.

        Args:
            contents: The tensors of a checkpoint.
            layout: The only layout to try; None for all.

        Raises:
            CheckpointError: If a name occurs twice.
        """
        self._averaged = dict(contents.averaged)
        self.names: dict[str, tuple[str, np.ndarray]] = {}  # path and tensor by full name
        for path, tensors in contents.tensors.items():
            self._add(path, strip_wrappers(tensors))
        self._order = {path: number for number, path in enumerate(self._averaged)}
        votes: dict[tuple[str, str], list[str]] = defaultdict(list)
        for full in self.names:
            for name, prefix in _explanations(full):
                if layout is None or name == layout.name:
                    votes[name, prefix].append(full)
        self._votes = votes
        self.found = sorted(votes, key=self._rank)

    def _add(self, path: str, tensors: Mapping[str, np.ndarray]) -> None:
        """Add a dictionary; averages with names without dots become a dictionary of their own."""
        pairs: dict[str, str] = {}
        for start, dot, swapped in DOTLESS:
            if found := _dotless(tensors, start, dot):
                other = f"{path}.{start}" if path else start
                self._averaged |= {other: not swapped, path: swapped}
                last = {name: name.rpartition(".")[2] for name in tensors if name not in found}
                buffers = {name: tensors[name] for name, part in last.items() if part in BUFFERS}
                self._add(other, buffers | {found[name]: tensors[name] for name in found})
                pairs |= found
        for name, tensor in tensors.items():
            full = f"{path}.{name}" if path else name
            if full in self.names:
                raise CheckpointError(f"A name must not occur twice. Received: {full!r}")
            if name not in pairs:
                self.names[full] = path, tensor

    def _rank(self, place: tuple[str, str]) -> tuple[int, int, int]:
        name, prefix = place
        return -len(self._votes[place]), len(prefix), len(layouts.LAYOUTS[name].modules)

    def known(self, place: tuple[str, str]) -> int:
        """Return the number of known names of a (layout, prefix)."""
        return len(self._votes[place])

    def take(self, place: tuple[str, str]) -> Subset:
        """Return the subset of a (layout, prefix)."""
        name, prefix = place
        layout = layouts.LAYOUTS[name]
        paths = {self.names[full][0] for full in self._votes[place]}
        nested = self._nested(place)
        inside = {full for full, (path, _) in self.names.items() if path in paths}
        below = [
            full
            for full in self.names
            if full in inside and full.startswith(prefix) and not full.startswith(nested)
        ]
        return Subset(
            layout,
            prefix,
            len(self._votes[place]),
            self.is_averaged(prefix),
            {layout.normalize_key(full[len(prefix) :]): self.names[full][1] for full in below},
            frozenset(below),
            tuple(sorted(full for full in inside.difference(below) if not self.counts(full))),
        )

    def _nested(self, place: tuple[str, str]) -> tuple[str, ...]:
        """Return the prefixes of other networks below that of a subset."""
        longer = {
            prefix
            for other in self.found
            if (prefix := other[1]).startswith(place[1])
            and prefix != place[1]
            and 2 * self.known(other) >= self.known(place)
        }
        own = self._votes[place]
        return tuple(p for p in longer if not any(full.startswith(p) for full in own))

    def dictionary(self, prefix: str) -> dict[str, np.ndarray]:
        """Return the tensors of the dictionaries that have names with a prefix.

        The prefix is stripped if all of them have it, and the dictionary's path anyway.
        """
        paths = {path for full, (path, _) in self.names.items() if full.startswith(prefix)}
        names = [full for full, (path, _) in self.names.items() if path in paths]
        parts = (full.startswith(prefix) or self.counts(full) for full in names)
        path = f"{paths.pop()}." if len(paths) == 1 else ""
        strip = prefix if all(parts) else path
        return {full.removeprefix(strip).removeprefix(path): self.names[full][1] for full in names}

    def counts(self, full: str) -> bool:
        """Return whether a name is that of a counter."""
        return is_counter(full, self.names[full][1])

    def is_averaged(self, prefix: str) -> bool:
        """Return whether the tensors below a prefix are averaged (EMA) weights."""
        ends = (match.start() for match in re.finditer(r"\.", prefix))
        paths = {"", prefix, *(prefix[:end] for end in ends)} & self._order.keys()
        if paths:
            return self._averaged[min(paths, key=self._order.__getitem__)]
        return not AVERAGED.isdisjoint(word.lower() for word in WORD.findall(prefix))


def _dotless(tensors: Mapping[str, Any], start: str, dot: str) -> dict[str, str]:
    """Return the names with dots by those without, where most names with a prefix have one."""
    flat = [name for name in tensors if name.startswith(start) and "." not in name[len(start) :]]
    first = Counter(name[: name.find(".") + 1] for name in tensors) if flat else {}
    for prefix in ("", *sorted(first, key=lambda name: -first[name])[:MAX_INNER]):
        names = {
            start + name[len(prefix) :].replace(".", dot): name
            for name in tensors
            if name.startswith(prefix) and "." in name[len(prefix) :]
        }
        found = {name: names[name] for name in flat if name in names}
        if 2 * len(found) > len(flat):
            return found
    return {}


@functools.cache
def _modules(names: tuple[str, ...]) -> dict[str | None, dict[str, tuple[str, ...]]]:
    """Return the names of layouts by module, by the pattern that those layouts ignore."""
    found: dict[str | None, dict[str, tuple[str, ...]]] = {}
    for layout in map(layouts.get, names):
        index = found.setdefault(layout.ignored_pattern, {})
        for module in set(layout.modules.values()):
            index[module] = (*index.get(module, ()), layout.name)
    return found


def _explanations(full: str) -> Iterator[tuple[str, str]]:
    """Yield the (layout, prefix) pairs with which a name is that of a parameter."""
    module, _, parameter = full.rpartition(".")
    if parameter not in PARAMETERS:
        return
    starts = (0, *(part.end() for part in SEPARATOR.finditer(module)))[-MAX_PARTS:]
    for pattern, index in _modules(tuple(layouts.LAYOUTS)).items():
        for start in starts:
            rest = module[start:] if pattern is None else re.sub(pattern, "", module[start:])
            for name in index.get(rest, ()):
                yield name, full[:start]


def is_counter(name: str, tensor: np.ndarray) -> bool:
    """Return whether a tensor is a counter: training code has it, a network does not."""
    integer = tensor.ndim == 0 and not np.issubdtype(tensor.dtype, np.inexact)
    return integer or name.rpartition(".")[2] in COUNTERS


def strip_wrappers(state: Mapping[str, T]) -> dict[str, T]:
    """Strip the parts of names that wrappers of a network add, such as `module.`.

    Raises:
        CheckpointError: If a name occurs with and without them.
    """
    stripped = {_strip(str(name)): tensor for name, tensor in state.items()}
    if len(stripped) != len(state):
        twice = [name for name in map(str, state) if name != _strip(name) and _strip(name) in state]
        raise CheckpointError(
            "Names must not occur twice, with and without a prefix such as `module.`. Received: "
            f"{list_names(twice)}"
        )
    return stripped


def _strip(name: str) -> str:
    *modules, parameter = name.split(".")
    return ".".join((*(part for part in modules if part not in WRAPPERS), parameter))


def pick_state_dict(contents: Contents[np.ndarray], ema: bool | None) -> dict[str, np.ndarray]:
    """Return the tensors of the dictionary that a layout explains best, or else of the largest one.

    Args:
        contents: The tensors of a checkpoint.
        ema: Whether to take averaged (EMA) weights; None for averaged ones where there are both.

    Raises:
        ValueError: If there are no such weights.
    """
    subsets = Subsets(contents)
    most = subsets.known(subsets.found[0]) if subsets.found else 0
    prefixes = {prefix: None for _, prefix in subsets.found[:1]}
    for place in subsets.found:
        if place[0] == subsets.found[0][0] and subsets.known(place) >= most / 2:
            prefixes[place[1]] = None
    if not prefixes:
        largest = sorted(contents.tensors, key=lambda path: _size(path, contents.tensors[path]))
        prefixes = {f"{path}." if path else "": None for path in largest}
    averaged = [prefix for prefix in prefixes if subsets.is_averaged(prefix)]
    plain = [prefix for prefix in prefixes if not subsets.is_averaged(prefix)]
    check_ema(ema, bool(averaged), bool(plain))
    default = averaged if averaged and subsets.found else list(prefixes)
    chosen = {True: averaged, False: plain, None: default}[ema]
    return subsets.dictionary(chosen[0])


def check_ema(ema: bool | None, averaged: bool, plain: bool) -> None:
    """Raise ValueError if there are no averaged weights, or no others, but they are wanted."""
    if ema is not None and not (averaged if ema else plain):
        kind = "without averaged (EMA) weights" if ema else "of averaged (EMA) weights only"
        raise ValueError(f"`ema` must not be {ema} for a checkpoint {kind}. Received: ema={ema}")


def _size(path: str, tensors: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return what sorts dictionaries with most parameters, tensors and least depth first."""
    parameters = sum(name.rpartition(".")[2] in PARAMETERS for name in tensors)
    return -parameters, -len(tensors), path.count(".")
