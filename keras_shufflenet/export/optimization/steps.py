"""The steps of a model in the order of computation, those of the models inside of it among them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Step:
    """A layer's part in the computation, tensors by their numbers.

    Attributes:
        call: Keras' node.
        reads: the tensors that go in.
        makes: the tensor that comes out.
    """

    call: Any
    reads: list[int]
    makes: int

    @property
    def output(self) -> keras.KerasTensor:
        """What comes out."""
        return self.call.outputs[0]


def flattened(
    model: keras.Model, reads: list[int], numbers: Iterator[int]
) -> tuple[list[Step], list[int]]:
    """The steps of a functional model and of the models that are layers of it.

    Args:
        model: to look into.
        reads: the tensors that go in.
        numbers: where those of further tensors come from.

    Returns:
        The steps in their order, and the tensors that come out.
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
    """How many layers and operations a functional model consists of."""
    inner = (functional(call.operation) for call in calls(model))
    return sum(1 if model is None else size(model) for model in inner)


def functional(model: Any) -> keras.Model | None:
    """The functional model that a model is or, if it is a sequence of layers, has inside."""
    if isinstance(model, keras.Sequential):
        model = model._functional
    return model if hasattr(model, "_nodes_by_depth") else None


def calls(model: keras.Model) -> Iterator[Any]:
    """Keras' nodes of the model, in the order of computation."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (call for call in model._nodes_by_depth[depth] if not call.is_input)
