"""Reading and editing the flatbuffer of a `.tflite` file."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import flatbuffers
import numpy as np

from keras_shufflenet.litert.interpreter import MISSING

try:
    from ai_edge_litert import schema_py_generated as schema
except ImportError as error:
    raise ImportError(MISSING) from error

FILE_IDENTIFIER = b"TFL3"
BYTE_ALIGNMENT = 16  # of the buffers that hold weights, as the file format demands
OPERATOR_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}


def operator_names(content: bytes) -> list[str]:
    """Return the names of all operators in execution order; custom and Flex as "CUSTOM:<name>".

    Args:
        content: Content of a `.tflite` file.
    """
    model = schema.Model.GetRootAs(content, 0)
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    names = [
        operator_name(code.CustomCode(), code.BuiltinCode(), code.DeprecatedBuiltinCode())
        for code in codes
    ]
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    return [
        names[graph.Operators(i).OpcodeIndex()]
        for graph in graphs
        for i in range(graph.OperatorsLength())
    ]


def operator_name(custom: bytes | None, code: int, deprecated_code: int) -> str:
    """Return an operator's name from the fields of its operator code."""
    if custom is not None:
        return f"CUSTOM:{custom.decode()}"
    # Files written before operator 127 existed have the code in the deprecated field.
    return OPERATOR_NAMES[max(code, deprecated_code)]


def float_softmax(content: bytes) -> bytes:
    """Compute the final softmax of a quantized classifier in float32, at each output.

    The converter writes SOFTMAX, DEQUANTIZE. The opposite order avoids rounding probabilities to
    256 levels, and makes the network a single partition of XNNPACK, which has no integer softmax.
    Other files are returned unchanged.
    """
    if not {"SOFTMAX", "DEQUANTIZE"} <= set(operator_names(content)):
        return content
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    names = [
        operator_name(code.customCode, code.builtinCode, code.deprecatedBuiltinCode)
        for code in model.operatorCodes
    ]
    graph = model.subgraphs[0]
    kinds = [names[operator.opcodeIndex] for operator in graph.operators]
    pairs = [
        (first, second)
        for first, softmax in enumerate(graph.operators)
        for second, dequantize in enumerate(graph.operators)
        if (kinds[first], kinds[second]) == ("SOFTMAX", "DEQUANTIZE")
        and dequantize.inputs[0] == softmax.outputs[0]
        and dequantize.outputs[0] in graph.outputs
        and _readers(graph, softmax.outputs[0]) == 1
    ]
    for first, second in pairs:
        softmax, dequantize = graph.operators[first], graph.operators[second]
        logits, between, probabilities = (
            softmax.inputs[0],
            softmax.outputs[0],
            dequantize.outputs[0],
        )
        graph.tensors[between].type = schema.TensorType.FLOAT32
        graph.tensors[between].quantization = None
        dequantize.inputs, dequantize.outputs = [logits], [between]
        softmax.inputs, softmax.outputs = [between], [probabilities]
        graph.operators[first], graph.operators[second] = dequantize, softmax
    return pack(model, len(content)) if pairs else content


def _readers(graph: Any, index: int) -> int:
    """Return how often a tensor is read, as an output of the graph too."""
    inputs = [list(operator.inputs) for operator in graph.operators]
    return sum(read.count(index) for read in [*inputs, list(graph.outputs)])


def order_outputs(content: bytes, names: Sequence[str]) -> bytes:
    """Put the outputs of a file into an order; the converter's is arbitrary.

    Args:
        content: Content of a `.tflite` file.
        names: Names of all outputs in the file's signature, in the order wanted.
    """
    if len(names) == 1:
        return content
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    indices = {entry.name.decode(): entry.tensorIndex for entry in model.signatureDefs[0].outputs}
    model.subgraphs[0].outputs = np.array([indices[name] for name in names], np.int32)
    return pack(model, len(content))


def made_by(content: bytes, layer: str) -> set[str]:
    """Return the names of the tensors that some layers make or prepare, and of the outputs.

    Args:
        content: Content of a `.tflite` file.
        layer: What the names of the layers begin with.
    """
    graph = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)).subgraphs[0]
    names = [tensor.name.decode() for tensor in graph.tensors]
    found = {int(index) for index in graph.outputs}
    for operator in graph.operators:
        made = int(operator.outputs[0])
        if f"/{layer}" in names[made] or found.intersection(map(int, operator.inputs)):
            found.add(made)
    return {names[index] for index in found}


def add_metadata(content: bytes, name: str, metadata: bytes) -> bytes:
    """Add an entry to the metadata of a file, or replace the entry of that name.

    Args:
        content: Content of a `.tflite` file.
        name: Name of the entry.
        metadata: of the entry.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    entry, buffer = schema.MetadataT(), schema.BufferT()
    buffer.data = np.frombuffer(metadata, np.uint8)
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers = [*model.buffers, buffer]
    others = [old for old in model.metadata or [] if old.name.decode() != name]
    model.metadata = [*others, entry]
    return pack(model, len(content) + len(metadata))


def pack(model: Any, size: int) -> bytes:
    """Serialize a `schema.ModelT`; `size` is an estimate of the file size in bytes."""
    builder = _AligningBuilder(size)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


class _AligningBuilder(flatbuffers.Builder):
    """Aligns byte vectors to 16 bytes, which the generated Python code does not."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N803
        return super().StartVector(
            elemSize, numElems, BYTE_ALIGNMENT if elemSize == 1 else alignment
        )


DTYPES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of the graph.

    Attributes:
        shape: Shape with the batch axis; () for a scalar.
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
    """An operator of the graph.

    Attributes:
        name: LiteRT's name, or "CUSTOM:<name>".
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
        """All input and output tensors that are not constant."""
        return tuple(t for t in (*self.inputs, *self.outputs) if not t.constant)

    @property
    def requantizes(self) -> bool:
        """Whether the operator only changes the scale of a quantized tensor."""
        return self.name == "QUANTIZE" and self.inputs[0].dtype == self.outputs[0].dtype


def read_operators(content: bytes) -> list[Operator]:
    """Return all operators in execution order.

    Args:
        content: Content of a `.tflite` file.
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
