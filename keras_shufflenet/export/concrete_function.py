"""The static float32 function of a Keras model, which TensorFlow's converter takes."""

from collections.abc import Sequence
from math import prod
from typing import Any

import keras
import tensorflow as tf

from keras_shufflenet._keras_private import functional
from keras_shufflenet._requirements import FLOAT, check_memory
from keras_shufflenet.inference.keras_outputs import is_channels_first, name_outputs

HALF_PRECISIONS = ("float16", "bfloat16")


def in_float32(model: keras.Model) -> keras.Model:
    """Return the model, or a copy in float32 if it uses mixed precision.

    LiteRT has no kernels for mixed precision.
    """
    if all(layer.compute_dtype not in HALF_PRECISIONS for layer in model.layers):
        return model
    copy = keras.models.clone_model(model, clone_function=_float32_layer, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _float32_layer(layer: keras.Layer) -> keras.Layer:
    return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})


class _AnyBatchReshape(keras.layers.Reshape):
    """Reshapes without computing the batch size, which takes three more operators."""

    def call(self, inputs: Any) -> Any:
        shape = self.compute_output_shape(inputs.shape)[1:]
        return super().call(inputs) if None in shape else keras.ops.reshape(inputs, (-1, *shape))


class _AnyBatchFlatten(keras.layers.Flatten):
    """Flattens likewise."""

    def call(self, inputs: Any) -> Any:
        (size,) = self.compute_output_shape(inputs.shape)[1:]
        return super().call(inputs) if size is None else keras.ops.reshape(inputs, (-1, size))


ANY_BATCH: dict[type[keras.Layer], type[keras.Layer]] = {
    keras.layers.Reshape: _AnyBatchReshape,
    keras.layers.Flatten: _AnyBatchFlatten,
}


def with_any_batch(model: keras.Model) -> keras.Model:
    """Return the model, or a copy whose reshaping layers do not compute the batch size."""
    if functional(model) is None or not any(type(layer) in ANY_BATCH for layer in model.layers):
        return model
    copy = keras.models.clone_model(model, clone_function=_any_batch_layer, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _any_batch_layer(layer: keras.Layer) -> keras.Layer:
    return ANY_BATCH.get(type(layer), type(layer)).from_config(layer.get_config())


def static_shape(
    model: keras.Model, input_size: tuple[int, int] | None, batch_size: int | None
) -> tuple[int | None, int, int, int]:
    """Return (batch, height, width, channels) of the exported input; the batch None if dynamic.

    Args:
        model: A model with one image input (N, H, W, C).
        input_size: Required if the height or width of the model's input is variable.
        batch_size: Number of images of the exported input; None for any number.

    Raises:
        ValueError: If size or batch are missing or contradictory, or the model is of another kind.
    """
    shape = getattr(model, "input_shape", (None, None, None, 3))
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] is None:
        raise ValueError(
            "`model` must have one input of images (N, H, W, C), channels last. "
            f"Received: input shape {shape}"
        )
    if is_channels_first(model):
        raise ValueError(
            "`model` must be channels last, as LiteRT is: build it with "
            "`keras.config.set_image_data_format('channels_last')` and copy the weights. "
            f"Received: channels first, input shape {shape}"
        )
    if shape[0] not in (None, batch_size):
        raise ValueError(
            f"`batch_size` must be {shape[0]}, the batch size of the model. "
            f"Received: batch_size={batch_size!r}"
        )
    size = _agreed_size(shape[1:3], input_size)
    image = prod(size) * shape[3] * FLOAT
    check_memory("input_size", size, image)
    check_memory("batch_size", batch_size, (batch_size or 1) * image)
    return (batch_size, *size, shape[3])


def _agreed_size(
    own: tuple[int | None, int | None], wanted: tuple[int, int] | None
) -> tuple[int, int]:
    sides = wanted if isinstance(wanted, (tuple, list)) else ()
    if wanted is not None and not (len(sides) == 2 and all(isinstance(n, int) for n in sides)):
        raise ValueError(
            f"`input_size` must be (height, width) in pixels. Received: input_size={wanted!r}"
        )
    height, width = wanted or own
    if height is None or width is None:
        raise ValueError(
            "`input_size` must be (height, width) for a model that accepts images of any size. "
            f"Received: input_size={wanted!r}"
        )
    if any(side not in (None, target) for side, target in zip(own, (height, width), strict=True)):
        raise ValueError(
            f"`input_size` must be {own}, the (height, width) of the model, or None. "
            f"Received: input_size={wanted!r}"
        )
    return height, width


def concrete_function(
    model: keras.Model,
    shape: tuple[int | None, int, int, int],
    input_dtype: str,
    names: Sequence[str] | None,
) -> tuple[Any, tf.Module]:
    """Trace a model for inference, with its variables as constants.

    Constants let the converter fold batch normalization, and make it several times faster than a
    saved model with variables.

    Args:
        model: The network, in float32.
        shape: (batch, height, width, channels) of the function's input.
        input_dtype: Data type of the function's input; integers are cast to float32.
        names: Names of the outputs, in the order of the model; None for those of `name_outputs`.

    Returns:
        The concrete function and the module that keeps it alive.
    """
    constants = [(variable, tf.constant(variable.numpy())) for variable in model.variables]

    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        with keras.StatelessScope(state_mapping=constants):
            outputs = model(tf.cast(images, tf.float32), training=False)
        return name_outputs(names, outputs)

    module = tf.Module()
    spec = tf.TensorSpec(shape, input_dtype, name="images")
    module.serve = tf.function(serve, input_signature=[spec], autograph=False)
    return module.serve.get_concrete_function(), module
