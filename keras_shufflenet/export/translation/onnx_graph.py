"""An ONNX graph under construction, with images as its input."""

from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

import numpy as np

OPSET = 17
IR_VERSION = 8  # the oldest of that opset, so that every runtime reads it
INPUT = "images"

Shape = tuple[int | str | None, ...]


class TranslationError(ValueError):
    """A layer of the network cannot be translated."""


class OnnxGraph:
    """Collects the nodes and tensors of a graph.

    Args:
        batch: Number of images, 0 for any: in shapes, 0 stands for the size of the input.

    Attributes:
        batch: The argument.
        nodes: ONNX nodes by the name of their first output, in the order of execution.
        tensors: Constants by name. float64 is stored as float32, so that rounding happens once.
    """

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self.nodes: dict[str, Any] = {}
        self.tensors: dict[str, np.ndarray] = {}
        self._names = {INPUT}

    def add(self, operator: str, name: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node with one output, and return the output's name, which is made unique."""
        from onnx import helper

        name = self.unique(name)
        self.nodes[name] = helper.make_node(operator, inputs, [name], name, **attributes)
        return name

    def unique(self, name: str) -> str:
        """Return a name that no tensor has: that of a layer which is called again is numbered."""
        numbered = (f"{name}_call{number}" for number in count(2))
        unused = next(each for each in chain([name], numbered) if each not in self._names)
        self._names.add(unused)
        return unused

    def constant(self, name: str, array: Any) -> str:
        """Add a constant and return its name, which is made unique."""
        name = self.unique(name)
        self.tensors[name] = np.asarray(array)
        return name

    def rename(self, old: str, new: str) -> dict[str, str]:
        """Give a tensor other than the input another name; return all names that have changed."""
        if old == new:
            return {}
        changed = {old: new}
        if new in self._names:
            changed[new] = self.unique(f"{new}_inside")
            self._replace(new, changed[new])
        self._names.add(new)
        self._replace(old, new)
        return changed

    def _replace(self, old: str, new: str) -> None:
        self.tensors = {new if name == old else name: each for name, each in self.tensors.items()}
        self.nodes = {new if name == old else name: node for name, node in self.nodes.items()}
        for node in self.nodes.values():
            for names in (node.input, node.output):
                names[:] = [new if name == old else name for name in names]

    def model(
        self,
        name: str,
        input_shape: Shape,
        outputs: Mapping[str, Shape],
        metadata: Mapping[str, str],
    ) -> Any:
        """Return the checked ONNX model.

        Args:
            name: Name of the graph.
            input_shape: Shape of the input `INPUT`.
            outputs: Shapes of the outputs by name.
            metadata: Texts by key.

        Raises:
            TranslationError: If the graph is not valid.
        """
        from onnx import TensorProto, checker, helper, numpy_helper, shape_inference

        source, *targets = (
            helper.make_tensor_value_info(value, TensorProto.FLOAT, shape)
            for value, shape in {INPUT: input_shape, **outputs}.items()
        )
        tensors = [numpy_helper.from_array(_stored(a), key) for key, a in self.tensors.items()]
        graph = helper.make_graph(list(self.nodes.values()), name, [source], targets, tensors)
        opset = helper.make_opsetid("", OPSET)
        proto = helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="keras-shufflenet"
        )
        helper.set_model_props(proto, dict(metadata))
        try:
            checker.check_model(proto, full_check=True)
        except (checker.ValidationError, shape_inference.InferenceError) as error:
            reason = " ".join(str(error).split())[:200]
            raise TranslationError(
                f"The network cannot be translated to ONNX ({reason}). Received: {name}"
            ) from error
        return proto


def _stored(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float64 else array
