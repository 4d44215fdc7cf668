"""Reports of exports.

The report of a file is written beside it as `NAME.tflite.json`, for programs, and as
`NAME.tflite.md`, for people.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from keras_shufflenet._files import atomic_write
from keras_shufflenet.litert.delegates import Refusal, refusals
from keras_shufflenet.litert.interpreter import open_interpreter, output_names
from keras_shufflenet.litert.schema import read_operators

TEXT_WIDTH = 100


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of the file.

    Attributes:
        name: Name in the file's signature.
        shape: Shape with the batch axis, -1 if it is dynamic.
        dtype: "float32", "uint8", "int8" or "int16".
        scale: Quantization scale, 0 if not quantized.
        zero_point: Quantization zero point.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class OutputError:
    """Difference between the outputs of the file and of the Keras model on the same images.

    Attributes:
        images: Number of images compared.
        maximum: Maximum absolute difference.
        mean: Mean absolute difference.
        range: Maximum absolute output of the Keras model, as a reference.
        correlation: Pearson correlation over all outputs; None if they are all equal.
    """

    images: int
    maximum: float
    mean: float
    range: float
    correlation: float | None


@dataclass(frozen=True)
class Report:
    """Report of an exported file; `print` it, or use `to_dict()` or `to_json()`.

    Attributes:
        path: Path of the file.
        precision: "float32", "float16", "int8", "int16x8" or "dynamic_int8".
        optimized: Whether the network was optimized before the conversion: "yes", or "no" and why.
        size: Size in bytes.
        input: The input.
        takes_pixels: Whether the input is pixels 0..255 rather than normalized values.
        outputs: The outputs, in the order of the model.
        operators: Number of operators by LiteRT's names.
        delegate_partitions: Number of partitions of the graph that XNNPACK runs; 1 is best.
        undelegated_ops: Operators, in order, that are left to LiteRT's own kernels.
        custom: Operators that are not built into LiteRT; always empty for our exports.
        requantizes: Number of operators that only change the scale of a tensor.
        delegates: Operators that other delegates would leave to the CPU, by their vendors' lists.
        errors: Difference from the Keras model of each output; empty if there were no images.
        metrics: Metrics that `evaluate` returned; empty without it.
    """

    path: str
    precision: str
    optimized: str
    size: int
    input: TensorInfo
    takes_pixels: bool
    outputs: tuple[TensorInfo, ...]
    operators: dict[str, int]
    delegate_partitions: int
    undelegated_ops: tuple[str, ...]
    custom: tuple[str, ...]
    requantizes: int
    delegates: dict[str, tuple[Refusal, ...]]
    errors: tuple[OutputError, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def output(self) -> TensorInfo:
        """The first output."""
        return self.outputs[0]

    @property
    def error(self) -> OutputError | None:
        """Difference of the first output from the Keras model; None if there were no images."""
        return self.errors[0] if self.errors else None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain dictionaries, with `output` and `error`, too."""
        first = {"output": asdict(self.output), "error": asdict(self.error) if self.error else None}
        return {**asdict(self), **first}

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def to_markdown(self) -> str:
        """Return the report as a Markdown table."""
        cells = [(name, text.replace("|", "\\|")) for name, text in self._rows()]
        rows = "".join(f"| {name} | {text} |\n" for name, text in cells)
        return f"# {Path(self.path).name} ({self.precision})\n\n| | |\n|---|---|\n{rows}"

    def save(self) -> None:
        """Write the report beside the file: `NAME.tflite.json` and `NAME.tflite.md`."""
        for beside, text in zip(
            report_paths(Path(self.path)), (self.to_json() + "\n", self.to_markdown()), strict=True
        ):
            atomic_write(beside, _writer(text))

    def __str__(self) -> str:
        """Return the report as a plain-text table."""
        console = Console(width=TEXT_WIDTH, force_terminal=False, markup=False)
        with console.capture() as capture:
            console.print(self)
        return capture.get()

    def __rich__(self) -> Table:
        """Return the report as a table for `rich.print`."""
        title = f"{self.path} ({self.precision})"
        table = Table(title=title, show_header=False, title_justify="left")
        for row in self._rows():
            table.add_row(*row)
        return table

    def _rows(self) -> list[tuple[str, str]]:
        total = sum(self.operators.values())
        operators = ", ".join(f"{count} {name}" for name, count in self.operators.items())
        counted = [f"{count} {name}" for name, count in Counter(self.undelegated_ops).most_common()]
        undelegated = f"; undelegated: {', '.join(counted)}" if counted else ""
        pixels = "pixels 0..255" if self.takes_pixels else "normalized values"
        delegated = f"{total - len(self.undelegated_ops)} of {total} operators"
        return [
            ("size", f"{self.size:,} bytes"),
            ("optimized", self.optimized),
            ("input", f"{_describe_tensor(self.input)}, {pixels}"),
            *(("output", _describe_tensor(output)) for output in self.outputs),
            ("operators", f"{total}: {operators}"),
            ("XNNPACK partitions", f"{self.delegate_partitions} with {delegated}{undelegated}"),
            ("requantizations", str(self.requantizes)),
            ("custom operators", ", ".join(self.custom) or "none"),
            *(
                (f"unsupported by {name}", _listed(found, total))
                for name, found in self.delegates.items()
            ),
            *self._error_rows(),
            *((name, f"{value:.6g}") for name, value in self.metrics.items()),
        ]

    def _error_rows(self) -> list[tuple[str, str]]:
        if len(self.errors) < 2:
            return [("error against Keras", _describe_error(self.error))]
        return [
            (f"error of {output.name}", _describe_error(error))
            for output, error in zip(self.outputs, self.errors, strict=True)
        ]


def report_paths(path: Path) -> tuple[Path, Path]:
    """Return the paths of the report of a `.tflite` file: JSON and Markdown."""
    return path.with_name(f"{path.name}.json"), path.with_name(f"{path.name}.md")


def _writer(text: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(text, encoding="utf-8")


def _listed(found: tuple[Refusal, ...], operators: int) -> str:
    """Describe refusals; those with the same reason are counted together."""
    reasons: dict[str, list[Refusal]] = {}
    for refusal in found:
        reasons.setdefault(refusal.reason, []).append(refusal)
    parts = [
        str(same[0])
        if len(same) == 1
        else f"{sum(refusal.count for refusal in same)} of {operators} operators ({reason})"
        for reason, same in reasons.items()
    ]
    return ", ".join(parts) or "none (static list)"


def _describe_tensor(tensor: TensorInfo) -> str:
    shape = " × ".join("N" if n < 0 else str(n) for n in tensor.shape)
    steps = f", scale {tensor.scale:g}, zero point {tensor.zero_point}" if tensor.scale else ""
    return f"{tensor.name}: {shape} {tensor.dtype}{steps}"


def _describe_error(error: OutputError | None) -> str:
    if error is None:
        return "not measured (no images given)"
    correlation = error.correlation
    shown = "undefined" if correlation is None else f"{correlation:.5f}"
    return (
        f"maximum {error.maximum:.2g}, mean {error.mean:.2g} (outputs up to {error.range:.3g}), "
        f"correlation {shown}, {error.images} images"
    )


def examine(
    content: bytes,
    path: Path,
    precision: str,
    optimized: str,
    errors: tuple[OutputError, ...],
    takes_pixels: bool,
) -> Report:
    """Return the report of a `.tflite` file.

    Args:
        content: Bytes of the file.
        path: Path of the file, which need not exist yet.
        precision: Precision of the export.
        optimized: "yes", or "no" and why.
        errors: Result of `compare` for each output, or nothing.
        takes_pixels: Whether the input is pixels 0..255.
    """
    interpreter = open_interpreter(content)
    operators = read_operators(content)
    names = [operator.name for operator in operators]
    partitions, undelegated = _delegation(interpreter)
    return Report(
        path=str(path),
        precision=precision,
        optimized=optimized,
        size=len(content),
        input=_input(interpreter),
        takes_pixels=takes_pixels,
        outputs=_outputs(interpreter),
        operators=dict(Counter(names).most_common()),
        delegate_partitions=partitions,
        undelegated_ops=undelegated,
        custom=tuple(sorted({name for name in names if name.startswith("CUSTOM:")})),
        requantizes=sum(operator.requantizes for operator in operators),
        delegates=refusals(operators),
        errors=errors,
    )


def _input(interpreter: Any) -> TensorInfo:
    (signature,) = interpreter.get_signature_list().values()
    return _tensor(signature["inputs"][0], interpreter.get_input_details()[0])


def _outputs(interpreter: Any) -> tuple[TensorInfo, ...]:
    details = interpreter.get_output_details()
    return tuple(map(_tensor, output_names(interpreter), details))


def _tensor(name: str, details: dict[str, Any]) -> TensorInfo:
    scale, zero_point = details["quantization"]
    return TensorInfo(
        name=name,
        shape=tuple(int(n) for n in details["shape_signature"]),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _delegation(interpreter: Any) -> tuple[int, tuple[str, ...]]:
    """Return the number of delegate partitions and the operators outside of them.

    An operator inside a partition writes to a tensor without memory, or to an output of the
    partition.
    """
    operators = interpreter._get_ops_details()
    partitions = [op for op in operators if op["op_name"] == "DELEGATE"]
    written = {int(index) for op in partitions for index in op["outputs"]}
    undelegated = tuple(
        op["op_name"]
        for op in operators
        if op["op_name"] != "DELEGATE"
        and all(
            int(index) not in written and _has_memory(interpreter, index) for index in op["outputs"]
        )
    )
    return len(partitions), undelegated


def _has_memory(interpreter: Any, index: int) -> bool:
    try:
        interpreter.tensor(index)()
    except ValueError:
        return False
    return True


def compare(expected: np.ndarray, outputs: np.ndarray) -> OutputError:
    """Compare the outputs of a file with those of its Keras model.

    Args:
        expected: Outputs (N, ...) of the Keras model.
        outputs: Outputs (N, ...) of the file.
    """
    difference = np.abs(expected - outputs)
    constant = np.ptp(expected) == 0 or np.ptp(outputs) == 0
    return OutputError(
        images=len(expected),
        maximum=float(difference.max()),
        mean=float(difference.mean()),
        range=float(np.abs(expected).max()),
        correlation=None
        if constant
        else float(np.corrcoef(expected.ravel(), outputs.ravel())[0, 1]),
    )
