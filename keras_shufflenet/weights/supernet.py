"""Supernets: one architecture of those whose weights a search shares."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from keras_shufflenet._checks import is_integer
from keras_shufflenet.weights._subsets import strip_wrappers
from keras_shufflenet.weights.errors import WeightsMismatchError

SUPERNET_KEY = re.compile(r"features\.(\d+)\.(\d+)\.(.+)")  # unit, choice, parameter


def supernet_path(
    state: Mapping[str, np.ndarray], architecture: Sequence[int]
) -> dict[str, np.ndarray]:
    """Extract the weights of one architecture from a supernet's state dict.

    Works for the supernets of SinglePathOneShot (whose batch normalizations have no gamma and beta,
    hence ``OneShotNet(architecture, affine=False)``) and DetNAS (which split their channels
    differently, hence ``DetNAS(architecture, split="standard")``).

    Args:
        state: Arrays by name, as returned by `read_checkpoint`.
        architecture: The choice of each unit.

    Returns:
        A state dict for `load_state_dict`.

    Raises:
        ValueError: If the arguments are of other types; a `WeightsMismatchError` if the state dict
            is not a supernet's, or lacks a choice.
    """
    if not isinstance(state, Mapping):
        raise ValueError(
            "`state` must be a mapping from names to arrays, as returned by `read_checkpoint`. "
            f"Received: state of type {type(state).__name__}"
        )
    choices = architecture if isinstance(architecture, Sequence) else [None]
    if not all(is_integer(choice) for choice in choices):
        raise ValueError(
            "`architecture` must be a sequence of integers, the choice of each unit. "
            f"Received: architecture={architecture!r}"
        )
    path: dict[str, np.ndarray] = {}
    found = set()
    for key, array in strip_wrappers(state).items():
        match = SUPERNET_KEY.fullmatch(key)
        if match is None:
            path[key] = array
        elif int(match[1]) >= len(architecture):
            found.add(int(match[1]))
        elif int(match[2]) == architecture[int(match[1])]:
            found.add(int(match[1]))
            path[f"features.{match[1]}.{match[3]}"] = array
    if found != set(range(len(architecture))):
        raise WeightsMismatchError(
            f"The state dict must be a supernet's with the {len(architecture)} units of the "
            f"architecture. Received: the choices of {len(found)} units and "
            f"architecture={tuple(architecture)}"
        )
    return path
