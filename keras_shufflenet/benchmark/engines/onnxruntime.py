"""ONNX Runtime on the CPU: float32, and int8 by its static quantization (QDQ)."""

import shutil
from pathlib import Path

import numpy as np

from keras_shufflenet.benchmark.engines.engine import Engine, Network, Run

PACKAGES = ("onnxruntime", "onnx")


def _make_float32(network: Network, folder: Path) -> Path:
    return Path(shutil.copy(network.onnx_file, folder))


def _make_int8(network: Network, folder: Path) -> Path:
    """Quantize weights per channel, and activations to uint8, which is faster on x86 than int8.

    Softmax stays float: its output would get the scale 1/256 whatever its range is.
    """
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    images = iter([{"images": image[np.newaxis]} for image in network.channels_first_images])

    class Reader(quantization.CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(images, None)

    prepared, path = folder / "prepared.onnx", folder / "network_int8.onnx"
    quant_pre_process(network.onnx_file, prepared)
    nodes = onnx.load(prepared).graph.node
    quantization.quantize_static(
        prepared,
        path,
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=[node.name for node in nodes if node.op_type == "Softmax"],
    )
    prepared.unlink()
    return path


def _open(path: Path, images: np.ndarray, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": images})[0]


ENGINES = (
    Engine("ONNX Runtime", "float32", PACKAGES, _make_float32, _open),
    Engine("ONNX Runtime", "int8", PACKAGES, _make_int8, _open),
)
