"""What came out of an export.

Beside every exported file lie its report as `NAME.tflite.json`, for programs, and as
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

from keras_shufflenet._files import write_whole
from keras_shufflenet.export.operators import read_operators
from keras_shufflenet.litert.delegates import Refusal, refusals
from keras_shufflenet.litert.interpreter import open_interpreter

TEXT_WIDTH = 100


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of the file.

    Attributes:
        name: in the file's signature.
        shape: with the batch axis.
        dtype: "float32", "uint8", "int8" or "int16".
        scale: real number per step, 0 if not quantized.
        zero_point: the stored value that means 0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class OutputError:
    """How far the file's outputs are from the Keras model's on the same images.

    Attributes:
        images: how many were compared.
        maximum: greatest absolute difference.
        mean: mean absolute difference.
        range: greatest absolute output of the Keras model, to judge the others by.
        correlation: Pearson's, over all outputs; None if they are all equal.
    """

    images: int
    maximum: float
    mean: float
    range: float
    correlation: float | None


@dataclass(frozen=True)
class Report:
    """What came out of an export. `print` it, or take it as `to_dict()` or `to_json()`.

    Attributes:
        path: of the file.
        precision: "float32", "float16", "int8", "int16x8" or "dynamic_int8".
        optimized: "yes", or "no" and why.
        size: in bytes.
        input: what goes in.
        takes_pixels: whether that are raw pixels 0..255; otherwise they are normalized before.
        output: what comes out.
        operators: how many of each, by LiteRT's names.
        delegate_partitions: pieces of the graph that XNNPACK runs; 1 is best.
        undelegated_ops: operators, in order, that are left to LiteRT's own kernels.
        custom: operators that need more than LiteRT's builtin ones; always empty in our exports.
        requantizes: operators that only take a tensor from one scale to another.
        delegates: what other delegates would leave to the CPU, by the lists of their vendors.
        error: from the Keras model; None if no images were at hand.
        metrics: what `evaluate` measured on the file; empty if nothing was given.
    """

    path: str
    precision: str
    optimized: str
    size: int
    input: TensorInfo
    takes_pixels: bool
    output: TensorInfo
    operators: dict[str, int]
    delegate_partitions: int
    undelegated_ops: tuple[str, ...]
    custom: tuple[str, ...]
    requantizes: int
    delegates: dict[str, tuple[Refusal, ...]]
    error: OutputError | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain dictionaries, ready for JSON."""
        return asdict(self)

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    def to_markdown(self) -> str:
        """As a table in Markdown."""
        cells = [(name, text.replace("|", "\\|")) for name, text in self._rows()]
        rows = "".join(f"| {name} | {text} |\n" for name, text in cells)
        return f"# {Path(self.path).name} ({self.precision})\n\n| | |\n|---|---|\n{rows}"

    def save(self) -> None:
        """Write the report beside the file: `NAME.tflite.json` and `NAME.tflite.md`."""
        for beside, text in zip(
            report_paths(Path(self.path)), (self.to_json() + "\n", self.to_markdown()), strict=True
        ):
            write_whole(beside, _writer(text))

    def __str__(self) -> str:
        """The report as a table of plain text."""
        console = Console(width=TEXT_WIDTH, force_terminal=False)
        with console.capture() as capture:
            console.print(self)
        return capture.get()

    def __rich__(self) -> Table:
        """The report as a table for `rich.print`."""
        title = f"{self.path} ({self.precision})"
        table = Table(title=title, show_header=False, title_justify="left")
        for row in self._rows():
            table.add_row(*row)
        return table

    def _rows(self) -> list[tuple[str, str]]:
        total = sum(self.operators.values())
        operators = ", ".join(f"{count} {name}" for name, count in self.operators.items())
        counted = [f"{count} {name}" for name, count in Counter(self.undelegated_ops).most_common()]
        outside = f"; outside: {', '.join(counted)}" if counted else ""
        pixels = "pixels 0..255" if self.takes_pixels else "normalized before"
        inside = f"{total - len(self.undelegated_ops)} of {total} operators"
        return [
            ("size", f"{self.size:,} bytes"),
            ("lowered", self.optimized),
            ("input", f"{_describe_tensor(self.input)}, {pixels}"),
            ("output", _describe_tensor(self.output)),
            ("operators", f"{total}: {operators}"),
            ("XNNPACK partitions", f"{self.delegate_partitions} with {inside}{outside}"),
            ("re-quantizes", str(self.requantizes)),
            ("custom operators", ", ".join(self.custom) or "none"),
            *(
                (f"{name} would refuse", _listed(found, total))
                for name, found in self.delegates.items()
            ),
            ("against Keras", _describe_deviation(self.error)),
            *((name, f"{value:.6g}") for name, value in self.metrics.items()),
        ]


def report_paths(path: Path) -> tuple[Path, Path]:
    """Where the report of a `.tflite` file lies: as JSON and as Markdown."""
    return path.with_name(f"{path.name}.json"), path.with_name(f"{path.name}.md")


def _writer(text: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(text, encoding="utf-8")


def _listed(found: tuple[Refusal, ...], operators: int) -> str:
    """Refusals in words; those that have one reason in common are counted together."""
    reasons: dict[str, list[Refusal]] = {}
    for refusal in found:
        reasons.setdefault(refusal.reason, []).append(refusal)
    parts = [
        str(alike[0])
        if len(alike) == 1
        else f"{sum(refusal.count for refusal in alike)} of {operators} operators ({reason})"
        for reason, alike in reasons.items()
    ]
    return ", ".join(parts) or "nothing, by its list"


def _describe_tensor(tensor: TensorInfo) -> str:
    shape = " × ".join(str(n) for n in tensor.shape)
    steps = f", scale {tensor.scale:g}, zero point {tensor.zero_point}" if tensor.scale else ""
    return f"{tensor.name}: {shape} {tensor.dtype}{steps}"


def _describe_deviation(deviation: OutputError | None) -> str:
    if deviation is None:
        return "not measured (no images given)"
    correlation = deviation.correlation
    alike = "none" if correlation is None else f"{correlation:.5f}"
    return (
        f"greatest difference {deviation.maximum:.2g}, mean {deviation.mean:.2g} (outputs up to "
        f"{deviation.range:.3g}), correlation {alike}, "
        f"{deviation.images} images"
    )


def examine(
    content: bytes,
    path: Path,
    precision: str,
    lowered: str,
    deviation: OutputError | None,
    takes_pixels: bool,
) -> Report:
    """Report on the bytes of a `.tflite` file.

    Args:
        content: of the file.
        path: where it lies or will lie.
        precision: it was made with.
        lowered: whether it was.
        deviation: of `deviation`, or None.
        takes_pixels: whether it is fed raw pixels.
    """
    interpreter = open_interpreter(content)
    operators = read_operators(content)
    names = [operator.name for operator in operators]
    partitions, outside = _delegation(interpreter)
    return Report(
        path=str(path),
        precision=precision,
        optimized=lowered,
        size=len(content),
        input=_tensor(interpreter, "input"),
        takes_pixels=takes_pixels,
        output=_tensor(interpreter, "output"),
        operators=dict(Counter(names).most_common()),
        delegate_partitions=partitions,
        undelegated_ops=outside,
        custom=tuple(sorted({name for name in names if name.startswith("CUSTOM:")})),
        requantizes=sum(operator.requantizes for operator in operators),
        delegates=refusals(operators),
        error=deviation,
    )


def _tensor(interpreter: Any, side: str) -> TensorInfo:
    details = getattr(interpreter, f"get_{side}_details")()[0]
    (signature,) = interpreter.get_signature_list().values()
    scale, zero_point = details["quantization"]
    return TensorInfo(
        name=signature[f"{side}s"][0],
        shape=tuple(int(n) for n in details["shape"]),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _delegation(interpreter: Any) -> tuple[int, tuple[str, ...]]:
    """Partitions of the delegate, and the operators that are left outside of them.

    An operator inside of a partition writes to a tensor without memory, or to an output of the
    partition.
    """
    operators = interpreter._get_ops_details()
    partitions = [op for op in operators if op["op_name"] == "DELEGATE"]
    written = {int(index) for op in partitions for index in op["outputs"]}
    outside = tuple(
        op["op_name"]
        for op in operators
        if op["op_name"] != "DELEGATE"
        and all(
            int(index) not in written and _has_memory(interpreter, index) for index in op["outputs"]
        )
    )
    return len(partitions), outside


def _has_memory(interpreter: Any, index: int) -> bool:
    try:
        interpreter.tensor(index)()
    except ValueError:
        return False
    return True


def deviation(expected: np.ndarray, got: np.ndarray) -> OutputError:
    """Compare outputs.

    Args:
        expected: (N, ...) of the Keras model.
        got: (N, ...) of the file.
    """
    difference = np.abs(expected - got)
    constant = np.ptp(expected) == 0 or np.ptp(got) == 0
    return OutputError(
        images=len(expected),
        maximum=float(difference.max()),
        mean=float(difference.mean()),
        range=float(np.abs(expected).max()),
        correlation=None if constant else float(np.corrcoef(expected.ravel(), got.ravel())[0, 1]),
    )
