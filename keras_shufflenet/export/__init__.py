"""Keras model in, LiteRT (`.tflite`) file and a report of what came out."""

from keras_shufflenet.export.litert import ExportError, litert
from keras_shufflenet.export.lowering import LoweringError, lower
from keras_shufflenet.export.qat import quantization_aware
from keras_shufflenet.export.report import Report

__all__ = ["ExportError", "LoweringError", "Report", "litert", "lower", "quantization_aware"]
