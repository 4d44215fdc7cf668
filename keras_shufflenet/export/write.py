"""The end of every export: metadata, comparison with the model, evaluation, file and report."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_shufflenet._files import atomic_write
from keras_shufflenet.export.converter import ExportError
from keras_shufflenet.export.options import ExportOptions
from keras_shufflenet.export.report import OutputError, Report, compare, examine, report_paths
from keras_shufflenet.export.source import ExportSource
from keras_shufflenet.litert.interpreter import (
    InterpreterError,
    open_interpreter,
    output_names,
    run_images,
)
from keras_shufflenet.litert.metadata import attach
from keras_shufflenet.litert.schema import float_softmax


def write(content: bytes, optimized: str, source: ExportSource, options: ExportOptions) -> Report:
    """Write the converter's output as a file with metadata and a report.

    Args:
        content: Bytes of the `.tflite` file.
        optimized: "yes", or "no" and why.
        source: What was exported.
        options: Options of the export.

    Raises:
        ExportError: If LiteRT cannot run the file.
        ValueError: If `evaluate` does not return finite numbers.
    """
    _warn_of_normalization(source)
    content = float_softmax(content)
    try:
        content = _describe(content, source)
        errors = _compare(content, source)
    except InterpreterError as failure:
        raise ExportError(
            f"LiteRT cannot run the converted model ({failure}). Untrained weights are a likely "
            "cause; if the network was optimized, `optimize=False` may help. "
            f"Received: precision={options.precision!r}, optimized: {optimized}"
        ) from failure
    takes_pixels = source.takes_pixels
    report = examine(content, options.path, options.precision, optimized, errors, takes_pixels)
    return _write(report, content, options)


def _describe(content: bytes, source: ExportSource) -> bytes:
    """Write the metadata; a single output keeps the name that it has always had there."""
    names = output_names(open_interpreter(content))
    return attach(
        content,
        source.predictor.name,
        source.metadata,
        source.takes_pixels,
        source.shape[3],
        names if len(names) > 1 else ("output",),
    )


def _warn_of_normalization(source: ExportSource) -> None:
    """Warn of classifiers and pose estimators that do not take pixels."""
    if not source.takes_pixels and source.metadata.files():
        warnings.warn(
            "The model takes normalized images, and the file cannot tell how they are normalized: "
            "MediaPipe refuses it, and `inference` would pass pixels to it. Build the network with "
            "include_preprocessing=True. If it does take pixels, pass `comparison_images`.",
            stacklevel=4,
        )


def _compare(content: bytes, source: ExportSource) -> tuple[OutputError, ...]:
    """Compare the outputs of a file with the model's, if there are images."""
    interpreter = open_interpreter(content)
    if source.comparison_images is None:
        return ()
    expected = source.predictor.outputs(source.comparison_images)
    found = run_images(interpreter, source.comparison_images)
    named = dict(zip(output_names(interpreter), found, strict=True))
    return tuple(compare(values, named[name]) for name, values in expected.items())


def _write(report: Report, content: bytes, options: ExportOptions) -> Report:
    """Evaluate and write the file, then its report, which never lies beside another file."""
    metrics: dict[str, float] = {}

    def write_both(beside: Path) -> None:
        beside.write_bytes(content)
        metrics.update(_numbers(options.evaluate(beside)) if options.evaluate else {})
        for old in report_paths(options.path):
            old.unlink(missing_ok=True)

    atomic_write(options.path, write_both)
    report = replace(report, metrics=metrics)
    report.save()
    return report


def _numbers(metrics: Any) -> dict[str, float]:
    """Return the result of the user's function as JSON can hold it."""
    kinds = (bool, int, float, np.number)
    if not isinstance(metrics, Mapping) or not all(
        isinstance(value, kinds) and np.isfinite(value) for value in metrics.values()
    ):
        raise ValueError(
            f"`evaluate` must return a dictionary of finite numbers. Received: {metrics!r}"
        )
    return {str(name): float(value) for name, value in metrics.items()}
