"""Engines that run networks on a CPU, each from a file of its own."""

from keras_shufflenet.benchmark.engines import litert, ncnn, onnxruntime, openvino, pytorch
from keras_shufflenet.benchmark.engines.engine import Engine, Network, UnavailableError
from keras_shufflenet.benchmark.engines.litert import OURS, STOCK

__all__ = ["CLASSES", "ENGINES", "OURS", "STOCK", "Engine", "Network", "UnavailableError"]

ENGINES = (
    *litert.ENGINES,
    *onnxruntime.ENGINES,
    *openvino.ENGINES,
    *ncnn.ENGINES,
    *pytorch.ENGINES,
)

# What a precision is compared with: bfloat16 is for those who do not want float32.
CLASSES = {"float32": "float32", "bfloat16": "int8", "int8": "int8"}
