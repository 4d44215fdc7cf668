"""Arguments of an export: what is allowed, and what is said of what is not."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_shufflenet.export.converter import QUANTIZED
from keras_shufflenet.export.quantization import are_pixels
from keras_shufflenet.inference.predictor import load_keras
from keras_shufflenet.litert.metadata import ModelMetadata

INPUT_DTYPES = {
    "float32": ("float32", "uint8"),
    "float16": ("float32", "uint8"),
    "int8": ("float32", "uint8", "int8"),
    "int16x8": ("float32", "int16"),
    "dynamic_int8": ("float32", "uint8"),
}
OUTPUT_DTYPES = {
    "float32": ("float32",),
    "float16": ("float32",),
    "int8": ("float32", "uint8", "int8"),
    "int16x8": ("float32", "int16"),
    "dynamic_int8": ("float32",),
}


def check_evaluate(evaluate: Any) -> None:
    """Raise an error if a file cannot be measured with this."""
    if evaluate is not None and not callable(evaluate):
        raise ValueError(f"`evaluate` must be a function of a path. Received: {evaluate!r}")


def check_path(path: str | Path) -> Path:
    """The path; an error if it cannot be written."""
    if not isinstance(path, (str, Path)):
        raise ValueError(f"`path` must be a string or a pathlib.Path. Received: {path!r}")
    path = Path(path)
    if path.suffix != ".tflite":
        raise ValueError(f"`path` must end in .tflite. Received: {str(path)!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder of `path` does not exist. Received: {str(path)!r}")
    if path.is_dir():
        raise IsADirectoryError(f"`path` must be that of a file. Received: {str(path)!r}")
    return path


def check_types(precision: str, input_dtype: str, output_dtype: str) -> None:
    """Raise an error if types do not go together, or Keras does not run on TensorFlow."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "Export to LiteRT needs Keras' TensorFlow backend: save the model as .keras, set "
            f"KERAS_BACKEND=tensorflow and export that file. Received: backend {backend!r}"
        )
    check_choice("precision", precision, tuple(INPUT_DTYPES))
    check_choice(f"input_dtype for {precision}", input_dtype, INPUT_DTYPES[precision])
    check_choice(f"output_dtype for {precision}", output_dtype, OUTPUT_DTYPES[precision])


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise an error if an argument is none of the names that are allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}. Received: {value!r}")


def check_flag(name: str, value: Any) -> None:
    """Raise an error if an argument is neither True nor False."""
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be True or False. Received: {value!r}")


def check_scales(precision: str, per_channel: bool) -> None:
    """Raise an error for what the converter cannot do."""
    if precision == "int16x8" and not per_channel:
        raise ValueError(
            "int16x8 needs a scale for each channel: per_channel=False is for int8 and dynamic. "
            "Received: per_channel=False"
        )


def keras_model(model: keras.Model | str | Path) -> keras.Model:
    """The model, opened if it is a path."""
    if isinstance(model, (str, Path)):
        return load_keras(Path(model))
    if not isinstance(model, keras.Model):
        raise ValueError(
            "`model` must be a keras.Model or the path of a .keras file. "
            f"Received: {type(model).__name__}"
        )
    return model


def check_images(name: str, images: Any, size: Sequence[int | None]) -> None:
    """Raise an error if these are not images of (height, width), None for any."""
    array = np.asarray(images)
    height, width = (side or wanted for side, wanted in zip(size, "HW", strict=True))
    fits = array.ndim == 4 and array.shape[3] == 3 and len(array) > 0
    fits = fits and all(w in (None, n) for w, n in zip(size, array.shape[1:3], strict=True))
    if not fits or array.dtype.kind in "OSU" or not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be finite images of shape (N, {height}, {width}, 3), N at least 1. "
            f"Received: {type(images).__name__} of shape {array.shape}"
        )


def check_calibration(images: np.ndarray | None, precision: str, input_dtype: str) -> None:
    """Raise an error if there are no images to calibrate with, or the wrong ones."""
    if images is None:
        raise ValueError(
            f"{precision} needs `calibration`: a dataset of what the model is fed in real life, "
            "such as the one it was trained on. Received: calibration=None"
        )
    if input_dtype == "uint8" and not are_pixels(images):
        raise ValueError(
            "uint8 input means raw pixels 0..255, and so the calibration images must be. "
            f"Received: values from {images.min():.3g} to {images.max():.3g}"
        )


def warn_of_cost(precision: str, per_channel: bool) -> None:
    """Warn of precisions that are slow or inaccurate."""
    if precision == "dynamic_int8":
        warnings.warn(
            "Dynamic range quantization makes a small file, but a slow one: XNNPACK has no such "
            "depthwise convolutions, and a network whose kernels are large enough to be quantized "
            "falls into pieces. int8 is faster.",
            stacklevel=3,
        )
    elif precision in QUANTIZED and not per_channel:
        warnings.warn(
            "One scale for each kernel costs accuracy, most in depthwise convolutions: compare "
            "the file with one that has per_channel=True.",
            stacklevel=3,
        )


def warn_of_normalization(takes_pixels: bool, description: ModelMetadata) -> None:
    """Warn of files that classify or find joints, but not in pixels."""
    if not takes_pixels and description.files():
        warnings.warn(
            "The model takes normalized images, and the file cannot say how they are normalized: "
            "MediaPipe refuses it, and `inference` would feed it pixels. Build the network with "
            "include_preprocessing=True. If it does take pixels, say so by `samples`.",
            stacklevel=4,
        )


def normalizes(model: keras.Model) -> bool:
    """Whether there are layers in a model that normalize pixels."""
    kinds = (keras.layers.Normalization, keras.layers.Rescaling)
    return any(isinstance(layer, kinds) for layer in model._flatten_layers())


def warn_of_range(model: keras.Model, images: np.ndarray | None) -> None:
    """Warn of normalized images for a model that normalizes pixels by itself."""
    if images is not None and normalizes(model) and not are_pixels(images):
        warnings.warn(
            "The model takes pixels 0..255 and normalizes them by itself, but the calibration "
            f"images hold values from {images.min():.3g} to {images.max():.3g}.",
            stacklevel=4,
        )
