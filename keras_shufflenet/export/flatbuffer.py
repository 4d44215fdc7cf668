"""Reading and touching up the flatbuffer that a `.tflite` file is."""

from typing import Any

import flatbuffers

from keras_shufflenet.inference.runtime import MISSING

try:
    from ai_edge_litert import schema_py_generated as schema
except ImportError as error:
    raise ImportError(MISSING) from error

FILE_IDENTIFIER = b"TFL3"
OPERATOR_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}


def operator_names(content: bytes) -> list[str]:
    """Names of all operators in order of execution; custom ones (Flex too) as "CUSTOM:<name>".

    Args:
        content: of a `.tflite` file.
    """
    model = schema.Model.GetRootAs(content, 0)
    names = [_name(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    return [
        names[graph.Operators(i).OpcodeIndex()]
        for graph in graphs
        for i in range(graph.OperatorsLength())
    ]


def _name(code: Any) -> str:
    if code.CustomCode() is not None:
        return f"CUSTOM:{code.CustomCode().decode()}"
    # Files from before operator 127 carry the code in the other field.
    return OPERATOR_NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]


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
    return _pack(model, len(content))


def _pack(model: Any, size: int) -> bytes:
    builder = flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())
