"""Engines that run networks on a CPU, one file per runtime."""

from keras_shufflenet.benchmark.engines import litert, ncnn, onnxruntime, openvino, pytorch
from keras_shufflenet.benchmark.engines.engine import Engine, Network, UnavailableError
from keras_shufflenet.benchmark.engines.litert import DEFAULT_CONVERTER, OURS

__all__ = [
    "COMPARED_WITH",
    "DEFAULT_CONVERTER",
    "ENGINES",
    "OURS",
    "Engine",
    "Network",
    "UnavailableError",
]

ENGINES = (
    *litert.ENGINES,
    *onnxruntime.ENGINES,
    *openvino.ENGINES,
    *ncnn.ENGINES,
    *pytorch.ENGINES,
)

# The precision of this package's export that a precision is compared with.
COMPARED_WITH = {"float32": "float32", "bfloat16": "int8", "int8": "int8"}
