"""What all builders do around their networks: input, preprocessing, top, weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_shufflenet import weights as pretrained
from keras_shufflenet._checks import (
    check_bool,
    check_choice,
    check_integer,
    check_names,
    is_integer,
)
from keras_shufflenet._layer_names import CLASS_NAMES, IMAGE, PREDICTIONS
from keras_shufflenet._requirements import check_memory
from keras_shufflenet.models._input_channels import copy_adapted
from keras_shufflenet.models._model_data import attach_data
from keras_shufflenet.models._preprocessing import (
    IDENTITY,
    MEAN_STD,
    RGB,
    Preprocessing,
    prepend_preprocessing,
)
from keras_shufflenet.models.layers import channel_axis

__all__ = ["IDENTITY", "MEAN_STD", "Preprocessing", "Top", "build", "preset_name"]


MINIMUM_SIZE = 32
DEFAULT_SIZE = 224
IMAGENET_CLASSES = 1000
BYTES_PER_CLASS = 4 * 64  # of the kernel of the narrowest head


@dataclass(frozen=True)
class Top:
    """The classifier: spatial dropout, global pooling, hidden layers, dropout, dense layer.

    Attributes:
        classes: Number of classes, or their names.
        activation: Activation of the dense layer.
        use_bias: Whether the dense layer has a bias.
        dropout: Dropout rate of the features; 0 for no such layer.
        spatial_dropout: Dropout rate of whole channels before pooling; 0 for no such layer.
        hidden: Layers between pooling and dropout, from (N, C) to (N, D).
    """

    classes: int | Sequence[str]
    activation: str | None
    use_bias: bool = True
    dropout: float = 0.0
    spatial_dropout: float = 0.0
    hidden: Callable[[keras.KerasTensor], keras.KerasTensor] | None = None

    @property
    def count(self) -> int:
        """The number of classes."""
        return int(self.classes) if is_integer(self.classes) else len(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes; empty if unknown.

        Raises:
            ValueError: If `classes` is neither a number nor a list of names.
        """
        if is_integer(self.classes):
            return ()
        what = "a positive integer, or a list of the names of the classes"
        return check_names("classes", self.classes, what)


def preset_name(family: str, width: float) -> str:
    """Return the registry name of a width, for example "shufflenet_v2_x1_0"."""
    return f"{family}_x{float(width)}".replace(".", "_")


def build(
    network: Callable[[keras.KerasTensor], keras.KerasTensor],
    *,
    preset: str,
    preprocessing: Preprocessing,
    include_preprocessing: bool,
    top: Top,
    include_top: bool,
    weights: str | None,
    input_tensor: keras.KerasTensor | None,
    input_shape: tuple[int | None, ...] | None,
    pooling: str | None,
    name: str | None,
    adapt_input_channels: bool,
    auxiliary: Callable[[Top], list[keras.KerasTensor]] | None = None,
) -> keras.Model:
    """Build a model from a network and load its weights.

    Args:
        network: Maps normalized images to the feature maps that the top pools.
        preset: Registry name of the network, by which "imagenet" weights are looked up.
        preprocessing: Normalization to prepend.
        include_preprocessing: As in every builder.
        top: Classifier to append.
        include_top: As in every builder.
        weights: As in every builder.
        input_tensor: As in every builder.
        input_shape: As in every builder.
        pooling: As in every builder.
        name: Name of the model; None for `preset`.
        adapt_input_channels: As in every builder.
        auxiliary: Builds further outputs for training; called after `network`.
    """
    check_bool("include_preprocessing", include_preprocessing)
    check_bool("include_top", include_top)
    check_bool("adapt_input_channels", adapt_input_channels)
    check_choice("pooling", pooling, (None, "avg", "max"))
    if include_top:
        check_integer("classes", top.count)
        check_memory("classes", top.count, top.count * BYTES_PER_CLASS)
        _check_activation(top.activation)
    elif auxiliary is not None:
        raise ValueError("`auxiliary` requires `include_top=True`. Received: include_top=False")

    def assemble(image: keras.KerasTensor) -> keras.Model:
        x = network(prepend_preprocessing(image, preprocessing if include_preprocessing else None))
        x = _append_top(x, top) if include_top else _pool(x, pooling)
        if auxiliary is not None:
            x = [x, *auxiliary(top)]
        sources = keras.utils.get_source_inputs(image)
        return keras.Model(sources[0] if len(sources) == 1 else sources, x, name=name or preset)

    image = _image(input_tensor, input_shape, fixed=include_top)
    model = assemble(image)
    if weights is not None:
        partly = include_top and top.count != IMAGENET_CLASSES
        adapts = adapt_input_channels and image.shape[channel_axis()] != RGB
        loaded = assemble(_rgb_input(image)) if adapts else model
        pretrained.load(loaded, weights, model_name=preset, skip_mismatched_head=partly)
        if adapts:
            copy_adapted(loaded, model)
    return model


def _rgb_input(image: keras.KerasTensor) -> keras.KerasTensor:
    """Return an input of RGB images of the same size."""
    shape = list(image.shape[1:])
    shape[channel_axis() if channel_axis() == -1 else 0] = RGB
    return keras.Input(shape)


def _check_activation(activation: Any) -> None:
    try:
        keras.activations.get(activation)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`classifier_activation` must be an activation of Keras, such as 'softmax', or None "
            f"for logits. Received: classifier_activation={activation!r}"
        ) from error


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
    last = channel_axis() == -1
    layout = "(height, width, channels)" if last else "(channels, height, width)"
    channels, size = (shape[-1:], shape[:-1]) if last else (shape[:1], shape[1:])
    known = len(shape) == 3 and all(n is not None and is_integer(n) and n > 0 for n in channels)
    if not known or not all(n is None or is_integer(n) for n in size):
        raise ValueError(
            f"`input_shape` must be {layout} with a known number of channels. "
            f"Received: input_shape={shape}"
        )
    if any(side is not None and side < MINIMUM_SIZE for side in size):
        raise ValueError(
            f"`input_shape` must be {layout} with a size of at least {MINIMUM_SIZE} × "
            f"{MINIMUM_SIZE}. Received: input_shape={shape}"
        )


def _append_top(x: keras.KerasTensor, top: Top) -> keras.KerasTensor:
    if top.spatial_dropout:
        x = layers.SpatialDropout2D(top.spatial_dropout, name="dropout")(x)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if top.hidden:
        x = top.hidden(x)
    if top.dropout:
        x = layers.Dropout(top.dropout, name="dropout")(x)
    if top.names:
        x = attach_data(x, CLASS_NAMES, list(top.names))
    return layers.Dense(
        top.count,
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
