"""One export: what was asked for, checked, and how it ends."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_shufflenet._files import write_whole
from keras_shufflenet.export.converter import QUANTIZED, ExportError
from keras_shufflenet.export.graph import in_float32, static_size
from keras_shufflenet.export.metadata import attach, describe
from keras_shufflenet.export.options import (
    check_calibration,
    check_evaluate,
    check_images,
    check_path,
    check_types,
    keras_model,
    normalizes,
    warn_of_normalization,
    warn_of_range,
)
from keras_shufflenet.export.quantization import are_pixels, read_images
from keras_shufflenet.export.report import OutputError, Report, deviation, examine, report_paths
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton
from keras_shufflenet.litert.interpreter import InterpreterError, open_interpreter, run_one
from keras_shufflenet.litert.metadata import ModelMetadata
from keras_shufflenet.litert.schema import float_softmax

COMPARED_IMAGES = 16

Evaluate = Callable[[Path], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One export.

    Attributes:
        model: in float32.
        path: of the file.
        precision: of the file.
        size: (height, width) of its input.
        images: for calibration; None if there are none.
        samples: to compare the file with the model on; None if there are none.
        predictor: runs the model as it was given.
        description: what the file says about itself.
        evaluate: measures the file.
    """

    model: keras.Model
    path: Path
    precision: str
    size: tuple[int, int]
    images: np.ndarray | None
    samples: np.ndarray | None
    predictor: Predictor
    description: ModelMetadata
    evaluate: Evaluate | None

    def finish(self, content: bytes, lowered: str) -> Report:
        """Turn what the converter has made into a file with its report.

        Args:
            content: of the file.
            lowered: "yes", or "no" and why.
        """
        takes_pixels = self._takes_pixels()
        warn_of_normalization(takes_pixels, self.description)
        content = float_softmax(content)
        content = attach(content, self.predictor.name, self.description, takes_pixels)
        try:
            difference = self._compare(content)
        except InterpreterError as error:
            raise ExportError(
                f"LiteRT cannot run what became of the model ({error}). Untrained weights are a "
                "likely cause; where the network was lowered, `litert` takes lowered=False. "
                f"Received: precision={self.precision!r}, lowered: {lowered}"
            ) from error
        return self._write(
            examine(content, self.path, self.precision, lowered, difference, takes_pixels), content
        )

    def _takes_pixels(self) -> bool:
        """Whether raw pixels are fed: said by the images or else by layers that normalize."""
        images = self.samples if self.images is None else self.images
        return normalizes(self.model) if images is None else are_pixels(images)

    def _compare(self, content: bytes) -> OutputError | None:
        """How far a file's outputs are from the model's on the samples, if any."""
        interpreter = open_interpreter(content)
        if self.samples is None:
            return None
        expected = self.predictor.predict(self.samples)
        got = np.stack([run_one(interpreter, image) for image in self.samples])
        return deviation(expected, got)

    def _write(self, report: Report, content: bytes) -> Report:
        """Measure and write the file and its report, which never lies beside another file."""
        metrics: dict[str, float] = {}

        def write_both(beside: Path) -> None:
            beside.write_bytes(content)
            metrics.update(_numbers(self.evaluate(beside)) if self.evaluate else {})
            for old in report_paths(self.path):
                old.unlink(missing_ok=True)

        write_whole(self.path, write_both)
        report = replace(report, metrics=metrics)
        report.save()
        return report


def prepare(
    model: keras.Model | str | Path,
    path: str | Path,
    precision: str,
    representative_dataset: Iterable[Any] | None,
    *,
    num_calibration_samples: int,
    input_dtype: str,
    output_dtype: str,
    input_size: tuple[int, int] | None,
    comparison_images: np.ndarray | None,
    labels: Sequence[str] | None,
    codec: HeatmapCodec | None,
    skeleton: str | Skeleton | None,
    evaluate: Evaluate | None,
    verbose: bool,
) -> Job:
    """Check the arguments that `litert` and `quantization_aware_training` share; they are described there.

    Raises:
        FileNotFoundError: if `model` is a path to nothing, or the folder of `path` is missing.
        ValueError: for what is not allowed.
    """
    check_evaluate(evaluate)
    path = check_path(path)
    check_types(precision, input_dtype, output_dtype)
    given = keras_model(model)
    size = static_size(given, input_size)
    if comparison_images is not None:
        check_images("samples", comparison_images, size)
    images = None
    if representative_dataset is not None:
        limit = num_calibration_samples if precision in QUANTIZED else COMPARED_IMAGES
        images = read_images(representative_dataset, size, limit, verbose)
    if precision in QUANTIZED:
        check_calibration(images, precision, input_dtype)
    warn_of_range(given, images)
    predictor = Predictor.load(given, size)
    compared = images if comparison_images is None else np.asarray(comparison_images)
    return Job(
        model=in_float32(given),
        path=path,
        precision=precision,
        size=size,
        images=images,
        samples=None if compared is None else compared[:COMPARED_IMAGES],
        predictor=predictor,
        description=describe(predictor, labels, codec, skeleton),
        evaluate=evaluate,
    )


def _numbers(figures: Any) -> dict[str, float]:
    """What a function of the user has measured, as JSON can hold it."""
    kinds = (bool, int, float, np.number)
    if not isinstance(figures, Mapping) or not all(
        isinstance(value, kinds) and np.isfinite(value) for value in figures.values()
    ):
        raise ValueError(
            f"`evaluate` must give a dictionary of finite numbers. Received: {figures!r}"
        )
    return {str(name): float(value) for name, value in figures.items()}
