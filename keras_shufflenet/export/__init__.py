"""Keras model in, LiteRT (`.tflite`) file and a report of what came out."""

from keras_shufflenet.export.litert import ExportError, litert
from keras_shufflenet.export.optimization import GraphOptimizationError, optimize_for_inference
from keras_shufflenet.export.qat import quantization_aware_training
from keras_shufflenet.export.report import Report

__all__ = [
    "ExportError",
    "GraphOptimizationError",
    "Report",
    "litert",
    "optimize_for_inference",
    "quantization_aware_training",
]
