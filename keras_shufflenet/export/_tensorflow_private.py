"""The private parts of TensorFlow's converter that exports need.

They have no public counterpart: calibration without quantization, quantization of a calibrated
file, and per-tensor weights. `tests/export/test_tensorflow_private.py` tells when an upgrade of
TensorFlow moves them.
"""

from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize


def use_per_tensor_weights(converter: tf.lite.TFLiteConverter) -> None:
    """Let a converter quantize weights with one scale per tensor instead of per channel."""
    _set(converter, "_experimental_disable_per_channel", True)


def only_calibrate(converter: tf.lite.TFLiteConverter) -> None:
    """Let a converter write a float file with the ranges of its tensors."""
    _set(converter, "_experimental_calibrate_only", True)


def quantize(
    calibrated: bytes,
    input_dtype: tf.DType,
    output_dtype: tf.DType,
    per_channel: bool,
    in_float: set[str],
) -> bytes:
    """Quantize a calibrated file to int8, but for the operators that make tensors of some names."""
    return mlir_quantize(
        calibrated,
        disable_per_channel=not per_channel,
        input_data_type=input_dtype,
        output_data_type=output_dtype,
        denylisted_nodes=in_float or None,
    )


def _set(converter: Any, name: str, value: bool) -> None:
    if not hasattr(converter, name):
        raise AttributeError(
            f"TensorFlow {tf.__version__} has no `TFLiteConverter.{name}` any more. Received: a "
            f"{type(converter).__name__} without it"
        )
    setattr(converter, name, value)
