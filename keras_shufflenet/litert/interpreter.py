"""Run a `.tflite` file in the LiteRT interpreter.

Requires only NumPy and ai-edge-litert.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

MISSING = (
    "LiteRT files require ai-edge-litert: `pip install keras-shufflenet[export]`, or "
    "`pip install ai-edge-litert` for inference only."
)
QUANTIZED = (np.int8, np.uint8, np.int16)
DYNAMIC_BATCH = 32  # images at once, for a model that takes any number
MAX_THREADS = 4  # a phone's big cores; small networks gain nothing from more


class InterpreterError(ValueError):
    """LiteRT cannot run a file."""


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Silence file descriptor 2, to which C++ code writes without `sys.stderr`."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)


def open_interpreter(
    model: str | Path | bytes, num_threads: int | None = None, keep_tensors: bool = False
) -> Any:
    """Create an interpreter with allocated tensors and the XNNPACK delegate.

    Args:
        model: Path of a `.tflite` file, or its content.
        num_threads: Number of threads; by default one per core, at most 4.
        keep_tensors: Keep intermediate tensors readable after inference, without XNNPACK.

    Returns:
        An `ai_edge_litert.interpreter.Interpreter`.

    Raises:
        ImportError: If ai-edge-litert is not installed.
        FileNotFoundError: If the file does not exist.
        ValueError: If it is not a LiteRT model, or uses operators that LiteRT does not have.
    """
    runtime = _runtime()
    if not isinstance(model, bytes) and not Path(model).is_file():
        raise FileNotFoundError(f"The .tflite file must exist. Received: {str(model)!r}")
    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    if content[4:8] != b"TFL3":
        raise ValueError(f"Not a LiteRT model (no TFL3 mark). Received: {_describe(model)}")
    kinds = runtime.OpResolverType
    threads = num_threads or min(os.cpu_count() or 1, MAX_THREADS)
    try:
        with quiet_stderr():
            interpreter = runtime.Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_preserve_all_tensors=keep_tensors,
                experimental_op_resolver_type=kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
                if keep_tensors
                else kinds.AUTO,
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = str(error).rstrip(".")
        raise InterpreterError(
            f"LiteRT cannot run this model: {reason}. Received: {_describe(model)}"
        ) from error
    return interpreter


def _runtime() -> Any:
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise ImportError(MISSING) from error
    return interpreter


def _describe(model: str | Path | bytes) -> str:
    return f"{len(model)} bytes" if isinstance(model, bytes) else repr(str(model))


def quantize(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Quantize real numbers for a tensor.

    Args:
        values: Real numbers, any shape.
        details: An entry of the interpreter's `get_input_details()`.

    Returns:
        `round(values / scale) + zero_point`, clipped to the tensor's dtype; the scale is 1
        for integers without one. Values of a float tensor are returned unchanged.
    """
    dtype = details["dtype"]
    if dtype not in QUANTIZED:
        return values.astype(dtype, copy=False)
    scale, zero_point = details["quantization"]
    limits = np.iinfo(dtype)
    stored = np.rint(values / (scale or 1.0)) + zero_point
    return np.clip(stored, limits.min, limits.max).astype(dtype)


def dequantize(stored: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Convert stored values to real numbers, float32; the inverse of `quantize`."""
    if details["dtype"] not in QUANTIZED:
        return stored.astype(np.float32, copy=False)
    scale, zero_point = details["quantization"]
    return (stored.astype(np.float32) - zero_point) * np.float32(scale or 1.0)


def batch_size(interpreter: Any) -> int | None:
    """Return the number of images that a model takes at once; None for any number."""
    size = int(interpreter.get_input_details()[0]["shape_signature"][0])
    return None if size < 0 else size


def run_images(interpreter: Any, images: np.ndarray) -> list[np.ndarray]:
    """Run a model on images, in batches of its size; the last one is filled up.

    Args:
        interpreter: Returned by `open_interpreter`.
        images: Real numbers, shape (N, H, W, C), N at least 1.

    Returns:
        Each output, (N, ...), as float32 real numbers.
    """
    fixed = batch_size(interpreter)
    size = fixed or min(len(images), DYNAMIC_BATCH)
    parts = []
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        count = len(batch)
        if fixed is None:
            _resize(interpreter, count)
        elif count < fixed:
            batch = np.concatenate([batch, np.repeat(batch[-1:], fixed - count, axis=0)])
        parts.append([output[:count] for output in _run(interpreter, batch)])
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def _resize(interpreter: Any, count: int) -> None:
    source = interpreter.get_input_details()[0]
    if source["shape"][0] != count:
        interpreter.resize_tensor_input(source["index"], [count, *source["shape"][1:]])
        with quiet_stderr():
            interpreter.allocate_tensors()


def _run(interpreter: Any, batch: np.ndarray) -> list[np.ndarray]:
    source = interpreter.get_input_details()[0]
    interpreter.set_tensor(source["index"], quantize(batch, source))
    interpreter.invoke()
    return [
        dequantize(interpreter.get_tensor(target["index"]), target)
        for target in interpreter.get_output_details()
    ]


def output_names(interpreter: Any) -> list[str]:
    """Return the names of the outputs in the file's signature, in the order of the outputs."""
    outputs = interpreter.get_output_details()
    if not interpreter.get_signature_list():
        return [str(details["name"]) for details in outputs]
    named = interpreter.get_signature_runner().get_output_details()
    rest = {name: details["index"] for name, details in sorted(named.items())}
    found = []
    for details in outputs:  # a tensor may be several outputs
        name = next(name for name, index in rest.items() if index == details["index"])
        found.append(name)
        del rest[name]
    return found
