"""Export to LiteRT (`.tflite`): the one call."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_shufflenet.export.calibration import are_pixels, read_images
from keras_shufflenet.export.converter import ExportError, convert
from keras_shufflenet.export.flatbuffer import float_softmax
from keras_shufflenet.export.graph import frozen_function, in_float32, static_size
from keras_shufflenet.export.lowering import LoweringError, lower
from keras_shufflenet.export.report import Deviation, Report, deviation, examine
from keras_shufflenet.files import write_whole
from keras_shufflenet.inference.predictor import Predictor, load_keras
from keras_shufflenet.inference.runtime import open_interpreter, run_one

__all__ = ["ExportError", "litert"]

INPUT_DTYPES = {
    "float32": ("float32", "uint8"),
    "float16": ("float32", "uint8"),
    "int8": ("float32", "uint8", "int8"),
}
OUTPUT_DTYPES = {
    "float32": ("float32",),
    "float16": ("float32",),
    "int8": ("float32", "uint8", "int8"),
}
COMPARED_IMAGES = 16
MOST_GROWTH = 3  # in operations; a network that needs more slices is better off as it is


def litert(
    model: keras.Model | str | Path,
    path: str | Path,
    precision: str = "float32",
    calibration: Iterable[Any] | None = None,
    *,
    calibration_images: int = 100,
    input_dtype: str = "float32",
    output_dtype: str = "float32",
    input_size: tuple[int, int] | None = None,
    samples: np.ndarray | None = None,
    lowered: bool = True,
    verbose: bool = False,
) -> Report:
    """Write a model as a `.tflite` file for batch size 1 and one image size.

    The file uses LiteRT's builtin operators only and runs with ai-edge-litert. The model is not
    changed.

    Args:
        model: a `keras.Model` from one batch of images (N, H, W, 3) to one array, or the path of a
            `.keras` file. Mixed precision is taken back to float32.
        path: to write, ending in ".tflite"; replaced if it exists.
        precision: "float32"; "float16" (half-size weights, computed in float32 on most CPUs);
            "int8" (weights per channel and activations: smallest and fastest).
        calibration: what the model is fed in real life, for int8: a `tf.data.Dataset` or an
            iterable of batches of images, or of tuples that begin with images. Never random
            numbers: the ranges of all tensors are learned from it.
        calibration_images: to take from `calibration` at most.
        input_dtype: "float32"; "uint8" for raw RGB bytes 0..255; "int8" (for int8 only) for bytes
            minus 128. The report says how the input is quantized.
        output_dtype: "float32"; for int8 also "uint8" and "int8", quantized as the report says.
        input_size: (height, width) in pixels, for a model that leaves them open.
        samples: images (N, H, W, 3) to compare the file with the model on; by default the first 16
            of `calibration`.
        lowered: convert what `export.lower` makes of the model, which computes the same faster; a
            model that it does not know is converted as it is, and the report says so.
        verbose: show progress bars.

    Returns:
        What came out: size, operators, partitions, quantization, difference to the model.

    Raises:
        ImportError: without ai-edge-litert.
        FileNotFoundError: if `model` is a path to nothing, or the folder of `path` is missing.
        ExportError: (a ValueError) if the model holds what LiteRT's builtins cannot express.
        ValueError: for other arguments than those above, int8 without `calibration`, or a Keras
            backend other than TensorFlow.
    """
    path = Path(path)
    check_arguments(path, precision, input_dtype, output_dtype)
    model = keras_model(model)
    size = static_size(model, input_size)
    images = None
    if calibration is not None:
        limit = calibration_images if precision == "int8" else COMPARED_IMAGES
        images = read_images(calibration, size, limit, verbose)
    if precision == "int8":
        check_calibration(images, input_dtype)
    traced_dtype = "float32" if precision == "int8" else input_dtype
    network, note = _network(in_float32(model), lowered, images if precision == "int8" else None)
    function, module = frozen_function(network, size, traced_dtype)
    content = float_softmax(
        convert(function, module, precision, images, input_dtype, output_dtype, verbose)
    )
    compared = images if samples is None else samples
    report = examine(content, path, precision, note, compare(model, content, compared))
    write_whole(path, lambda beside: beside.write_bytes(content))
    return report


def _network(
    model: keras.Model, lowered: bool, images: np.ndarray | None
) -> tuple[keras.Model, str]:
    """What is converted, and whether it is the lowered model."""
    if not lowered:
        return model, "no: lowered=False"
    try:
        network = lower(model, images)
    except LoweringError as error:
        return model, f"no: {error}"
    if len(network.operations) > MOST_GROWTH * len(model.operations):
        return model, f"no: it would take {len(network.operations)} operations"
    return network, "yes"


def check_arguments(path: Path, precision: str, input_dtype: str, output_dtype: str) -> None:
    """Raise an error for a path that cannot be written, or types that do not go together."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "Export to LiteRT needs Keras' TensorFlow backend: save the model as .keras, set "
            f"KERAS_BACKEND=tensorflow and export that file. Received: backend {backend!r}"
        )
    if path.suffix != ".tflite":
        raise ValueError(f"`path` has to end in .tflite. Received: {str(path)!r}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder of `path` does not exist. Received: {str(path)!r}")
    _check_choice("precision", precision, tuple(INPUT_DTYPES))
    _check_choice(f"input_dtype of {precision}", input_dtype, INPUT_DTYPES[precision])
    _check_choice(f"output_dtype of {precision}", output_dtype, OUTPUT_DTYPES[precision])


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} has to be one of {', '.join(allowed)}. Received: {value!r}")


def keras_model(model: keras.Model | str | Path) -> keras.Model:
    """The model, opened if it is a path."""
    if isinstance(model, (str, Path)):
        return load_keras(Path(model))
    if not isinstance(model, keras.Model):
        raise ValueError(
            "`model` has to be a keras.Model or the path of a .keras file. "
            f"Received: {type(model).__name__}"
        )
    return model


def check_calibration(images: np.ndarray | None, input_dtype: str) -> None:
    """Raise an error if there are no images to calibrate an int8 file, or the wrong ones."""
    if images is None:
        raise ValueError(
            "int8 needs `calibration`: a dataset of what the model is fed in real life, such as "
            "the one it was trained on. Received: calibration=None"
        )
    if input_dtype == "uint8" and not are_pixels(images):
        raise ValueError(
            "uint8 input means raw pixels 0..255, and so the calibration images have to be. "
            f"Received: values from {images.min():.3g} to {images.max():.3g}"
        )


def compare(model: keras.Model, content: bytes, images: np.ndarray | None) -> Deviation | None:
    """How far a file's outputs are from the model's on the first of the images, if any."""
    if images is None:
        return None
    images = np.asarray(images)[:COMPARED_IMAGES]
    expected = Predictor.load(model).predict(images)
    interpreter = open_interpreter(content)
    return deviation(expected, np.stack([run_one(interpreter, image) for image in images]))
