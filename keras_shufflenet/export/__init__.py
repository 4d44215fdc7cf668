"""Export of Keras models to LiteRT (`.tflite`), ONNX and OpenVINO files."""

from keras_shufflenet.export.converter import ExportError
from keras_shufflenet.export.litert import litert
from keras_shufflenet.export.onnx import onnx, openvino
from keras_shufflenet.export.optimization import GraphOptimizationError, optimize_for_inference
from keras_shufflenet.export.options import ExportOptions
from keras_shufflenet.export.qat import quantization_aware_training
from keras_shufflenet.export.report import Report

__all__ = [
    "ExportError",
    "ExportOptions",
    "GraphOptimizationError",
    "Report",
    "litert",
    "onnx",
    "openvino",
    "optimize_for_inference",
    "quantization_aware_training",
]


def __dir__() -> list[str]:
    return __all__
