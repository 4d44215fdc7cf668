"""Find the tensors in a checkpoint: dictionaries in dictionaries, whatever they are called."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from keras_shufflenet.weights._unpickler import ForeignObject
from keras_shufflenet.weights.errors import CheckpointError

T = TypeVar("T")

NESTING = (Mapping, list, tuple)
MAX_DEPTH = 16  # of dictionaries in dictionaries
MAX_TENSORS = 50_000  # several times those of a supernet with its optimizer
MAX_NAME = 1000  # characters of a tensor's name with its dictionaries'

MODULES = "_modules"  # attribute of torch's modules
# Where training code stores averaged (EMA) weights as "state_dict", and the others beside them:
# OpenMMLab's EMAHook since version 1 and Lightning's WeightAveraging.
MAIN = "state_dict"
SWAPPED = {
    "ema_state_dict": ("message_hub", "meta"),
    "current_model_state": ("averaging_state", "pytorch-lightning_version"),
}


@dataclass(frozen=True)
class Contents(Generic[T]):
    """The tensors of a checkpoint.

    Attributes:
        tensors: Tensors by name, by the dotted path of the dictionary that they are in; "" is the
            path of the outermost.
        averaged: Whether a dictionary holds averaged (EMA) weights, by the paths of those whose
            names do not tell.
    """

    tensors: Mapping[str, Mapping[str, T]]
    averaged: Mapping[str, bool]


def find_tensors(thing: Any, is_tensor: Callable[[Any], bool]) -> Contents[Any]:
    """Return the tensors in nested dictionaries, lists and tuples.

    Args:
        thing: What a checkpoint holds.
        is_tensor: Function that tells tensors from other objects, which are left out.

    Raises:
        CheckpointError: If there are absurdly many, or the name of one is of an absurd length.
    """
    nested = isinstance(thing, NESTING)
    tensors = dict(_dictionaries("", thing, is_tensor, set())) if nested else {}
    if sum(map(len, tensors.values())) > MAX_TENSORS:
        raise CheckpointError(f"The file has more than {MAX_TENSORS} tensors.")
    return Contents(tensors, _swapped(thing))


def _dictionaries(
    path: str, thing: Any, is_tensor: Callable[[Any], bool], seen: set[int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and the tensors of every dictionary, each of which is visited once."""
    if id(thing) in seen or path.count("\0") >= MAX_DEPTH:
        return
    seen.add(id(thing))
    if isinstance(thing, ForeignObject) and MODULES in thing.attributes:
        network = {name: t for name, t in _parameters("", thing, seen) if is_tensor(t)}
        if network:
            yield path.strip("\0").replace("\0", "."), network
        return
    items = list(thing.items() if isinstance(thing, Mapping) else enumerate(thing))
    names = [str(name) for name, _ in items]
    if max(map(len, names), default=0) + len(path) > MAX_NAME:
        raise CheckpointError(f"A name in the checkpoint has more than {MAX_NAME} characters.")
    named = list(zip(names, (value for _, value in items), strict=True))
    if isinstance(thing, Mapping):
        tensors = {name: value for name, value in named if is_tensor(value)}
        if tensors:
            yield path.strip("\0").replace("\0", "."), tensors
    for name, value in named:
        if isinstance(value, NESTING):
            yield from _dictionaries(f"{path}\0{name}", value, is_tensor, seen)


def _parameters(prefix: str, module: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield the parameters and buffers of a whole network in a pickle, by torch's names."""
    attributes = module.attributes if isinstance(module, ForeignObject) else {}
    if len(prefix) > MAX_NAME or prefix.count(".") > MAX_DEPTH:
        raise CheckpointError(f"A network in the pickle is nested deeper than {MAX_DEPTH} modules.")
    names = attributes.get("_non_persistent_buffers_set", ())
    passing = frozenset(name for name in names if isinstance(name, str))
    for kind in ("_parameters", "_buffers"):
        for name, tensor in _items(attributes.get(kind)):
            if name not in passing:
                yield f"{prefix}{name}", tensor
    for name, child in _items(attributes.get(MODULES)):
        if id(child) not in seen:
            seen.add(id(child))
            yield from _parameters(f"{prefix}{name}.", child, seen)


def _items(thing: Any) -> Iterable[tuple[Any, Any]]:
    return thing.items() if isinstance(thing, dict) else ()


def _swapped(thing: Any) -> dict[str, bool]:
    """Return which dictionary is averaged where training code swaps them before it saves."""
    if isinstance(thing, Mapping) and MAIN in thing:
        for plain, marks in SWAPPED.items():
            if plain in thing and any(mark in thing for mark in marks):
                return {MAIN: True, plain: False}
    return {}
