"""From a Keras model to the static float32 function that the converter wants."""

from typing import Any

import keras
import tensorflow as tf

HALF_PRECISIONS = ("float16", "bfloat16")


def in_float32(model: keras.Model) -> keras.Model:
    """The same network computing in float32: the model itself, or a copy if it does not.

    LiteRT has no kernels for mixed precision.
    """
    if all(layer.compute_dtype not in HALF_PRECISIONS for layer in model.layers):
        return model
    copy = keras.models.clone_model(model, clone_function=_float32_layer, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _float32_layer(layer: keras.Layer) -> keras.Layer:
    return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})


def static_size(model: keras.Model, input_size: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) of the exported input.

    Args:
        model: of one image input (N, H, W, 3).
        input_size: needed where the model leaves height or width open.

    Raises:
        ValueError: if the size is open, contradictory, or the model is of another kind.
    """
    shape = getattr(model, "input_shape", (None, None, None, 3))
    outputs = len(getattr(model, "outputs", [None]))
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] != 3 or outputs != 1:
        raise ValueError(
            "An exported model has one input of images (N, H, W, 3), channels last, and one "
            f"output. Received: input shape {shape}, {outputs} outputs"
        )
    return _agreed_size(shape[1:3], input_size)


def _agreed_size(
    own: tuple[int | None, int | None], wanted: tuple[int, int] | None
) -> tuple[int, int]:
    sides = wanted if isinstance(wanted, (tuple, list)) else ()
    if wanted is not None and not (len(sides) == 2 and all(isinstance(n, int) for n in sides)):
        raise ValueError(
            f"`input_size` must be (height, width) in whole pixels. Received: {wanted!r}"
        )
    height, width = wanted or own
    if height is None or width is None:
        raise ValueError(
            "The model takes images of any size, an exported file of one: pass "
            f"`input_size=(height, width)`. Received: input_size={wanted!r}"
        )
    if any(side not in (None, target) for side, target in zip(own, (height, width), strict=True)):
        raise ValueError(
            f"The model takes images of {own} (height, width) only. Received: input_size={wanted!r}"
        )
    return height, width


def frozen_function(
    model: keras.Model, input_size: tuple[int, int], input_dtype: str
) -> tuple[Any, tf.Module]:
    """Trace the model for inference at batch size 1, its variables turned into constants.

    Constants are what lets the converter fold batch normalization, and they make it several times
    faster than going through a saved model with variables.

    Args:
        model: the network, in float32.
        input_size: (height, width).
        input_dtype: of the function's input; integers are cast.

    Returns:
        The concrete function and the module that keeps it alive.
    """
    constants = [(variable, tf.constant(variable.numpy())) for variable in model.variables]

    def serve(images: tf.Tensor) -> dict[str, tf.Tensor]:
        with keras.StatelessScope(state_mapping=constants):
            outputs = model(tf.cast(images, tf.float32), training=False)
        return {output_name(model): outputs}

    module = tf.Module()
    spec = tf.TensorSpec((1, *input_size, 3), input_dtype, name="images")
    module.serve = tf.function(serve, input_signature=[spec], autograph=False)
    return module.serve.get_concrete_function(), module


def output_name(model: keras.Model) -> str:
    """What the output is called in the file's signature."""
    names = getattr(model, "output_names", None)
    return names[0] if names else "output"
