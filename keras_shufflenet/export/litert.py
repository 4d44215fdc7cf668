"""Export to LiteRT (`.tflite`): the one call."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_shufflenet.export.bias_correction import correct_biases
from keras_shufflenet.export.calibration import are_pixels, read_images
from keras_shufflenet.export.converter import QUANTIZED, ExportError, convert
from keras_shufflenet.export.flatbuffer import float_softmax
from keras_shufflenet.export.graph import frozen_function, in_float32, static_size
from keras_shufflenet.export.lowering import METHODS, LoweringError, lower
from keras_shufflenet.export.metadata import attach, describe
from keras_shufflenet.export.report import Deviation, Report, examine, report_paths
from keras_shufflenet.export.report import deviation as deviation_of
from keras_shufflenet.files import write_whole
from keras_shufflenet.inference.predictor import Predictor, load_keras
from keras_shufflenet.inference.runtime import InterpreterError, open_interpreter, run_one
from keras_shufflenet.keypoints.codecs import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton

__all__ = ["ExportError", "litert"]

INPUT_DTYPES = {
    "float32": ("float32", "uint8"),
    "float16": ("float32", "uint8"),
    "int8": ("float32", "uint8", "int8"),
    "int16x8": ("float32", "int16"),
    "dynamic": ("float32", "uint8"),
}
OUTPUT_DTYPES = {
    "float32": ("float32",),
    "float16": ("float32",),
    "int8": ("float32", "uint8", "int8"),
    "int16x8": ("float32", "int16"),
    "dynamic": ("float32",),
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
    calibration_method: str = "mse",
    per_channel: bool = True,
    input_dtype: str = "float32",
    output_dtype: str = "float32",
    input_size: tuple[int, int] | None = None,
    samples: np.ndarray | None = None,
    lowered: bool = True,
    labels: Sequence[str] | None = None,
    codec: HeatmapCodec | None = None,
    skeleton: str | Skeleton | None = None,
    evaluate: Callable[[Path], Mapping[str, float]] | None = None,
    verbose: bool = False,
) -> Report:
    """Write a model as a `.tflite` file for batch size 1 and one image size.

    The file uses LiteRT's builtin operators only and runs with ai-edge-litert. It holds TensorFlow
    Lite metadata: names of classes or joints, pixel normalisation and how heatmaps are decoded.
    The report lies beside it as `NAME.tflite.json` and `NAME.tflite.md`. The model is not changed.

    Args:
        model: a `keras.Model` from one batch of images (N, H, W, 3) to one array, or the path of a
            `.keras` file. Mixed precision is taken back to float32.
        path: to write, ending in ".tflite"; replaced if it exists.
        precision: "float32"; "float16" (half-size weights, computed in float32 on most CPUs);
            "int8" (weights and activations: smallest and fastest); "int16x8" (activations of 16
            bits, to judge int8 by or for NPUs: without fast operators on CPUs); "dynamic" (weights
            of 8 bits, activations quantized as they come: slower than float32 where convolutions
            are depthwise).
        calibration: what the model is fed in real life, for int8 and int16x8: a `tf.data.Dataset`
            or an iterable of batches of images, or of tuples that begin with images. Never random
            numbers: the ranges of all tensors are learned from it.
        calibration_images: to take from `calibration` at most.
        calibration_method: how the range of what comes out of a ReLU is found for int8: "mse" (the
            least squared error of rounding and clipping), "min_max" (the greatest value) or
            "moving_average" (of the images' greatest values). Other ranges are the greatest.
        per_channel: False for one scale for each kernel, which some NPUs run several times as
            fast. It costs accuracy, most in depthwise convolutions.
        input_dtype: "float32"; "uint8" for raw RGB bytes 0..255; "int8" (for int8 only) for bytes
            minus 128; "int16" (for int16x8 only). The report says how the input is quantized.
        output_dtype: "float32"; for int8 also "uint8" and "int8", for int16x8 also "int16",
            quantized as the report says.
        input_size: (height, width) in pixels, for a model that leaves them open.
        samples: images (N, H, W, 3) to compare the file with the model on; by default the first 16
            of `calibration`.
        lowered: convert what `export.lower` makes of the model, which computes the same faster; a
            model that it does not know is converted as it is, and the report says so.
        labels: names of a classifier's classes; by default ImageNet's for 1000 classes.
        codec: of a pose estimator's heatmaps; by default `"msra"` of the model's sizes.
        skeleton: of a pose estimator; by default COCO's for 17 heatmaps and MPII's for 16.
        evaluate: measures the file, for the report: a function of its path such as
            `lambda file: ks.evaluate.coco(file, annotations, images)`. The path is that of a file
            beside `path`, which is moved there when it has been measured.
        verbose: show progress bars.

    Returns:
        What came out: size, operators, partitions, quantization, what delegates would refuse,
        difference to the model, the figures of `evaluate`.

    Raises:
        ImportError: without ai-edge-litert.
        FileNotFoundError: if `model` is a path to nothing, or the folder of `path` is missing.
        ExportError: (a ValueError) if the model holds what LiteRT's builtins cannot express.
        ValueError: for other arguments than those above, int8 or int16x8 without `calibration`, or
            a Keras backend other than TensorFlow.

    Warns:
        UserWarning: for "dynamic" and for one scale for each kernel, of what they cost; for
            calibration images that seem to be normalised already.
    """
    if evaluate is not None and not callable(evaluate):
        raise ValueError(f"`evaluate` has to be a function of a path. Received: {evaluate!r}")
    path = check_arguments(path, precision, input_dtype, output_dtype)
    _check_choice("calibration_method", calibration_method, tuple(METHODS))
    model = keras_model(model)
    size = static_size(model, input_size)
    check_samples(samples, size)
    images = None
    if calibration is not None:
        limit = calibration_images if precision in QUANTIZED else COMPARED_IMAGES
        images = read_images(calibration, size, limit, verbose)
    if precision in QUANTIZED:
        check_calibration(images, precision, input_dtype)
    _warn(precision, per_channel)
    warn_of_range(model, images)
    predictor = Predictor.load(model, size)
    description = describe(predictor, labels, codec, skeleton)
    traced_dtype = "float32" if precision in QUANTIZED else input_dtype
    network, note = _network(in_float32(model), precision, lowered, images, calibration_method)
    if images is not None and precision in QUANTIZED and network is not model:
        correct_biases(network, images, per_channel)
    function, module = frozen_function(network, size, traced_dtype)
    content = float_softmax(
        convert(
            function, module, precision, images, input_dtype, output_dtype, per_channel, verbose
        )
    )
    takes_pixels = images is None or are_pixels(images)
    content = attach(content, predictor.name, description, takes_pixels)
    try:
        deviation = compare(predictor, content, images if samples is None else samples)
    except InterpreterError as error:
        raise ExportError(
            f"LiteRT cannot run what became of the model ({error}). Where that is the lowered "
            "network, pass lowered=False; untrained weights are a likely cause. "
            f"Received: precision={precision!r}, lowered={lowered}"
        ) from error
    return write(examine(content, path, precision, note, deviation), content, evaluate)


def write(
    report: Report, content: bytes, evaluate: Callable[[Path], Mapping[str, float]] | None
) -> Report:
    """Measure and write the file and its report; a report never lies beside another file."""
    path = Path(report.path)
    figures: dict[str, float] = {}

    def write_both(beside: Path) -> None:
        beside.write_bytes(content)
        figures.update(_numbers(evaluate(beside)) if evaluate else {})
        for old in report_paths(path):
            old.unlink(missing_ok=True)

    write_whole(path, write_both)
    report = replace(report, figures=figures)
    report.save()
    return report


def _numbers(figures: Any) -> dict[str, float]:
    """What a function of the user has measured, as JSON can hold it."""
    kinds = (bool, int, float, np.number)
    if not isinstance(figures, Mapping) or not all(
        isinstance(value, kinds) and np.isfinite(value) for value in figures.values()
    ):
        raise ValueError(
            f"`evaluate` has to give a dictionary of finite numbers. Received: {figures!r}"
        )
    return {str(name): float(value) for name, value in figures.items()}


def check_samples(samples: Any, size: tuple[int, int]) -> None:
    """Raise an error if the file cannot be compared on these images."""
    if samples is None:
        return
    array = np.asarray(samples)
    fits = array.ndim == 4 and array.shape[1:] == (*size, 3) and len(array) > 0
    if not fits or array.dtype.kind in "OSU" or not np.isfinite(array).all():
        raise ValueError(
            f"`samples` has to be finite images of shape (N, {size[0]}, {size[1]}, 3), N at least "
            f"1. Received: {type(samples).__name__} of shape {array.shape}"
        )


def _network(
    model: keras.Model, precision: str, lowered: bool, images: np.ndarray | None, method: str
) -> tuple[keras.Model, str]:
    """What is converted, and whether it is the lowered model."""
    if not lowered:
        return model, "no: lowered=False"
    try:
        network = lower(model, images if precision in QUANTIZED else None, method)
    except LoweringError as error:
        return model, f"no: {error}"
    if len(network.operations) > MOST_GROWTH * len(model.operations):
        return model, f"no: it would take {len(network.operations)} operations"
    if precision == "int16x8" and any(_interleaves(layer) for layer in network.operations):
        return model, "no: LiteRT interleaves no 16-bit maps (DEPTH_TO_SPACE)"
    return network, "yes"


def _interleaves(operation: keras.Operation) -> bool:
    return type(operation).__name__ == "DepthToSpace"


def check_arguments(path: str | Path, precision: str, input_dtype: str, output_dtype: str) -> Path:
    """The path; an error if it cannot be written, or types do not go together."""
    if not isinstance(path, (str, Path)):
        raise ValueError(f"`path` has to be a string or a pathlib.Path. Received: {path!r}")
    path = Path(path)
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
    if path.is_dir():
        raise IsADirectoryError(f"`path` has to be that of a file. Received: {str(path)!r}")
    _check_choice("precision", precision, tuple(INPUT_DTYPES))
    _check_choice(f"input_dtype for {precision}", input_dtype, INPUT_DTYPES[precision])
    _check_choice(f"output_dtype for {precision}", output_dtype, OUTPUT_DTYPES[precision])
    return path


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


def check_calibration(images: np.ndarray | None, precision: str, input_dtype: str) -> None:
    """Raise an error if there are no images to calibrate with, or the wrong ones."""
    if images is None:
        raise ValueError(
            f"{precision} needs `calibration`: a dataset of what the model is fed in real life, "
            "such as the one it was trained on. Received: calibration=None"
        )
    if input_dtype == "uint8" and not are_pixels(images):
        raise ValueError(
            "uint8 input means raw pixels 0..255, and so the calibration images have to be. "
            f"Received: values from {images.min():.3g} to {images.max():.3g}"
        )


def _warn(precision: str, per_channel: bool) -> None:
    if precision == "dynamic":
        warnings.warn(
            "Dynamic range quantization makes a small file, but a slow one: XNNPACK has no such "
            "depthwise convolutions, and the network falls into pieces. int8 is faster.",
            stacklevel=3,
        )
    elif precision in QUANTIZED and not per_channel:
        warnings.warn(
            "One scale for each kernel costs accuracy, most in depthwise convolutions: compare "
            "the file with one that has per_channel=True.",
            stacklevel=3,
        )


def warn_of_range(model: keras.Model, images: np.ndarray | None) -> None:
    """Warn of normalised images for a model that normalises pixels by itself."""
    normalises = any(layer.name == "preprocessing" for layer in model.layers)
    if images is not None and normalises and not are_pixels(images):
        warnings.warn(
            "The model takes pixels 0..255 and normalises them by itself, but the calibration "
            f"images hold values from {images.min():.3g} to {images.max():.3g}.",
            stacklevel=3,
        )


def compare(predictor: Predictor, content: bytes, images: np.ndarray | None) -> Deviation | None:
    """How far a file's outputs are from the model's on the first of the images, if any."""
    if images is None:
        return None
    images = np.asarray(images)[:COMPARED_IMAGES]
    expected = predictor.predict(images)
    interpreter = open_interpreter(content)
    return deviation_of(expected, np.stack([run_one(interpreter, image) for image in images]))
