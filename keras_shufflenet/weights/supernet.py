"""One path of a supernet: the weights of a network before it was trained alone."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from keras_shufflenet.weights.errors import WeightsMismatchError
from keras_shufflenet.weights.torch_pickle import without_wrapper

CHOICE = re.compile(r"features\.(\d+)\.(\d+)\.(.+)")


def supernet_path(
    state: Mapping[str, np.ndarray], architecture: Sequence[int]
) -> dict[str, np.ndarray]:
    """Take the weights of one architecture out of a supernet's state dict.

    For the supernets of SinglePathOneShot (whose batch normalizations have no gamma and beta, hence
    ``OneShotNet(architecture, affine=False)``) and DetNAS (which split their channels differently,
    hence ``DetNAS(architecture, split="standard")``).

    Args:
        state: arrays by name, as `read_checkpoint` gives them.
        architecture: a choice for each unit.

    Returns:
        A state dict for `load_state_dict`.

    Raises:
        WeightsMismatchError: if the state dict is not a supernet's, or lacks a choice.
    """
    path: dict[str, np.ndarray] = {}
    found = set()
    for key, array in without_wrapper(state).items():
        match = CHOICE.fullmatch(key)
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
