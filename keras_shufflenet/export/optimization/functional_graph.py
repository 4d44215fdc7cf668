"""The layers of a functional model in the order of computation, nested models included."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from keras_shufflenet._keras_private import calls, functional


@dataclass(frozen=True)
class Step:
    """A call of a layer, with numbered tensors.

    Attributes:
        call: Node of Keras.
        reads: Input tensors.
        makes: Output tensor.
    """

    call: Any
    reads: list[int]
    makes: int

    @property
    def output(self) -> keras.KerasTensor:
        """Return the output tensor."""
        return self.call.outputs[0]


def flattened(
    model: keras.Model, reads: list[int], numbers: Iterator[int]
) -> tuple[list[Step], list[int]]:
    """Return the steps of a functional model and of the models nested in it.

    Args:
        model: The model.
        reads: Input tensors.
        numbers: Yields the numbers of further tensors.

    Returns:
        The steps in order, and the output tensors.
    """
    steps: list[Step] = []
    known = dict(zip(map(id, model.inputs), reads, strict=True))
    for call in calls(model):
        own = [known[id(x)] for x in call.input_tensors]
        inner = functional(call.operation)
        if inner is None:
            made = [next(numbers)]
            steps.append(Step(call, own, *made))
        else:
            inside, made = flattened(inner, own, numbers)
            steps += inside
        known.update(zip(map(id, call.outputs), made, strict=True))
    return steps, [known[id(x)] for x in model.outputs]


def size(model: keras.Model) -> int:
    """Return the number of layers and operations of a functional model."""
    inner = (functional(call.operation) for call in calls(model))
    return sum(1 if model is None else size(model) for model in inner)
