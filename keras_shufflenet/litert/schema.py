"""Reading and touching up the flatbuffer that a `.tflite` file is."""

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
    """Names of all operators in order of execution; custom ones (Flex too) as "CUSTOM:<name>".

    Args:
        content: of a `.tflite` file.
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
    """What an operator is called, by the fields of its entry in the file's table."""
    if custom is not None:
        return f"CUSTOM:{custom.decode()}"
    # Files from before operator 127 carry the code in the other field.
    return OPERATOR_NAMES[max(code, deprecated_code)]


def float_softmax(content: bytes) -> bytes:
    """Let a quantized classifier compute its final softmax in float32.

    The converter ends such a file in SOFTMAX, DEQUANTIZE. In the other order the probabilities are
    not cut to 256 steps, and the whole network stays one partition of XNNPACK, which has no
    integer softmax. Other files come back as they are.
    """
    if operator_names(content)[-2:] != ["SOFTMAX", "DEQUANTIZE"]:
        return content
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    softmax, dequantize = graph.operators[-2:]
    logits, between, probabilities = softmax.inputs[0], softmax.outputs[0], dequantize.outputs[0]
    graph.tensors[between].type = schema.TensorType.FLOAT32
    graph.tensors[between].quantization = None
    dequantize.inputs, dequantize.outputs = [logits], [between]
    softmax.inputs, softmax.outputs = [between], [probabilities]
    graph.operators[-2:] = [dequantize, softmax]
    return pack(model, len(content))


def add_metadata(content: bytes, name: str, metadata: bytes) -> bytes:
    """Put bytes under a name into a file; what was there under the name is replaced.

    Args:
        content: of a `.tflite` file.
        name: of the entry.
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
    """Write a `schema.ModelT` as the bytes of a `.tflite` file of about a size."""
    builder = _AligningBuilder(size)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


class _AligningBuilder(flatbuffers.Builder):
    """Starts vectors of bytes at multiples of 16, which the generated Python code forgets."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N803
        return super().StartVector(
            elemSize, numElems, BYTE_ALIGNMENT if elemSize == 1 else alignment
        )
