"""An ONNX graph under construction, with one image as its input."""

from collections.abc import Sequence
from typing import Any

import numpy as np

OPSET = 17
IR_VERSION = 8  # the oldest of that opset, so that every runtime reads it
INPUT = "images"

Shape = tuple[int | None, ...]


class OnnxGraph:
    """Collects the nodes and tensors of a graph.

    Attributes:
        nodes: ONNX nodes by the name of their first output, in the order of execution.
        tensors: Constants by name. float64 is stored as float32, so that rounding happens once.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Any] = {}
        self.tensors: dict[str, np.ndarray] = {}

    def add(self, operator: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node with one output, and return the output's name."""
        from onnx import helper

        self.nodes[name] = helper.make_node(operator, inputs, [name], name, **attributes)
        return name

    def constant(self, name: str, array: Any) -> str:
        """Add a constant and return its name."""
        self.tensors[name] = np.asarray(array)
        return name

    def model(self, name: str, input_shape: Shape, output: str, output_shape: Shape) -> Any:
        """Return the checked ONNX model.

        Args:
            name: Name of the graph.
            input_shape: Shape of the input `INPUT`.
            output: Name of the output.
            output_shape: Shape of the output.
        """
        from onnx import TensorProto, checker, helper, numpy_helper

        shapes = {INPUT: input_shape, output: output_shape}
        source, target = (
            helper.make_tensor_value_info(value, TensorProto.FLOAT, shape)
            for value, shape in shapes.items()
        )
        tensors = [numpy_helper.from_array(_stored(a), key) for key, a in self.tensors.items()]
        graph = helper.make_graph(list(self.nodes.values()), name, [source], [target], tensors)
        opset = helper.make_opsetid("", OPSET)
        proto = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        checker.check_model(proto, full_check=True)
        return proto


def _stored(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float64 else array
