"""The operators of a `.tflite` file with their tensors and options, as plain objects."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from keras_shufflenet.litert.schema import operator_name, schema

DTYPES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}


@dataclass(frozen=True)
class Tensor:
    """One tensor of the graph.

    Attributes:
        shape: with the batch axis; () for a number.
        dtype: "float32", "int8", ...
        constant: whether the file holds its values.
        quantization: scales and zero points, one of each or one per channel; empty if it has none.
    """

    shape: tuple[int, ...]
    dtype: str
    constant: bool
    quantization: tuple[tuple[float, ...], tuple[int, ...]] = ((), ())


@dataclass(frozen=True)
class Operator:
    """One operator of the graph.

    Attributes:
        name: by LiteRT, "CUSTOM:<name>" for custom ones.
        inputs: its input tensors without the optional ones that are left out.
        outputs: its output tensors.
        options: its attributes, an object of LiteRT's schema; None if it has none.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Any = None

    @cached_property
    def activations(self) -> tuple[Tensor, ...]:
        """The tensors that are computed: all but the constants."""
        return tuple(t for t in (*self.inputs, *self.outputs) if not t.constant)

    @property
    def requantizes(self) -> bool:
        """Whether it only takes a quantized tensor from one scale to another."""
        return self.name == "QUANTIZE" and self.inputs[0].dtype == self.outputs[0].dtype


def read_operators(content: bytes) -> list[Operator]:
    """Read all operators in order of execution.

    Args:
        content: of a `.tflite` file.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    names = [
        operator_name(code.customCode, code.builtinCode, code.deprecatedBuiltinCode)
        for code in model.operatorCodes
    ]
    return [
        _operator(operator, names[operator.opcodeIndex], tensors)
        for graph in model.subgraphs
        for tensors in [[_tensor(tensor, model.buffers) for tensor in graph.tensors]]
        for operator in graph.operators
    ]


def _operator(operator: Any, name: str, tensors: list[Tensor]) -> Operator:
    return Operator(
        name,
        tuple(tensors[index] for index in operator.inputs if index >= 0),
        tuple(tensors[index] for index in operator.outputs),
        operator.builtinOptions,
    )


def _tensor(tensor: Any, buffers: list[Any]) -> Tensor:
    data = buffers[tensor.buffer].data
    return Tensor(
        shape=tuple(int(n) for n in ([] if tensor.shape is None else tensor.shape)),
        dtype=DTYPES[tensor.type],
        constant=data is not None and len(data) > 0,
        quantization=_quantization(tensor.quantization),
    )


def _quantization(parameters: Any) -> tuple[tuple[float, ...], tuple[int, ...]]:
    if parameters is None or parameters.scale is None:
        return (), ()
    return tuple(map(float, parameters.scale)), tuple(map(int, parameters.zeroPoint))
