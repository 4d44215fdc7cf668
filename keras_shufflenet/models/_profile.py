"""The size of a model: parameters and multiply-adds.

The counts of all models of the registry are in `model_stats.csv`, which `tools/model_stats.py`
writes: lists of models need them, and building the largest models takes seconds. They are read
without importing Keras.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

STATS_FILE = "model_stats.csv"


@dataclass(frozen=True)
class ModelStats:
    """Counts of `count_params_and_macs`.

    Attributes:
        params: Trainable parameters: kernels, biases, gamma and beta.
        macs: Multiply-adds for one image in (transposed) convolutions and dense layers, which the
            papers call FLOPs. Biases, normalization, activation and pooling are not counted.
    """

    params: int
    macs: int


@dataclass(frozen=True)
class Call:
    """A call of a layer or operation.

    Attributes:
        operation: The layer or operation.
        shape: Shape of its output, with the batch.
        macs: Multiply-adds for one image.
    """

    operation: Any
    shape: tuple[int | None, ...]
    macs: int


def _read_stats() -> dict[str, ModelStats]:
    text = files(__package__).joinpath(STATS_FILE).read_text(encoding="utf-8")
    return {
        row["name"]: ModelStats(int(row["params"]), int(row["macs"]))
        for row in csv.DictReader(text.splitlines())
    }


MODEL_STATS: Mapping[str, ModelStats] = _read_stats()
"""Counts by registry name: networks at 224 × 224 with 1000 classes, others at their own size."""


def count_params_and_macs(
    model: "keras.Model", input_size: tuple[int, int] | None = None
) -> ModelStats:
    """Count parameters and multiply-adds of a model.

    Args:
        model: A functional model with one image input.
        input_size: (height, width) in pixels; required if the model accepts images of any size.

    Raises:
        ValueError: If it is no Keras model, or the size is missing or contradicts the model's own.
    """
    made = calls_of(model, input_size)
    params = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return ModelStats(params, sum(call.macs for call in made))


def calls_of(model: "keras.Model", input_size: tuple[int, int] | None = None) -> list[Call]:
    """Return the calls of a model's layers in the order of computation, with their multiply-adds.

    Args:
        model: As for `count_params_and_macs`.
        input_size: As there.

    Raises:
        ValueError: As there.
    """
    import keras

    from keras_shufflenet._keras_private import calls, functional

    if not isinstance(model, keras.Model):
        raise ValueError(
            "`model` must be a keras.Model; the counts of a name are in `MODEL_STATS`. "
            f"Received: model={model!r}"
        )
    network = functional(model)
    if network is None:
        raise ValueError(
            f"`model` must be functional or sequential. Received: {type(model).__name__}"
        )
    size = _input_size(model, input_size)
    layers = keras.layers
    transposed = (layers.Conv1DTranspose, layers.Conv2DTranspose)
    made = list(calls(network))
    # Kernels are (kh, kw, Cin / groups, Cout), (kh, kw, C, M), (kh, kw, Cout, Cin) or (Cin, Cout):
    # each element is used once for each position of the output, or of the input of a transposed
    # convolution.
    nested = [functional(call.operation) for call in made]
    swept = [
        call.input_tensors[0]
        if inner is not None or isinstance(call.operation, transposed)
        else call.outputs[0]
        for call, inner in zip(made, nested, strict=True)
    ]
    shapes = _shapes(model, [*(call.outputs[0] for call in made), *swept], size)
    found = []
    for call, inner, shape, used in zip(made, nested, shapes, shapes[len(made) :], strict=False):
        operation = call.operation
        if inner is not None:
            sizes: Any = _spatial(used)  # none of a vector
            macs = sum([each.macs for each in calls_of(inner, sizes)])
        else:
            macs = sum(math.prod(kernel.shape) for kernel in _kernels(operation))
            macs *= math.prod(_positions(operation, used)) if macs else 0
        found.append(Call(operation, shape, macs))
    return found


def _kernels(operation: Any) -> "list[keras.Variable]":
    """Return the kernels of a convolution or dense layer."""
    from keras import layers

    if isinstance(operation, (layers.SeparableConv1D, layers.SeparableConv2D)):
        return [operation.depthwise_kernel, operation.pointwise_kernel]
    multiplying = (
        *(layers.Conv1D, layers.Conv2D, layers.Conv1DTranspose, layers.Conv2DTranspose),
        *(layers.DepthwiseConv1D, layers.DepthwiseConv2D, layers.Dense),
    )
    return [operation.kernel] if isinstance(operation, multiplying) else []


def _positions(operation: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes along which kernels are applied; those of dense layers come before the last.

    Of several feature maps one after another, too.
    """
    channels_first = getattr(operation, "data_format", "channels_last") == "channels_first"
    return shape[2:] if channels_first else shape[1:-1]


def _spatial(shape: tuple[int, ...]) -> tuple[int, ...]:
    import keras

    return shape[1:3] if keras.config.image_data_format() == "channels_last" else shape[2:]


def _input_size(model: "keras.Model", input_size: tuple[int, int] | None) -> tuple[int, ...]:
    own = _spatial(tuple(model.inputs[0].shape))
    if None not in own and input_size in (None, own):
        return own
    if None not in own or input_size is None:
        raise ValueError(
            "`input_size` must be (height, width) for a model that accepts images of any size, and "
            f"None for one that accepts {own} only. Received: input_size={input_size!r}"
        )
    return input_size


def _shapes(
    model: "keras.Model", tensors: "list[keras.KerasTensor]", size: tuple[int, ...]
) -> list[tuple[int, ...]]:
    """Return the shapes of a model's tensors at an input size."""
    import keras

    image = model.inputs[0]
    if None not in _spatial(tuple(image.shape)) or not tensors:
        return [tuple(tensor.shape) for tensor in tensors]
    channels_last = keras.config.image_data_format() == "channels_last"
    shape = (1, *size, image.shape[-1]) if channels_last else (1, image.shape[1], *size)
    specs = keras.Model(model.inputs, tensors).compute_output_spec(
        keras.KerasTensor(shape, image.dtype)
    )
    return [tuple(spec.shape) for spec in keras.tree.flatten(specs)]
