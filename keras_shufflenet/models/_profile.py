"""How much a network costs: parameters and multiply-adds."""

import math
from dataclasses import dataclass

import keras
from keras import layers

from keras_shufflenet.models.layers import channel_axis


@dataclass(frozen=True)
class ModelStats:
    """What `count_params_and_macs` counts.

    Attributes:
        params: trainable elements: kernels, biases, gamma and beta.
        macs: multiply-adds of one image in (transposed) convolutions and dense layers, which the
            papers call FLOPs. Biases, normalization, activation and pooling are not counted.
    """

    params: int
    macs: int


def count_params_and_macs(
    model: keras.Model, input_size: tuple[int, int] | None = None
) -> ModelStats:
    """Count parameters and multiply-adds.

    Args:
        model: a functional model of one image input.
        input_size: (height, width) in pixels; needed if the model takes images of any size.

    Raises:
        ValueError: if the size is not known, or contradicts the model's own.
    """
    params = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    return ModelStats(params, sum(_macs(layer) for layer in _at_size(model, input_size).layers))


def _at_size(model: keras.Model, input_size: tuple[int, int] | None) -> keras.Model:
    """The same graph with a fixed size of input."""
    shape = list(model.inputs[0].shape[1:])
    first = 0 if channel_axis() == -1 else 1
    own_size = tuple(shape[first : first + 2])
    if None not in own_size and input_size in (None, own_size):
        return model
    if None not in own_size or input_size is None:
        raise ValueError(
            "`input_size` is (height, width), needed if the model takes images of any size and "
            f"not free if it takes those of {own_size}. Received: input_size={input_size!r}"
        )
    shape[first : first + 2] = input_size
    return keras.models.clone_model(model, input_tensors=keras.Input(shape))


def _macs(layer: keras.Layer) -> int:
    if isinstance(layer, layers.Dense):
        return math.prod(layer.kernel.shape)
    if isinstance(layer, layers.Conv2DTranspose):
        return _positions(layer.input) * math.prod(layer.kernel.shape)
    if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
        # (kh, kw, Cin / groups, Cout) and (kh, kw, C, 1): each element is used once per position.
        return _positions(layer.output) * math.prod(layer.kernel.shape)
    return 0


def _positions(maps: keras.KerasTensor) -> int:
    return math.prod(maps.shape[1:3] if channel_axis() == -1 else maps.shape[2:])
