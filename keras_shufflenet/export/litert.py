"""Export to LiteRT (`.tflite`)."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from keras_shufflenet.export.bias_correction import correct_biases
from keras_shufflenet.export.concrete_function import concrete_function, with_any_batch
from keras_shufflenet.export.converter import convert
from keras_shufflenet.export.decoded_boxes import (
    check_decodable,
    decoded,
    with_decoded_boxes,
)
from keras_shufflenet.export.optimization import (
    GraphOptimizationError,
    is_worth_it,
    optimize_for_inference,
)
from keras_shufflenet.export.options import Evaluate, ExportOptions
from keras_shufflenet.export.report import Report
from keras_shufflenet.export.source import ExportSource, open_source
from keras_shufflenet.export.write import write
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import SkeletonLike
from keras_shufflenet.litert.schema import order_outputs

Dataset = Iterable[Any] | Callable[[], Iterable[Any]]


def litert(
    model: keras.Model | str | Path,
    path: str | Path,
    precision: str | None = None,
    representative_dataset: Dataset | None = None,
    *,
    num_calibration_samples: int = 200,
    calibration_method: str = "mse",
    per_channel: bool = True,
    input_dtype: str = "float32",
    output_dtype: str = "float32",
    input_size: tuple[int, int] | None = None,
    batch_size: int | None = 1,
    comparison_images: np.ndarray | None = None,
    optimize: bool = True,
    labels: Sequence[str] | None = None,
    codec: HeatmapCodec | None = None,
    skeleton: SkeletonLike | None = None,
    evaluate: Evaluate | None = None,
    target: Literal["mediapipe"] | None = None,
    verbose: bool = False,
) -> Report:
    """Write a model as a `.tflite` file for one image size.

    The file uses LiteRT's built-in operators only and runs with ai-edge-litert. It holds TensorFlow
    Lite metadata: class or keypoint names, pixel normalization and how heatmaps are decoded.
    The report is written beside it as `NAME.tflite.json` and `NAME.tflite.md`. The model is not
    changed.

    Args:
        model: A `keras.Model` that maps a batch of images (N, H, W, C) to one or several arrays,
            or the path of a `.keras` file. Mixed precision is converted to float32. The outputs of
            the file have the names of the model's, and their order.
        path: Path of the file, ending in ".tflite"; replaced if it exists.
        precision: "float32"; "float16" (weights of half the size, computed in float32 on most
            CPUs); "int8" (weights and activations: smallest and fastest); "int16x8" (16-bit
            activations, to judge int8 by or for NPUs: slow on CPUs); "dynamic_int8" (8-bit
            weights, activations quantized at run time: slower than float32 for depthwise
            convolutions). Defaults to "int8" with a representative dataset and to "float32"
            without.
        representative_dataset: Images that are typical of the application, for int8 and int16x8: a
            `tf.data.Dataset` or another iterable, or a function that returns one, such as a
            generator function. Its elements are batches (N, H, W, C) or single images (H, W, C);
            tuples or lists that begin with them; or dictionaries with them under the name of the
            model's input, "images" or "image". An array of images will do. Never random numbers:
            the ranges of all activations are taken from it.
        num_calibration_samples: Maximum number of images to take from it.
        calibration_method: How the range of ReLU activations is found for int8: "mse" (least
            squared error of rounding and clipping), "min_max" (the maximum) or "moving_average"
            (of the images' maxima). With "mse" the ranges between linear convolutions are found
            in the same way; all others are the minimum and maximum.
        per_channel: Whether weights are quantized per channel. Per-tensor quantization, which some
            NPUs run several times as fast, costs accuracy, most in depthwise convolutions; not
            for int16x8.
        input_dtype: "float32"; "uint8" for RGB bytes 0..255; "int8" (for int8 only) for bytes
            minus 128; "int16" (for int16x8 only). The report tells how the input is quantized.
        output_dtype: "float32"; for int8 also "uint8" and "int8", for int16x8 also "int16",
            quantized as the report tells.
        input_size: (height, width) in pixels, for a model with a variable input size.
        batch_size: Number of images that the file takes at once; None for any number, which the
            interpreter is told by `resize_tensor_input`.
        comparison_images: Images (N, H, W, C) to compare the file with the model on. Defaults to
            the first 16 of the representative dataset.
        optimize: Whether to convert the result of `export.optimize_for_inference`, which is
            equivalent and faster. A model that cannot be optimized is converted as it is, and the
            report tells why.
        labels: Class names of a classifier or detector. Defaults to those that the model carries,
            else ImageNet's for a classifier of 1000 classes and COCO's for a detector of 80.
        codec: Codec of a pose estimator's heatmaps. Defaults to the one of the model's sizes and
            encoding.
        skeleton: Keypoints of a pose estimator. Defaults to those that it was built with, else
            COCO's for 17 heatmaps and MPII's for 16.
        evaluate: Function of the file's path that returns metrics for the report, such as
            `lambda file: ks.metrics.coco(file, annotations, image_dir)`. It is called with a
            temporary file in the folder of `path`, which is renamed afterwards.
        target: "mediapipe" for a NanoDet that MediaPipe's ObjectDetector runs: its boxes are
            decoded inside, in float. None for raw outputs, which `inference.Detector` decodes.
        verbose: Whether to show progress bars.

    Returns:
        The report: size, operators, delegate partitions, quantization, operators that other
        delegates do not support, error against the model, metrics of `evaluate`.

    Raises:
        ImportError: If ai-edge-litert is not installed.
        FileNotFoundError: If `model` is a path and there is no such file.
        OSError: If `path` cannot be written; a missing folder is made.
        ExportError: (a ValueError) If LiteRT's built-in operators cannot express the model.
        ValueError: If an argument is invalid, int8 or int16x8 come without
            a representative dataset, or Keras' backend is not TensorFlow.

    Warns:
        UserWarning: For "dynamic_int8" and per-tensor quantization, of their cost; for
            representative images that seem to be normalized already; for a classifier or pose
            estimator that takes normalized images, which its file cannot describe.
    """
    options = ExportOptions(
        path=Path(path) if isinstance(path, str) else path,
        precision=precision or ("float32" if representative_dataset is None else "int8"),
        num_calibration_samples=num_calibration_samples,
        calibration_method=calibration_method,
        per_channel=per_channel,
        input_dtype=input_dtype,
        output_dtype=output_dtype,
        input_size=input_size,
        batch_size=batch_size,
        comparison_images=comparison_images,
        optimize=optimize,
        labels=labels,
        codec=codec,
        skeleton=skeleton,
        evaluate=evaluate,
        target=target,
        verbose=verbose,
    )
    source = open_source(model, representative_dataset, options)
    if target == "mediapipe":
        check_decodable(source)
    options.warn_of_cost()
    images = source.images if options.calibrates else None
    network, note = _optimize(source, images, options)
    if images is not None and network is not source.model:
        correct_biases(network, images, per_channel)
    if target == "mediapipe":
        design = check_decodable(source)
        network = with_decoded_boxes(network, design, source.predictor.input_size)
        source = decoded(source)
    traced_dtype = "float32" if options.calibrates else input_dtype
    if batch_size is None:
        network = with_any_batch(network)
    names = source.output_names
    function, owner = concrete_function(network, source.shape, traced_dtype, names)
    content = convert(function, owner, images, options)
    content = order_outputs(content, names or sorted(function.structured_outputs))
    return write(content, note, source, options)


def _optimize(
    source: ExportSource, images: np.ndarray | None, options: ExportOptions
) -> tuple[keras.Model, str]:
    """Return what is converted, and whether that is the optimized network."""
    if not options.optimize:
        return source.model, "no: optimize=False"
    try:
        network = optimize_for_inference(source.model, images, options.calibration_method)
    except GraphOptimizationError as error:
        return source.model, f"no: {error}"
    if not is_worth_it(source.model, network):
        return source.model, f"no: it would take {len(network.operations)} operations"
    if options.precision == "int16x8" and any(map(_is_depth_to_space, network.operations)):
        return source.model, "no: LiteRT has no 16-bit DEPTH_TO_SPACE"
    return network, "yes"


def _is_depth_to_space(operation: keras.Operation) -> bool:
    return type(operation).__name__ == "DepthToSpace"
