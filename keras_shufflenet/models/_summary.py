"""A model on one screen: its stages with shapes, parameters and multiply-adds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_shufflenet.models._profile import Call, calls_of

if TYPE_CHECKING:
    import keras

HEADINGS = ("stage", "layers", "output", "parameters", "multiply-adds")


@dataclass(frozen=True)
class Stage:
    """A part of a model: the layers whose names begin with the same word.

    Attributes:
        name: The word: "stem", "stage1", "neck", "predictions".
        layers: Number of calls of layers and operations.
        output: Shape of the last one's output, without the batch.
        params: Parameters, statistics of batch normalizations included.
        macs: Multiply-adds for one image.
    """

    name: str
    layers: int
    output: tuple[int | None, ...]
    params: int
    macs: int


def stages(model: "keras.Model", input_size: tuple[int, int] | None = None) -> list[Stage]:
    """Return the stages of a model in the order of computation.

    Args:
        model: A functional model with one image input.
        input_size: (height, width) in pixels; required if the model accepts images of any size.

    Raises:
        ValueError: As `count_params_and_macs`.
    """
    groups: dict[str, list[Call]] = {}
    for call in calls_of(model, input_size):
        groups.setdefault(call.operation.name.split("_")[0], []).append(call)
    return [
        Stage(
            name,
            len(group),
            group[-1].shape[1:],
            _params(group),
            sum(call.macs for call in group),
        )
        for name, group in groups.items()
    ]


def _params(calls: Sequence[Call]) -> int:
    weights = {
        id(weight): weight for call in calls for weight in getattr(call.operation, "weights", ())
    }
    return sum(math.prod(weight.shape) for weight in weights.values())


def summary(
    model: "keras.Model",
    input_size: tuple[int, int] | None = None,
    print_fn: Callable[[str], object] = print,
) -> None:
    """Print a model by stages: layers, output shape, parameters, multiply-adds.

    `model.summary()` has a line for every layer, hundreds for the smallest network.

    Args:
        model: A functional model with one image input.
        input_size: (height, width) in pixels; required if the model accepts images of any size.
        print_fn: Called with each line.

    Raises:
        ValueError: If it is no Keras model, or the size is missing or contradicts the model's own.
    """
    found = stages(model, input_size)
    rows = [
        (
            stage.name,
            str(stage.layers),
            " × ".join(map(str, stage.output)),
            f"{stage.params:,}",
            f"{stage.macs / 1e6:,.2f} M",
        )
        for stage in found
    ]
    total = (
        f"{model.name}",
        str(sum(stage.layers for stage in found)),
        "",
        f"{sum(stage.params for stage in found):,}",
        f"{sum(stage.macs for stage in found) / 1e6:,.2f} M",
    )
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, total, strict=True)]
    lines = [HEADINGS, ("─" * width for width in widths), *rows, total]
    for first, *others in lines:
        texts = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        print_fn("  ".join((first.ljust(widths[0]), *texts)))
