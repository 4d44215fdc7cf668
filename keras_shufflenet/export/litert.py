"""Export to LiteRT (`.tflite`): the one call."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_shufflenet.export.bias_correction import correct_biases
from keras_shufflenet.export.converter import QUANTIZED, ExportError, convert
from keras_shufflenet.export.graph import frozen_function
from keras_shufflenet.export.job import Evaluate, Job, prepare
from keras_shufflenet.export.optimization import (
    METHODS,
    GraphOptimizationError,
    is_worth_it,
    optimize_for_inference,
)
from keras_shufflenet.export.options import check_choice, check_flag, check_scales, warn_of_cost
from keras_shufflenet.export.report import Report
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton

__all__ = ["ExportError", "litert"]


def litert(
    model: keras.Model | str | Path,
    path: str | Path,
    precision: str = "float32",
    representative_dataset: Iterable[Any] | None = None,
    *,
    num_calibration_samples: int = 100,
    calibration_method: str = "mse",
    per_channel: bool = True,
    input_dtype: str = "float32",
    output_dtype: str = "float32",
    input_size: tuple[int, int] | None = None,
    comparison_images: np.ndarray | None = None,
    optimize: bool = True,
    labels: Sequence[str] | None = None,
    codec: HeatmapCodec | None = None,
    skeleton: str | Skeleton | None = None,
    evaluate: Evaluate | None = None,
    verbose: bool = False,
) -> Report:
    """Write a model as a `.tflite` file for batch size 1 and one image size.

    The file uses LiteRT's builtin operators only and runs with ai-edge-litert. It holds TensorFlow
    Lite metadata: names of classes or joints, pixel normalization and how heatmaps are decoded.
    The report lies beside it as `NAME.tflite.json` and `NAME.tflite.md`. The model is not changed.

    Args:
        model: a `keras.Model` from one batch of images (N, H, W, 3) to one array, or the path of a
            `.keras` file. Mixed precision is taken back to float32.
        path: to write, ending in ".tflite"; replaced if it exists.
        precision: "float32"; "float16" (half-size weights, computed in float32 on most CPUs);
            "int8" (weights and activations: smallest and fastest); "int16x8" (activations of 16
            bits, to judge int8 by or for NPUs: without fast operators on CPUs); "dynamic_int8" (weights
            of 8 bits, activations quantized as they come: slower than float32 where convolutions
            are depthwise).
        representative_dataset: what the model is fed in real life, for int8 and int16x8: a `tf.data.Dataset`
            or an iterable of batches of images, or of tuples that begin with images. Never random
            numbers: the ranges of all tensors are learned from it.
        num_calibration_samples: to take from `representative_dataset` at most.
        calibration_method: how the range of what comes out of a ReLU is found for int8: "mse" (the
            least squared error of rounding and clipping), "min_max" (the greatest value) or
            "moving_average" (of the images' greatest values). With "mse" the ranges between linear
            convolutions are found so, too; others are the greatest.
        per_channel: False for one scale for each kernel, which some NPUs run several times as
            fast; not for int16x8. It costs accuracy, most in depthwise convolutions.
        input_dtype: "float32"; "uint8" for raw RGB bytes 0..255; "int8" (for int8 only) for bytes
            minus 128; "int16" (for int16x8 only). The report says how the input is quantized.
        output_dtype: "float32"; for int8 also "uint8" and "int8", for int16x8 also "int16",
            quantized as the report says.
        input_size: (height, width) in pixels, for a model that leaves them open.
        comparison_images: images (N, H, W, 3) to compare the file with the model on; by default the first 16
            of `representative_dataset`.
        optimize: convert what `export.optimize_for_inference` makes of the model, which computes the same faster; a
            model that it does not know is converted as it is, and the report says so.
        labels: names of a classifier's classes; by default ImageNet's for 1000 classes.
        codec: of a pose estimator's heatmaps; by default `"msra"` of the model's sizes.
        skeleton: of a pose estimator; by default COCO's for 17 heatmaps and MPII's for 16.
        evaluate: measures the file, for the report: a function of its path such as
            `lambda file: ks.metrics.coco(file, annotations, images)`. The path is that of a file
            beside `path`, which is moved there when it has been measured.
        verbose: show progress bars.

    Returns:
        What came out: size, operators, partitions, quantization, what delegates would refuse,
        difference to the model, the figures of `evaluate`.

    Raises:
        ImportError: without ai-edge-litert.
        FileNotFoundError: if `model` is a path to nothing, or the folder of `path` is missing.
        ExportError: (a ValueError) if the model holds what LiteRT's builtins cannot express.
        ValueError: for other arguments than those above, int8 or int16x8 without `representative_dataset`, or
            a Keras backend other than TensorFlow.

    Warns:
        UserWarning: for "dynamic_int8" and for one scale for each kernel, of what they cost; for
            calibration images that seem to be normalized already; for a classifier or pose
            estimator that takes normalized images, which its file cannot say how to make.
    """
    check_choice("calibration_method", calibration_method, tuple(METHODS))
    check_flag("lowered", optimize)
    check_flag("per_channel", per_channel)
    check_scales(precision, per_channel)
    job = prepare(
        model,
        path,
        precision,
        representative_dataset,
        num_calibration_samples=num_calibration_samples,
        input_dtype=input_dtype,
        output_dtype=output_dtype,
        input_size=input_size,
        comparison_images=comparison_images,
        labels=labels,
        codec=codec,
        skeleton=skeleton,
        evaluate=evaluate,
        verbose=verbose,
    )
    warn_of_cost(precision, per_channel)
    images = job.images if precision in QUANTIZED else None
    network, note = _network(job, images, optimize, calibration_method)
    if images is not None and network is not job.model:
        correct_biases(network, images, per_channel)
    traced_dtype = "float32" if precision in QUANTIZED else input_dtype
    function, module = frozen_function(network, job.size, traced_dtype)
    content = convert(
        function,
        module,
        precision,
        images,
        input_dtype,
        output_dtype,
        per_channel=per_channel,
        cut=precision == "int8" and calibration_method == "mse",
        verbose=verbose,
    )
    return job.finish(content, note)


def _network(
    job: Job, images: np.ndarray | None, lowered: bool, method: str
) -> tuple[keras.Model, str]:
    """What is converted, and whether it is the lowered model."""
    if not lowered:
        return job.model, "no: lowered=False"
    try:
        network = optimize_for_inference(job.model, images, method)
    except GraphOptimizationError as error:
        return job.model, f"no: {error}"
    if not is_worth_it(job.model, network):
        return job.model, f"no: it would take {len(network.operations)} operations"
    if job.precision == "int16x8" and any(_interleaves(layer) for layer in network.operations):
        return job.model, "no: LiteRT interleaves no 16-bit maps (DEPTH_TO_SPACE)"
    return network, "yes"


def _interleaves(operation: keras.Operation) -> bool:
    return type(operation).__name__ == "DepthToSpace"
