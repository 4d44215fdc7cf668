"""TensorFlow's LiteRT converter, held to builtin operators and kept quiet."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from keras_shufflenet.export.clipping import cut_ranges
from keras_shufflenet.export.quantization import representative
from keras_shufflenet.litert.interpreter import quiet_stderr

UNSUPPORTED = re.compile(r"'tf\.(\w+)' op is neither|^\s*(?:Flex|Custom) ops: (.+)$", re.MULTILINE)


OPERATORS = {
    "float32": tf.lite.OpsSet.TFLITE_BUILTINS,
    "float16": tf.lite.OpsSet.TFLITE_BUILTINS,
    "dynamic_int8": tf.lite.OpsSet.TFLITE_BUILTINS,
    "int8": tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
    "int16x8": tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
}
QUANTIZED = ("int8", "int16x8")  # activations, too


class ExportError(ValueError):
    """The model cannot be expressed in LiteRT's builtin operators."""


def convert(
    function: Any,
    module: tf.Module,
    precision: str,
    images: np.ndarray | None,
    input_dtype: str,
    output_dtype: str,
    per_channel: bool = True,
    cut: bool = False,
    verbose: bool = False,
) -> bytes:
    """Convert a frozen function.

    Args:
        function: of `graph.frozen_function`.
        module: that owns the function.
        precision: a key of `OPERATORS`.
        images: (N, H, W, 3) for those that quantize activations.
        input_dtype: of a file with quantized activations: "float32", "uint8", "int8", "int16".
        output_dtype: likewise.
        per_channel: whether each output channel of a quantized kernel has its own scale.
        cut: for int8, whether the ranges of what linear convolutions make are cut off.
        verbose: show the progress of the calibration.

    Returns:
        The bytes of the `.tflite` file.

    Raises:
        ExportError: if an operation has no builtin operator, or none for integers.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.target_spec.supported_ops = [OPERATORS[precision]]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter._experimental_disable_per_channel = not per_channel
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if images is None or precision not in QUANTIZED:
        return _run(converter.convert)
    converter.representative_dataset = lambda: representative(images, verbose)
    types = tf.as_dtype(input_dtype), tf.as_dtype(output_dtype)
    converter.inference_input_type, converter.inference_output_type = types
    if not cut:
        return _run(converter.convert)
    converter._experimental_calibrate_only = True
    calibrated = cut_ranges(_run(converter.convert), images)
    return _run(
        lambda: mlir_quantize(
            calibrated,
            disable_per_channel=not per_channel,
            input_data_type=types[0],
            output_data_type=types[1],
        )
    )


def _run(make: Callable[[], bytes]) -> bytes:
    try:
        with _quiet():
            return make()
    except Exception as error:  # the converter raises its own, RuntimeError, ValueError, ...
        raise ExportError(
            "The model holds operations that LiteRT's builtin operators cannot express at this "
            f"precision. Received: {_culprits(str(error))}"
        ) from error


def _culprits(message: str) -> str:
    """The unsupported operations that the converter names, else its first line."""
    names = {"".join(groups) for groups in UNSUPPORTED.findall(message)}
    return ", ".join(sorted(names)) or message.strip().split("\n")[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the converter's logs and its warnings about its own deprecated parts."""
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
