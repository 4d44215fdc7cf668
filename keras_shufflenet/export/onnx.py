"""Export to ONNX and to OpenVINO's format, on every backend of Keras.

The graph has the form that PyTorch gives these networks, for which both runtimes are optimized:
channels first inside, batch normalization folded into the convolutions, and padding inside of them.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import keras
import numpy as np

from keras_shufflenet._checks import check_choice, check_integer
from keras_shufflenet._files import atomic_write, check_output
from keras_shufflenet._keras_private import inlined_copy
from keras_shufflenet._requirements import check_installed
from keras_shufflenet.export.concrete_function import in_float32, static_shape
from keras_shufflenet.export.converter import ExportError
from keras_shufflenet.export.source import describe, open_model
from keras_shufflenet.export.translation.channels_first import translate
from keras_shufflenet.inference.onnx_models import DATA_FORMAT, run_onnx
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import SkeletonLike

DataFormat = Literal["channels_last", "channels_first"]
DATA_FORMATS = ("channels_last", "channels_first")
LARGEST_ERROR = 1e-3  # of the largest output; an error of the translation is larger
SMALL_CHANGE = 1e-3  # of pixels 0..255: as much as a few roundings
AMPLIFIED = 10.0
CHECKED_IMAGES = 2


def onnx(
    model: keras.Model | str | Path,
    path: str | Path,
    *,
    data_format: DataFormat = "channels_last",
    batch_size: int | None = None,
    input_size: tuple[int, int] | None = None,
    labels: Sequence[str] | None = None,
    codec: HeatmapCodec | None = None,
    skeleton: SkeletonLike | None = None,
) -> Path:
    """Write a network of this package as an ONNX file in float32.

    The file takes what the model takes: RGB images 0..255 under the name "images". It carries names
    of classes or keypoints like files of `export.litert`, and `predict` and `evaluate` take it. Its
    output is compared with the model's by ONNX Runtime before it is written. The model is not
    changed.

    Args:
        model: A classifier, pose estimator, detector or feature extractor of this package, also
            inside of a functional model, or the path of a `.keras` file.
        path: Path of the file, ending in ".onnx"; replaced if it exists.
        data_format: "channels_last" for inputs (N, H, W, C) and heatmaps (N, h, w, K), as the
            model has them, or "channels_first" for (N, C, H, W) and (N, K, h, w), as PyTorch has.
        batch_size: Number of images of the input; None for any.
        input_size: (height, width) for a model that takes images of any size.
        labels: Names of the classes. Defaults to those that the model is known to have.
        codec: Codec of a pose estimator. Defaults to the one of its sizes and encoding.
        skeleton: Keypoints of a pose estimator. Defaults to those that it was built with.

    Returns:
        The path.

    Raises:
        ExportError: If the file computes something else than the model.
        FileNotFoundError: If `model` is a path and there is no such file.
        ImportError: If onnx or onnxruntime is missing.
        ValueError: If an argument is invalid, or the model has a layer that no network of this
            package has.
    """
    path = check_output("path", path, (".onnx",))
    check_installed("Export to ONNX", "onnx", ("onnx", "onnxruntime"))
    graph = _translated(model, data_format, batch_size, input_size, labels, codec, skeleton)
    atomic_write(path, lambda beside: beside.write_bytes(graph.SerializeToString()))
    return path


def openvino(
    model: keras.Model | str | Path,
    path: str | Path,
    *,
    data_format: DataFormat = "channels_last",
    batch_size: int | None = None,
    input_size: tuple[int, int] | None = None,
    labels: Sequence[str] | None = None,
    codec: HeatmapCodec | None = None,
    skeleton: SkeletonLike | None = None,
) -> Path:
    """Write a network of this package in OpenVINO's format, in float32.

    It is the graph of `onnx`, and takes the same images. Names of classes or keypoints are in the
    model's runtime information, under "model_info".

    Args:
        model: As for `onnx`.
        path: Path of the file, ending in ".xml"; the weights go beside it, into a file that ends in
            ".bin". Both are replaced if they exist.
        data_format: As for `onnx`.
        batch_size: As for `onnx`.
        input_size: As for `onnx`.
        labels: As for `onnx`.
        codec: As for `onnx`.
        skeleton: As for `onnx`.

    Returns:
        The path.

    Raises:
        ExportError: If the file computes something else than the model.
        FileNotFoundError: If `model` is a path and there is no such file.
        ImportError: If onnx, onnxruntime or openvino is missing.
        ValueError: As for `onnx`.
    """
    path = check_output("path", path, (".xml",))
    check_installed("Export to OpenVINO", "openvino", ("onnx", "onnxruntime", "openvino"))
    import openvino as runtime

    graph = _translated(model, data_format, batch_size, input_size, labels, codec, skeleton)
    with TemporaryDirectory(dir=path.parent) as folder:
        source, target = Path(folder, "network.onnx"), Path(folder, path.name)
        source.write_bytes(graph.SerializeToString())
        converted = runtime.convert_model(source)
        for key, text in _metadata(graph).items():
            converted.set_rt_info(text, ["model_info", key])
        runtime.save_model(converted, target, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):  # the file that is opened comes last
            os.replace(target.with_suffix(suffix), path.with_suffix(suffix))
    return path


def _translated(
    model: keras.Model | str | Path,
    data_format: str,
    batch_size: int | None,
    input_size: tuple[int, int] | None,
    labels: Sequence[str] | None,
    codec: HeatmapCodec | None,
    skeleton: SkeletonLike | None,
) -> Any:
    """Return the checked ONNX model with its metadata."""
    check_choice("data_format", data_format, DATA_FORMATS)
    if batch_size is not None:
        check_integer("batch_size", batch_size)
    given = open_model(model)
    _, *shape = static_shape(given, input_size, batch_size)
    predictor = Predictor.load(given, (shape[0], shape[1]))
    metadata = describe(predictor, labels, codec, skeleton)
    precise = in_float32(given)
    graph = translate(
        inlined_copy(precise, shape),
        batch_size=batch_size,
        data_format=data_format,
        metadata=metadata.files() | {DATA_FORMAT: data_format},
    )
    if precise is not given:  # the file is as precise as this copy, not as 16 bits
        predictor = Predictor.load(precise, (shape[0], shape[1]))
    _check(graph, predictor, (batch_size or CHECKED_IMAGES, *shape))
    return graph


def _check(graph: Any, predictor: Predictor, shape: tuple[int, ...]) -> None:
    """Compare the outputs of the file with the model's, on random images.

    Networks of random weights may amplify rounding errors as they do small changes of the images.
    """
    images = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    content = graph.SerializeToString()
    found, changed = run_onnx(content, images), run_onnx(content, images + SMALL_CHANGE)
    outputs = predictor.outputs(images).values()
    for (name, values), expected, moved in zip(
        found.items(), outputs, changed.values(), strict=True
    ):
        error, sensitivity = (_largest(values - x) for x in (expected, moved))
        if not error <= max(LARGEST_ERROR * _largest(expected), AMPLIFIED * sensitivity, 1e-6):
            raise ExportError(
                "The output of the ONNX file must be that of the model; the file is not written. "
                f"Received: a difference of {error:.3g} in the output {name!r} of {predictor.name}"
            )


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max(initial=0.0))


def _metadata(graph: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in graph.metadata_props}
