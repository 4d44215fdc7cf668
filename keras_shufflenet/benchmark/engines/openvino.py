"""OpenVINO on the CPU: float32, bfloat16 where the CPU supports it, and int8 by NNCF."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_shufflenet.benchmark.engines.engine import Engine, Network, Run

PACKAGES = ("openvino", "onnx")


def _make_float(network: Network, folder: Path) -> Path:
    import openvino

    path = folder / "network.xml"
    openvino.save_model(openvino.convert_model(network.onnx_file), path, compress_to_fp16=False)
    return path


def _make_int8(network: Network, folder: Path) -> Path:
    import nncf
    import openvino

    path = folder / "network_int8.xml"
    nncf.set_log_level(logging.ERROR)
    dataset = nncf.Dataset([image[np.newaxis] for image in network.channels_first_images])
    model = nncf.quantize(
        openvino.convert_model(network.onnx_file),
        dataset,
        subset_size=len(network.channels_first_images),
    )
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


def _opener(precision: str) -> Callable[[Path, np.ndarray, int], Run]:
    def open_file(path: Path, images: np.ndarray, threads: int) -> Run:
        import openvino

        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": precision,
        }
        compiled = openvino.Core().compile_model(path, "CPU", settings)
        request = compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(images))

        def run() -> np.ndarray:
            request.infer()
            return request.get_output_tensor().data.copy()

        return run

    return open_file


ENGINES = (
    Engine("OpenVINO", "float32", PACKAGES, _make_float, _opener("f32")),
    Engine("OpenVINO", "bfloat16", PACKAGES, _make_float, _opener("bf16")),
    Engine("OpenVINO", "int8", (*PACKAGES, "nncf"), _make_int8, _opener("f32")),
)
