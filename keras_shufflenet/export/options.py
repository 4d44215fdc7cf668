"""Options of an export, checked once for `litert` and `quantization_aware_training`."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_shufflenet._checks import check_bool, check_choice, check_integer
from keras_shufflenet._files import check_output
from keras_shufflenet._requirements import check_installed
from keras_shufflenet.export.optimization import METHODS
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import SkeletonLike

Evaluate = Callable[[Path], Mapping[str, float]]

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
TARGETS = ("mediapipe",)
CALIBRATED = ("int8", "int16x8")  # precisions that quantize activations


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Options of an export; `litert` describes them.

    Raises:
        ImportError: If ai-edge-litert is not installed.
        OSError: If `path` cannot be written.
        ValueError: If an option is invalid, or Keras' backend is not TensorFlow.
    """

    path: Path
    precision: str
    num_calibration_samples: int
    calibration_method: str = "mse"
    per_channel: bool = True
    input_dtype: str
    output_dtype: str
    input_size: tuple[int, int] | None
    batch_size: int | None = 1
    comparison_images: np.ndarray | None
    optimize: bool = True
    labels: Sequence[str] | None
    codec: HeatmapCodec | None
    skeleton: SkeletonLike | None
    evaluate: Evaluate | None
    target: str | None = None
    verbose: bool

    def __post_init__(self) -> None:
        """Check the options."""
        _check_backend()
        check_installed("Export to LiteRT", "export", ("ai_edge_litert",))
        object.__setattr__(self, "path", check_output("path", self.path, (".tflite",)))
        check_choice("precision", self.precision, INPUT_DTYPES)
        _check_dtype("input_dtype", self.input_dtype, INPUT_DTYPES[self.precision], self.precision)
        allowed = OUTPUT_DTYPES[self.precision]
        _check_dtype("output_dtype", self.output_dtype, allowed, self.precision)
        check_integer("num_calibration_samples", self.num_calibration_samples)
        if self.batch_size is not None:
            check_integer("batch_size", self.batch_size)
        check_choice("calibration_method", self.calibration_method, METHODS)
        check_bool("per_channel", self.per_channel)
        check_bool("optimize", self.optimize)
        if self.precision == "int16x8" and not self.per_channel:
            raise ValueError(
                "`per_channel` must be True for int16x8; int8 also takes False. "
                "Received: per_channel=False"
            )
        if self.target is not None:
            check_choice("target", self.target, TARGETS)
            self._check_target()
        if self.evaluate is not None and not callable(self.evaluate):
            raise ValueError(
                f"`evaluate` must be a function of a path. Received: evaluate={self.evaluate!r}"
            )

    def _check_target(self) -> None:
        if self.precision in ("int16x8", "dynamic_int8") or self.output_dtype != "float32":
            raise ValueError(
                f"`precision` must be 'float32', 'float16' or 'int8' for target={self.target!r}, "
                "and `output_dtype` 'float32'. "
                f"Received: precision={self.precision!r}, output_dtype={self.output_dtype!r}"
            )

    @property
    def calibrates(self) -> bool:
        """Whether activations are quantized with ranges from representative images."""
        return self.precision in CALIBRATED

    def warn_of_cost(self) -> None:
        """Warn of precisions that are slow or inaccurate."""
        if self.precision == "dynamic_int8":
            warnings.warn(
                "Dynamic-range quantization makes the file small, but slow: XNNPACK has no such "
                "depthwise convolutions, and the network is split into many partitions. int8 is "
                "faster.",
                stacklevel=3,
            )
        elif self.calibrates and not self.per_channel:
            warnings.warn(
                "Per-tensor weight quantization costs accuracy, most in depthwise convolutions: "
                "compare the file with one that has per_channel=True.",
                stacklevel=3,
            )


def _check_backend() -> None:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "Export to LiteRT requires Keras' TensorFlow backend: save the model as .keras, set "
            f"KERAS_BACKEND=tensorflow and export that file. Received: backend {backend!r}"
        )


def _check_dtype(name: str, dtype: str, allowed: tuple[str, ...], precision: str) -> None:
    if dtype not in allowed:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, allowed))} for {precision}. "
            f"Received: {name}={dtype!r}"
        )
