"""PyTorch on the CPU, eager and compiled: each node of the ONNX file is a PyTorch function."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from keras_shufflenet.benchmark.engines.engine import Engine, Network, Run, UnavailableError

PACKAGES = ("torch", "onnx")
COMPILERS = ("g++", "clang++", "c++")
WARM_UP, TRIALS = 3, 10
WEIGHTED = ("Conv", "ConvTranspose", "Gemm")


def _make(network: Network, folder: Path) -> Path:
    import torch

    path = folder / "network.pt"
    torch.save(as_module(network.onnx_file), path)
    return path


def as_module(onnx_file: Path) -> Any:
    """Convert a file of `channels_first.write` to a `torch.fx.GraphModule`.

    Args:
        onnx_file: The file.
    """
    import onnx
    import torch
    from onnx import helper, numpy_helper

    graph = onnx.load(onnx_file).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    weights = {name for node in graph.node if node.op_type in WEIGHTED for name in node.input[1:]}

    class Reader(torch.nn.Module):
        def forward(self, images: Any) -> Any:
            values = {"": None, "images": images, **dict(self.named_buffers())}
            values |= {name: arrays[name].tolist() for name in arrays.keys() - weights}
            for node in graph.node:
                attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
                reads = [values[name] for name in node.input]
                result = OPERATORS[node.op_type](torch.nn.functional, attributes, *reads)
                several = len(node.output) > 1
                for index, name in enumerate(node.output):
                    values[name] = result[index] if several else result
            return values[graph.output[0].name]

    reader = Reader()
    for name in weights:
        reader.register_buffer(name, torch.from_numpy(arrays[name].copy()))
    return torch.fx.symbolic_trace(reader).eval()


Attributes = Mapping[str, Any]


def _padded(functional: Any, attributes: Attributes, x: Any) -> tuple[Any, list[int]]:
    """Return an input and the symmetric padding that remains: PyTorch pads both sides equally."""
    above, left, below, right = attributes["pads"]
    if (above, left) == (below, right):
        return x, [above, left]
    return functional.pad(x, (left, right, above, below)), [0, 0]


def _conv(functional: Any, attributes: Attributes, x: Any, weight: Any, bias: Any) -> Any:
    x, padding = _padded(functional, attributes, x)
    options = {"dilation": attributes["dilations"], "groups": attributes["group"]}
    return functional.conv2d(x, weight, bias, attributes["strides"], padding, **options)


def _deconv(functional: Any, attributes: Attributes, x: Any, weight: Any, bias: Any) -> Any:
    padding = attributes["pads"][:2]
    return functional.conv_transpose2d(x, weight, bias, attributes["strides"], padding)


def _pool(kind: str, functional: Any, attributes: Attributes, x: Any) -> Any:
    pool = getattr(functional, kind)
    return pool(x, attributes["kernel_shape"], attributes["strides"], attributes["pads"][:2])


def _concatenate(parts: Sequence[Any]) -> Any:
    import torch

    return torch.cat(parts, 1)


def _upsample(functional: Any, attributes: Attributes, x: Any, _: None, scales: Any) -> Any:
    return functional.interpolate(x, scale_factor=scales[2:], mode="bilinear")


OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": lambda f, a, x, y: x + y,
    "AveragePool": partial(_pool, "avg_pool2d"),
    "Clip": lambda f, a, x, low, high: f.hardtanh(x, low, high),
    "Concat": lambda f, a, *parts: _concatenate(parts),
    "Conv": _conv,
    "ConvTranspose": _deconv,
    "Flatten": lambda f, a, x: x.flatten(1),
    "Gemm": lambda f, a, x, weight, bias: f.linear(x, weight, bias),
    "GlobalAveragePool": lambda f, a, x: f.adaptive_avg_pool2d(x, 1),
    "GlobalMaxPool": lambda f, a, x: f.adaptive_max_pool2d(x, 1),
    "HardSigmoid": lambda f, a, x: f.hardsigmoid(x),
    "HardSwish": lambda f, a, x: f.hardswish(x),
    "LeakyRelu": lambda f, a, x: f.leaky_relu(x, a["alpha"]),
    "MaxPool": partial(_pool, "max_pool2d"),
    "Mul": lambda f, a, x, y: x * y,
    "Relu": lambda f, a, x: f.relu(x),
    "Reshape": lambda f, a, x, shape: x.reshape(shape),
    "Resize": _upsample,
    "Softmax": lambda f, a, x: f.softmax(x, 1),
    "Split": lambda f, a, x, sizes: x.split(sizes, 1),
    "Transpose": lambda f, a, x: x.permute(a["perm"]),
}


def _open_eager(path: Path, images: np.ndarray, threads: int) -> Run:
    """Open the network in the faster one of both memory layouts."""
    import torch

    torch.set_num_threads(threads)
    runs = []
    for layout in (torch.contiguous_format, torch.channels_last):
        module = torch.load(path, weights_only=False).to(memory_format=layout)
        runs.append(_run(module, torch.from_numpy(images).to(memory_format=layout)))
    return min(runs, key=_seconds)


def _open_compiled(path: Path, images: np.ndarray, threads: int) -> Run:
    import torch

    if not any(map(shutil.which, COMPILERS)):
        raise UnavailableError(f"torch.compile needs a C++ compiler: {', '.join(COMPILERS)}")
    torch.set_num_threads(threads)
    module = torch.load(path, weights_only=False)
    compiled = torch.compile(module, options={"freezing": True})
    run = _run(compiled, torch.from_numpy(images))
    run()
    return run


def _run(module: Any, images: Any) -> Run:
    import torch

    def run() -> np.ndarray:
        with torch.no_grad():
            return module(images).numpy()

    return run


def _seconds(run: Run) -> float:
    """Return the time of some runs after a warm-up."""
    for _ in range(WARM_UP):
        run()
    start = perf_counter()
    for _ in range(TRIALS):
        run()
    return perf_counter() - start


ENGINES = (
    Engine("PyTorch eager", "float32", PACKAGES, _make, _open_eager),
    Engine("PyTorch compiled", "float32", PACKAGES, _make, _open_compiled),
)
