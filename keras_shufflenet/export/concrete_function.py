"""The static float32 function of a Keras model, which TensorFlow's converter takes."""

from typing import Any

import keras
import tensorflow as tf

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


def static_size(model: keras.Model, input_size: tuple[int, int] | None) -> tuple[int, int]:
    """Return (height, width) of the exported input.

    Args:
        model: A model with one image input (N, H, W, 3).
        input_size: Required if the height or width of the model's input is variable.

    Raises:
        ValueError: If the size is missing or contradictory, or the model is of another kind.
    """
    shape = getattr(model, "input_shape", (None, None, None, 3))
    outputs = len(getattr(model, "outputs", [None]))
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] != 3 or outputs != 1:
        raise ValueError(
            "`model` must have one input of images (N, H, W, 3), channels last, and one output. "
            f"Received: input shape {shape}, {outputs} outputs"
        )
    return _agreed_size(shape[1:3], input_size)


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
    model: keras.Model, input_size: tuple[int, int], input_dtype: str
) -> tuple[Any, tf.Module]:
    """Trace a model for inference at batch size 1, with its variables as constants.

    Constants let the converter fold batch normalization, and make it several times faster than a
    saved model with variables.

    Args:
        model: The network, in float32.
        input_size: (height, width).
        input_dtype: Data type of the function's input; integers are cast to float32.

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
    """Return the name of the output in the file's signature."""
    names = getattr(model, "output_names", None)
    return names[0] if names else "output"
