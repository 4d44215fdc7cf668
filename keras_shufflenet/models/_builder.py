"""What every builder does around its network: input, preprocessing, top, weights."""

import math
import numbers
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from keras_shufflenet import weights as pretrained
from keras_shufflenet.models.layers import channel_axis


@dataclass(frozen=True)
class Preprocessing:
    """From RGB 0..255 to what a network was trained on.

    That a network was trained on BGR is not seen here: the loader of weights turns the kernel of
    the first convolution round in a model that has preprocessing.

    Attributes:
        mean: RGB, or an image (height, width, 3) for inputs of that size.
        std: RGB.
    """

    mean: Sequence[float] | NDArray[np.floating] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (1.0, 1.0, 1.0)


MEAN_STD = Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # ImageNet's pixels
AS_IS = Preprocessing()
MINIMUM_SIZE = 32
DEFAULT_SIZE = 224
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Top:
    """The classifier: dropout of channels, global average, hidden layers, dropout, dense layer.

    Attributes:
        classes: how many.
        activation: of the dense layer.
        use_bias: whether the dense layer has one.
        dropout: share of features dropped in training; 0 for no such layer.
        spatial_dropout: share of whole channels dropped in training before they are pooled.
        hidden: layers between pooling and dropout, from (N, C) to (N, D).
    """

    classes: int
    activation: str | None
    use_bias: bool = True
    dropout: float = 0.0
    spatial_dropout: float = 0.0
    hidden: Callable[[keras.KerasTensor], keras.KerasTensor] | None = None


def preset_name(family: str, width: float) -> str:
    """Name of a width in the registry, for example "shufflenet_v2_x1_0"."""
    return f"{family}_x{float(width)}".replace(".", "_")


def check_choice(argument: str, value: Any, allowed: Collection[Any]) -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    if not any(value == choice for choice in allowed):
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"`{argument}` must be one of {choices}. Received: {argument}={value!r}")


def check_positive(argument: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number above 0."""
    if not is_positive(value):
        raise ValueError(f"`{argument}` must be a positive number. Received: {argument}={value!r}")


def is_positive(value: Any) -> bool:
    """Whether a value is a finite number above 0."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and 0 < value < math.inf


def build(
    network: Callable[[keras.KerasTensor], keras.KerasTensor],
    *,
    preset: str,
    preprocessing: Preprocessing | None,
    top: Top | None,
    weights: str | None,
    input_tensor: keras.KerasTensor | None,
    input_shape: tuple[int | None, ...] | None,
    pooling: str | None,
    name: str | None,
    auxiliary: Callable[[Top], list[keras.KerasTensor]] | None = None,
) -> keras.Model:
    """Put a network between its input and its top and load its weights.

    Args:
        network: from normalized image to the maps that the top pools.
        preset: the network's name in the registry, which "imagenet" weights are looked up by.
        preprocessing: what to prepend; None for nothing.
        top: what to append; None for `pooling`.
        weights: as in every builder.
        input_tensor: as in every builder.
        input_shape: as in every builder.
        pooling: as in every builder.
        name: of the model; None for `preset`.
        auxiliary: makes further outputs, for training, once the network is there.
    """
    check_choice("pooling", pooling, (None, "avg", "max"))
    _check_top(top)
    if auxiliary is not None and top is None:
        raise ValueError("`auxiliary` needs the top. Received: include_top=False")
    image = _image(input_tensor, input_shape, fixed=top is not None)
    _check_channels(image, preprocessing, weights)
    x = network(prepend_preprocessing(image, preprocessing))
    x = _append_top(x, top) if top else _pool(x, pooling)
    if auxiliary is not None and top is not None:
        x = [x, *auxiliary(top)]
    sources = keras.utils.get_source_inputs(image)
    model = keras.Model(sources[0] if len(sources) == 1 else sources, x, name=name or preset)
    if weights is not None:
        partly = top is not None and top.classes != IMAGENET_CLASSES
        pretrained.load(model, weights, model_name=preset, head_if_it_fits=partly)
    return model


def _check_top(top: Top | None) -> None:
    if top is None:
        return
    countable = isinstance(top.classes, numbers.Integral) and not isinstance(top.classes, bool)
    if not countable or top.classes < 1:
        raise ValueError(f"`classes` must be a positive integer. Received: classes={top.classes!r}")


def _image(
    input_tensor: keras.KerasTensor | None, input_shape: tuple[int | None, ...] | None, fixed: bool
) -> keras.KerasTensor:
    """The tensor of images: the one given, or a new input."""
    if input_tensor is not None:
        if not keras.utils.is_keras_tensor(input_tensor):
            raise ValueError(
                "`input_tensor` must be a Keras tensor, the output of `keras.Input` or of a "
                f"layer. Received: input_tensor of type {type(input_tensor).__name__}"
            )
        shape = tuple(input_tensor.shape[1:])
        _check_shape(shape)
        if input_shape is not None and tuple(input_shape) != shape:
            raise ValueError(
                f"`input_shape` must be the one of `input_tensor`, {shape}, or None. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        return input_tensor
    if input_shape is None:
        size = DEFAULT_SIZE if fixed else None
        input_shape = (size, size, 3) if channel_axis() == -1 else (3, size, size)
    if not isinstance(input_shape, Sequence):
        raise ValueError(
            f"`input_shape` must be a tuple of three sizes. Received: input_shape={input_shape!r}"
        )
    _check_shape(tuple(input_shape))
    return keras.Input(tuple(input_shape), name="image")


def _check_shape(shape: tuple[int | None, ...]) -> None:
    layout = "(height, width, channels)" if channel_axis() == -1 else "(channels, height, width)"
    if len(shape) != 3 or shape[channel_axis() if channel_axis() == -1 else 0] is None:
        raise ValueError(
            f"`input_shape` must be {layout} with a known number of channels. "
            f"Received: input_shape={shape}"
        )
    size = shape[:2] if channel_axis() == -1 else shape[1:]
    if any(side is not None and side < MINIMUM_SIZE for side in size):
        raise ValueError(
            f"Height and width must be at least {MINIMUM_SIZE}. Received: input_shape={shape}"
        )


def _check_channels(
    image: keras.KerasTensor, preprocessing: Preprocessing | None, weights: str | None
) -> None:
    channels = image.shape[channel_axis()]
    if channels != 3 and (preprocessing is not None or weights is not None):
        raise ValueError(
            "Preprocessing and pretrained weights are for RGB images with 3 channels; for others "
            "use `include_preprocessing=False` and `weights=None`. "
            f"Received: an input of {channels} channels"
        )


def prepend_preprocessing(
    image: keras.KerasTensor, preprocessing: Preprocessing | None
) -> keras.KerasTensor:
    """Turn RGB 0..255 into what the network takes."""
    if preprocessing is None:
        return image
    if preprocessing is AS_IS:  # the layer's name still tells that RGB comes in
        return layers.Identity(name="preprocessing")(image)
    mean = _fit(np.asarray(preprocessing.mean, np.float32), image)
    variance = np.broadcast_to(np.square(preprocessing.std), mean.shape)
    axes: Any = channel_axis() if mean.ndim == 1 else (1, 2, 3)
    if mean.ndim == 3 and channel_axis() == 1:
        mean, variance = mean.transpose(2, 0, 1), variance.transpose(2, 0, 1)
    return layers.Normalization(
        axis=axes, mean=mean.tolist(), variance=variance.tolist(), name="preprocessing"
    )(image)


def _fit(mean: NDArray[np.float32], image: keras.KerasTensor) -> NDArray[np.float32]:
    """A mean image in the size of the input, or its color if that size is open."""
    height, width = image.shape[1:3] if channel_axis() == -1 else image.shape[2:4]
    if mean.shape[-1:] != (3,) or mean.ndim not in (1, 3):
        raise ValueError(
            f"A mean is a color (3,) or an image (height, width, 3). Received: shape {mean.shape}"
        )
    if mean.ndim == 1 or mean.shape[:2] == (height, width):
        return mean
    if height is None or width is None:
        return mean.mean(axis=(0, 1))
    resized = keras.ops.image.resize(
        mean, (height, width), antialias=True, data_format="channels_last"
    )
    return np.asarray(keras.ops.convert_to_numpy(resized), np.float32)


def _append_top(x: keras.KerasTensor, top: Top) -> keras.KerasTensor:
    if top.spatial_dropout:
        x = layers.SpatialDropout2D(top.spatial_dropout, name="dropout")(x)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if top.hidden:
        x = top.hidden(x)
    if top.dropout:
        x = layers.Dropout(top.dropout, name="dropout")(x)
    return layers.Dense(
        int(top.classes),
        activation=top.activation,
        use_bias=top.use_bias,
        dtype="float32",  # probabilities in full precision whatever the policy
        name="predictions",
    )(x)


def _pool(x: keras.KerasTensor, pooling: str | None) -> keras.KerasTensor:
    if pooling == "avg":
        return layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if pooling == "max":
        return layers.GlobalMaxPooling2D(name="max_pool")(x)
    return x
