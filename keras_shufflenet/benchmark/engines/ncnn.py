"""ncnn on the CPU: float32 and bfloat16; pnnx converts the ONNX file.

ncnn's quantizer has no Python package, so there is no int8.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_shufflenet.benchmark.engines.engine import Engine, Network, Run, UnavailableError

PACKAGES = ("ncnn", "pnnx", "onnx")


def _make(network: Network, folder: Path) -> Path:
    import pnnx

    shape = ",".join(map(str, network.channels_first_images[:1].shape))
    with tempfile.TemporaryDirectory() as temporary:
        shutil.copy(network.onnx_file, temporary)
        program = Path(pnnx.__file__).parent / "pnnx"
        command = [str(program), "network.onnx", f"inputshape=[{shape}]", "fp16=0"]
        done = subprocess.run(command, cwd=temporary, capture_output=True, text=True, check=False)
        for suffix in (".param", ".bin"):
            written = Path(temporary) / f"network.ncnn{suffix}"
            if not written.is_file():
                raise UnavailableError(
                    f"pnnx cannot convert the network: {done.stderr.strip()[-200:]}"
                )
            shutil.copy(written, folder)
    return folder / "network.ncnn.param"


def _opener(bfloat16: bool) -> Callable[[Path, np.ndarray, int], Run]:
    def open_file(path: Path, images: np.ndarray, threads: int) -> Run:
        import ncnn

        net = ncnn.Net()
        net.opt.num_threads = threads
        net.opt.use_bf16_storage = bfloat16
        # By default ncnn stores the weights of dense layers in float16 on CPUs that can unpack it.
        net.opt.use_fp16_storage = net.opt.use_fp16_packed = bfloat16
        net.load_param(str(path))
        net.load_model(str(path.with_suffix(".bin")))
        image = ncnn.Mat(images[0]).clone()  # a Mat does not keep the array alive

        def run() -> np.ndarray:
            extractor = net.create_extractor()
            extractor.input("in0", image)
            return np.array(extractor.extract("out0")[1])[np.newaxis]

        return run

    return open_file


ENGINES = (
    Engine("ncnn", "float32", PACKAGES, _make, _opener(bfloat16=False)),
    Engine("ncnn", "bfloat16", PACKAGES, _make, _opener(bfloat16=True)),
)
