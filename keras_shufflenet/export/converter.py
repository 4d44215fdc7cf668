"""TensorFlow's LiteRT converter, restricted to built-in operators and silenced."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from keras_shufflenet.export._tensorflow_private import (
    only_calibrate,
    quantize,
    use_per_tensor_weights,
)
from keras_shufflenet.export.clipping import clip_ranges
from keras_shufflenet.export.decoded_boxes import PREFIX as DECODING
from keras_shufflenet.export.options import ExportOptions
from keras_shufflenet.export.representative import representative
from keras_shufflenet.litert.interpreter import quiet_stderr
from keras_shufflenet.litert.schema import made_by

UNSUPPORTED = re.compile(r"'tf\.(\w+)' op is neither|^\s*(?:Flex|Custom) ops: (.+)$", re.MULTILINE)


OPERATORS = {
    "float32": tf.lite.OpsSet.TFLITE_BUILTINS,
    "float16": tf.lite.OpsSet.TFLITE_BUILTINS,
    "dynamic_int8": tf.lite.OpsSet.TFLITE_BUILTINS,
    "int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    "int16x8": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
}


class ExportError(ValueError):
    """LiteRT's built-in operators cannot express the model."""


def convert(
    function: Any, owner: tf.Module, images: np.ndarray | None, options: ExportOptions
) -> bytes:
    """Convert a concrete function.

    Args:
        function: A function of `concrete_function`.
        owner: The module that owns the function.
        images: Representative images (N, H, W, 3), for precisions that quantize activations.
        options: Options of the export.

    Returns:
        The bytes of the `.tflite` file.

    Raises:
        ExportError: If an operation has no built-in operator, or none for integers.
    """
    precision = options.precision
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], owner)
    converter.target_spec.supported_ops = [OPERATORS[precision]]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if not options.per_channel:
            use_per_tensor_weights(converter)
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if images is None:
        return _run(converter.convert)
    converter.representative_dataset = lambda: representative(
        images, options.batch_size or 1, options.verbose
    )
    dtypes = tf.as_dtype(options.input_dtype), tf.as_dtype(options.output_dtype)
    converter.inference_input_type, converter.inference_output_type = dtypes
    clips = options.calibration_method == "mse"
    if precision != "int8" or not (clips or options.target):
        return _run(converter.convert)
    only_calibrate(converter)
    calibrated = _run(converter.convert)
    if clips:
        calibrated = clip_ranges(calibrated, images)
    in_float = made_by(calibrated, DECODING) if options.target else set()
    return _run(lambda: quantize(calibrated, *dtypes, options.per_channel, in_float))


def _run(make: Callable[[], bytes]) -> bytes:
    try:
        with _quiet():
            return make()
    except Exception as error:  # ConverterError, RuntimeError, ValueError, ...
        raise ExportError(
            "`model` must consist of operations that LiteRT's built-in operators can express at "
            f"this precision. Received: {_culprits(str(error))}"
        ) from error


def _culprits(message: str) -> str:
    """Return the unsupported operations that the converter names, else its first line."""
    names = {"".join(groups) for groups in UNSUPPORTED.findall(message)}
    return ", ".join(sorted(names)) or message.strip().split("\n")[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the converter's logs and its warnings about its own deprecated parts."""
    loggers = [tf.get_logger(), logging.getLogger("absl")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), quiet_stderr():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
