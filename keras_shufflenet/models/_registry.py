"""Models by name. Families and tasks register themselves; nothing else lists them.

A module of this package describes one family of networks and ends in `register_family`, or one
task that puts a head on them and ends in `register_task`.
"""

import difflib
import fnmatch
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Literal

import keras

from keras_shufflenet._checks import check_choice
from keras_shufflenet._layer_names import STAGE_PREFIX


@dataclass(frozen=True)
class Family:
    """Networks that one builder makes.

    Attributes:
        builder: Builds the model.
        presets: Maps registry names to arguments of the builder.
        feature_prefixes: Maps strides to the common prefix of the names of the layers whose last
            one ends at that stride.
        spaces: Maps the names of search spaces to arguments of the builder, which also takes an
            `architecture`.
    """

    builder: Callable[..., keras.Model]
    presets: Mapping[str, Mapping[str, Any]]
    feature_prefixes: Mapping[int, str]
    spaces: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Task:
    """Models that put a head on the networks.

    Attributes:
        name: Name of the task.
        prefix: What the names of its models begin with.
        names: Returns the names of the published configurations.
        build: Builds a model from its name and further arguments.
    """

    name: str
    prefix: str
    names: Callable[[], list[str]]
    build: Callable[..., keras.Model]


_families: list[Family] = []
_tasks: list[Task] = []


def register_family(
    builder: Callable[..., keras.Model],
    presets: Mapping[str, Mapping[str, Any]],
    feature_prefixes: Mapping[int, str],
    spaces: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Make the networks of a builder known by name; see `Family` for the arguments."""
    _families.append(Family(builder, presets, feature_prefixes, spaces or {}))


def register_task(
    name: str, prefix: str, names: Callable[[], list[str]], build: Callable[..., keras.Model]
) -> None:
    """Make models of a task known by name; see `Task` for the arguments."""
    _tasks.append(Task(name, prefix, names, build))


@cache
def _discover() -> None:
    """Import every public module of this package, which registers what it has."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules(import_module(package).__path__):
        if not module.name.startswith("_"):
            import_module(f"{package}.{module.name}")


def families() -> list[Family]:
    """Return all families."""
    _discover()
    return _families


def list_models(
    pattern: str = "*",
    task: Literal["classification", "pose", "detection"] = "classification",
) -> list[str]:
    """Return the names that `create_model` knows, sorted.

    Args:
        pattern: Shell-style wildcards, for example "shufflenet_v2*".
        task: "classification" for the networks, which are also the backbones; "pose" for the
            configurations that mmpose published; "detection" for NanoDet and
            RetinaNet.

    Raises:
        ValueError: If the pattern is no text, or there is no such task.
    """
    if not isinstance(pattern, str):
        raise ValueError(f"`pattern` must be a string. Received: pattern={pattern!r}")
    networks = [name for family in families() for name in family.presets]
    names = {"classification": networks}
    for each in _tasks:
        names.setdefault(each.name, []).extend(each.names())
    check_choice("task", task, names)
    return sorted(fnmatch.filter(names[task], pattern))


def create_model(name: str, **arguments: Any) -> keras.Model:
    """Build a model by name.

    Args:
        name: One of `list_models()`; a search space and an architecture, as in "one_shot:0031…",
            with channel scales "one_shot:0031…@1.4,1.2,…"; or the name of a pose estimator:
            "pose_<backbone>_<keypoints>_<height>x<width>" with mmpose's head, followed by
            "_<head>" for another head; or one of `list_models(task="detection")`.
        **arguments: Further arguments of the builder, for example `weights="imagenet"`.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If there is no such model.
    """
    _discover()
    for task in _tasks:
        if isinstance(name, str) and name.startswith(task.prefix):
            return task.build(name, **arguments)
    networks = list_models()
    if name not in networks and not is_architecture(name):
        heads = [each for task in _tasks for each in task.names()]
        raise _unknown(name, [*networks, *heads], "`list_models()`, of all its tasks")
    return build_network(name, **arguments)


def is_architecture(name: Any) -> bool:
    """Return whether a name is that of a search space, followed by a colon."""
    space, colon, _ = name.partition(":") if isinstance(name, str) else ("", "", "")
    return bool(colon) and any(space in family.spaces for family in families())


def layer_name(name: str) -> str:
    """Return the name of a model as a name of layers, which have no colons and commas."""
    return re.sub(r"[^\w.-]+", "_", name)


def build_network(name: str, **arguments: Any) -> keras.Model:
    """Build a network, without the head of a task, by name.

    Raises:
        ValueError: If there is no such network.
    """
    if is_architecture(name):
        space, _, architecture = name.partition(":")
        (family,) = (each for each in families() if space in each.spaces)
        preset = {**family.spaces[space], "architecture": architecture}
        return family.builder(**{**preset, **arguments})
    for family in families():
        if isinstance(name, str) and name in family.presets:
            return family.builder(**{**family.presets[name], **arguments})
    raise _unknown(name, list_models(), "`list_models()`")


def _unknown(name: Any, names: list[str], place: str) -> ValueError:
    close = difflib.get_close_matches(str(name), names, n=5, cutoff=0.3) or names[:5]
    return ValueError(
        f"`name` must be one of the {len(names)} names of {place}, such as {', '.join(close)}. "
        f"Received: name={name!r}"
    )


def feature_extractor(
    model: keras.Model | str, strides: Iterable[int] | int = (4, 8, 16, 32), **arguments: Any
) -> keras.Model:
    """Return a model that outputs the feature maps at several strides.

    What timm's `features_only=True` does.

    Args:
        model: A network of this package, or its name.
        strides: One or several of 2, 4, 8, 16, 32.
        **arguments: Further arguments of the builder, if `model` is a name; the network is built
            without its classifier.

    Returns:
        A functional model with a list of outputs (N, H/stride, W/stride, C), in the order of
        `strides`: each is the last tensor of the network at that stride (after a shuffle, before
        the last 1 × 1 convolution).

    Raises:
        ValueError: If the network or a stride is unknown.
    """
    if isinstance(model, str):
        model = build_network(model, **{"include_top": False, **arguments})
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a keras.Model or a name of `list_models()`. Received: model={model!r}"
        )
    prefixes = _feature_prefixes(model)
    wanted = list(strides) if isinstance(strides, Iterable) else [strides]
    if not wanted or any(stride not in prefixes for stride in wanted):
        allowed = ", ".join(map(str, prefixes))
        raise ValueError(f"`strides` must be among {allowed}. Received: strides={wanted}")
    outputs = [_operations_of(model, prefixes[stride])[-1].output for stride in wanted]
    return keras.Model(model.input, outputs, name=f"{model.name}_features")


def _feature_prefixes(model: keras.Model) -> Mapping[int, str]:
    """Return the prefixes of the family whose stages are exactly those of the model."""
    groups = {layer.name.partition("_")[0] for layer in model.layers}
    stages = {group for group in groups if group.startswith(STAGE_PREFIX)}
    for family in families():
        prefixes = family.feature_prefixes.values()
        known = {prefix for prefix in prefixes if prefix.startswith(STAGE_PREFIX)}
        if known == stages and all(_operations_of(model, prefix) for prefix in prefixes):
            return family.feature_prefixes
    raise ValueError(
        "`model` must be a network of this package, or one with the same layer names. "
        f"Received: a model named {model.name!r} with other layers"
    )


def _operations_of(model: keras.Model, prefix: str) -> list[keras.Operation]:
    """Return layers and operations whose names begin with a prefix, in the order of the network.

    The shuffle of a network of variable input size is an operation, but no layer.
    """
    return [
        operation
        for operation in getattr(model, "operations", model.layers)
        if operation.name == prefix or operation.name.startswith(f"{prefix}_")
    ]
