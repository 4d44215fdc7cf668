"""Extracting one architecture from a supernet."""

import numpy as np
import pytest

from keras_shufflenet.weights import WeightsMismatchError, supernet_path

SUPERNET = {
    "first_conv.0.weight": np.zeros(1),
    **{
        f"features.{unit}.{choice}.branch_main.0.weight": np.full(2, 10 * unit + choice)
        for unit in range(3)
        for choice in range(4)
    },
}


def test_the_choices_of_an_architecture_are_taken():
    path = supernet_path(SUPERNET, [3, 0, 2])
    assert list(path) == [
        "first_conv.0.weight",
        *(f"features.{unit}.branch_main.0.weight" for unit in range(3)),
    ]
    assert [int(array[0]) for array in path.values()] == [0, 3, 10, 22]


@pytest.mark.parametrize("architecture", [[3, 0], [3, 0, 2, 1], [3, 0, 7]])
def test_another_number_of_units_or_a_missing_choice(architecture):
    with pytest.raises(WeightsMismatchError, match=r"must be a supernet's.*Received: the choices"):
        supernet_path(SUPERNET, architecture)


@pytest.mark.parametrize(
    ("state", "architecture", "text"),
    [
        (3, "x", r"`state` must be a mapping.*Received: state of type int"),
        (SUPERNET, "012", r"`architecture` must be a sequence.*Received: architecture='012'"),
        (SUPERNET, 3, r"`architecture` must be a sequence.*Received: architecture=3"),
        (SUPERNET, [0, 1.5, 2], r"`architecture` must be .*Received: architecture=\[0, 1.5, 2\]"),
    ],
)
def test_arguments_of_other_types(state, architecture, text):
    with pytest.raises(ValueError, match=text):
        supernet_path(state, architecture)
