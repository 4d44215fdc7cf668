"""What all builders do around their networks: input, preprocessing, top, weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from keras_shufflenet import weights as pretrained
from keras_shufflenet._checks import check_choice, check_integer
from keras_shufflenet._layer_names import IMAGE, PREDICTIONS
from keras_shufflenet._layer_names import PREPROCESSING as PREPROCESSING_LAYER
from keras_shufflenet.models.layers import channel_axis


@dataclass(frozen=True)
class Preprocessing:
    """Normalization of RGB images 0..255 that a network was trained with.

    Networks trained on BGR need nothing here: when weights are loaded into a model with
    preprocessing, the input channels of the first kernel are reversed.

    Attributes:
        mean: Mean RGB color, or a mean image (height, width, 3) for inputs of that size.
        std: Standard deviation of RGB.
    """

    mean: Sequence[float] | NDArray[np.floating] = (0.0, 0.0, 0.0)
    std: Sequence[float] = (1.0, 1.0, 1.0)


MEAN_STD = Preprocessing((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # ImageNet's pixels
IDENTITY = Preprocessing()
MINIMUM_SIZE = 32
DEFAULT_SIZE = 224
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Top:
    """The classifier: spatial dropout, global pooling, hidden layers, dropout, dense layer.

    Attributes:
        classes: Number of classes.
        activation: Activation of the dense layer.
        use_bias: Whether the dense layer has a bias.
        dropout: Dropout rate of the features; 0 for no such layer.
        spatial_dropout: Dropout rate of whole channels before pooling; 0 for no such layer.
        hidden: Layers between pooling and dropout, from (N, C) to (N, D).
    """

    classes: int
    activation: str | None
    use_bias: bool = True
    dropout: float = 0.0
    spatial_dropout: float = 0.0
    hidden: Callable[[keras.KerasTensor], keras.KerasTensor] | None = None


def preset_name(family: str, width: float) -> str:
    """Return the registry name of a width, for example "shufflenet_v2_x1_0"."""
    return f"{family}_x{float(width)}".replace(".", "_")


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
    """Build a model from a network and load its weights.

    Args:
        network: Maps normalized images to the feature maps that the top pools.
        preset: Registry name of the network, by which "imagenet" weights are looked up.
        preprocessing: Normalization to prepend; None for none.
        top: Classifier to append; None for `pooling`.
        weights: As in every builder.
        input_tensor: As in every builder.
        input_shape: As in every builder.
        pooling: As in every builder.
        name: Name of the model; None for `preset`.
        auxiliary: Builds further outputs for training; called after `network`.
    """
    check_choice("pooling", pooling, (None, "avg", "max"))
    if top is not None:
        check_integer("classes", top.classes)
    if auxiliary is not None and top is None:
        raise ValueError("`auxiliary` requires `include_top=True`. Received: include_top=False")
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
        pretrained.load(model, weights, model_name=preset, skip_mismatched_head=partly)
    return model


def _image(
    input_tensor: keras.KerasTensor | None, input_shape: tuple[int | None, ...] | None, fixed: bool
) -> keras.KerasTensor:
    """Return the given image tensor or a new input."""
    if input_tensor is not None:
        if not keras.utils.is_keras_tensor(input_tensor):
            raise ValueError(
                "`input_tensor` must be a Keras tensor, the output of `keras.Input` or of a layer. "
                f"Received: input_tensor of type {type(input_tensor).__name__}"
            )
        shape = tuple(input_tensor.shape[1:])
        _check_shape(shape)
        if input_shape is not None and tuple(input_shape) != shape:
            raise ValueError(
                f"`input_shape` must be the shape of `input_tensor`, {shape}, or None. "
                f"Received: input_shape={tuple(input_shape)}"
            )
        return input_tensor
    if input_shape is None:
        size = DEFAULT_SIZE if fixed else None
        input_shape = (size, size, 3) if channel_axis() == -1 else (3, size, size)
    if not isinstance(input_shape, Sequence):
        raise ValueError(
            "`input_shape` must be a tuple of three integers. "
            f"Received: input_shape={input_shape!r}"
        )
    _check_shape(tuple(input_shape))
    return keras.Input(tuple(input_shape), name=IMAGE)


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
            f"`input_shape` must be at least {MINIMUM_SIZE} × {MINIMUM_SIZE}. Received: "
            f"input_shape={shape}"
        )


def _check_channels(
    image: keras.KerasTensor, preprocessing: Preprocessing | None, weights: str | None
) -> None:
    channels = image.shape[channel_axis()]
    if channels != 3 and (preprocessing is not None or weights is not None):
        raise ValueError(
            "Preprocessing and pretrained weights require RGB images with 3 channels; for others "
            "use `include_preprocessing=False` and `weights=None`. "
            f"Received: an input with {channels} channels"
        )


def prepend_preprocessing(
    image: keras.KerasTensor, preprocessing: Preprocessing | None
) -> keras.KerasTensor:
    """Normalize RGB images 0..255 as the network expects."""
    if preprocessing is None:
        return image
    if preprocessing is IDENTITY:  # the layer's name tells the weight loader that input is RGB
        return layers.Identity(name=PREPROCESSING_LAYER)(image)
    mean = _fit(np.asarray(preprocessing.mean, np.float32), image)
    variance = np.broadcast_to(np.square(preprocessing.std), mean.shape)
    axes: Any = channel_axis() if mean.ndim == 1 else (1, 2, 3)
    if mean.ndim == 3 and channel_axis() == 1:
        mean, variance = mean.transpose(2, 0, 1), variance.transpose(2, 0, 1)
    return layers.Normalization(
        axis=axes, mean=mean.tolist(), variance=variance.tolist(), name=PREPROCESSING_LAYER
    )(image)


def _fit(mean: NDArray[np.float32], image: keras.KerasTensor) -> NDArray[np.float32]:
    """Resize a mean image to the input, or average it if the input size is variable."""
    height, width = image.shape[1:3] if channel_axis() == -1 else image.shape[2:4]
    if mean.shape[-1:] != (3,) or mean.ndim not in (1, 3):
        raise ValueError(
            "`mean` must be a color (3,) or an image (height, width, 3). "
            f"Received: mean of shape {mean.shape}"
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
        dtype="float32",  # probabilities in full precision, whatever the dtype policy
        name=PREDICTIONS,
    )(x)


def _pool(x: keras.KerasTensor, pooling: str | None) -> keras.KerasTensor:
    if pooling == "avg":
        return layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if pooling == "max":
        return layers.GlobalMaxPooling2D(name="max_pool")(x)
    return x
