"""What the training process builds: layers, their weights, and which of them share a scale."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

CONVOLUTION = ("kernel_size", "strides", "padding", "dilation_rate")
ACTIVATIONS = ("hard_sigmoid", "hard_silu", "linear", "relu", "relu6", "sigmoid", "softmax")
FUSED = ("linear", "relu", "relu6")  # into the operator before

# What of a layer's configuration the training process needs; the layer is called alike there.
KEYS: dict[type, tuple[str, ...]] = {
    layers.Activation: ("activation",),
    layers.Add: (),
    layers.AveragePooling2D: ("pool_size", "strides", "padding"),
    layers.Concatenate: ("axis",),
    layers.Conv2D: ("filters", "groups", *CONVOLUTION),
    layers.Cropping2D: ("cropping", "data_format"),
    layers.Dense: ("units",),
    layers.DepthwiseConv2D: CONVOLUTION,
    layers.Flatten: (),
    layers.GlobalAveragePooling2D: ("keepdims",),
    layers.GlobalMaxPooling2D: ("keepdims",),
    layers.MaxPooling2D: ("pool_size", "strides", "padding"),
    layers.Multiply: (),
    layers.Normalization: (),
    layers.Permute: ("dims",),
    layers.ReLU: ("max_value", "negative_slope", "threshold"),
    layers.Reshape: ("target_shape",),
    layers.UpSampling2D: ("size", "interpolation"),
    layers.ZeroPadding2D: ("padding",),
}
DEPTH_TO_SPACE = "DepthToSpace"  # an operation of Keras' without a public class, like the sum
SHIFT = "Shift"  # our name for the sum with a number

# What LiteRT wants one scale for, on both sides. Those of the second table compute new values,
# which are rounded to that scale.
REARRANGING = {
    "Concatenate",
    "Cropping2D",
    DEPTH_TO_SPACE,
    "Flatten",
    "GlobalMaxPooling2D",
    "MaxPooling2D",
    "Permute",
    "Reshape",
    "ZeroPadding2D",
}
INTERPOLATING = {"AveragePooling2D", "UpSampling2D"}


@dataclass(kw_only=True)
class Step:
    """A layer.

    Attributes:
        name: of the layer.
        kind: its class.
        config: arguments of its constructor.
        reads: names of the layers before.
        scale: number of the scale that its output has; layers of one number share one.
        rounds: whether its output is rounded to that scale: not if it only moves rounded values,
            nor if the operator behind is fused with it.
    """

    name: str
    kind: str
    config: dict[str, Any]
    reads: list[str]
    scale: int = 0
    rounds: bool = True


class PlanError(ValueError):
    """The lowered model holds what the training process cannot rebuild."""


class Plan:
    """The lowered model as data.

    Attributes:
        steps: in the order of computation; the first is the input, the last the output.
        arrays: weights by "<layer>/<number>".
    """

    def __init__(self, lowered: keras.Model) -> None:
        self.steps: list[Step] = []
        self.arrays: dict[str, np.ndarray] = {}
        aliases: dict[str, str] = {}
        for operation in _operations(lowered):
            reads = [aliases[name] for name in _reads(operation)]
            self._add(operation, reads)
            aliases[operation.name] = self.steps[-1].name
        self._share_scales()
        self._fuse_activations()

    def write(self, folder: Path, **more: Any) -> None:
        """Write `plan.json` and `weights.npz`.

        Args:
            folder: that exists.
            more: entries of the json beside "steps".
        """
        plan = {"steps": [asdict(step) for step in self.steps], **more}
        (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        np.savez(folder / "weights.npz", allow_pickle=False, **self.arrays)

    def _add(self, operation: Any, reads: list[str]) -> None:
        kind = type(operation).__name__
        if isinstance(operation, layers.InputLayer):
            config: dict[str, Any] = {"shape": operation.batch_shape[1:]}
        elif kind == DEPTH_TO_SPACE:
            config = {"block_size": operation.block_size}
        elif isinstance(shift := _shift(operation), float):
            kind, config = SHIFT, {"value": shift}
        elif type(operation) in KEYS:
            config = {key: operation.get_config()[key] for key in KEYS[type(operation)]}
        else:
            raise PlanError(
                "Quantization-aware training knows the layers "
                f"{', '.join(sorted(known.__name__ for known in KEYS))}. "
                f"Received: {operation.name!r}, a {kind}"
            )
        self.steps.append(Step(name=operation.name, kind=kind, config=config, reads=reads))
        arrays = _arrays(operation)
        self.arrays |= {f"{operation.name}/{index}": x for index, x in enumerate(arrays)}
        if hasattr(operation, "activation"):
            self._activate(operation)

    def _activate(self, layer: keras.Layer) -> None:
        """Give an activation that no operator is fused with a step of its own."""
        name = keras.activations.serialize(layer.activation)
        if name not in ACTIVATIONS:
            raise PlanError(
                f"Quantization-aware training knows the activations {', '.join(ACTIVATIONS)}. "
                f"Received: {name!r} of {layer.name!r}"
            )
        step = self.steps[-1]
        if step.kind == "Activation" or name in FUSED:
            step.config["activation"] = name
        else:
            step.config["activation"] = "linear"
            self.steps.append(
                Step(
                    name=f"{step.name}_{name}",
                    kind="Activation",
                    config={"activation": name},
                    reads=[step.name],
                )
            )

    def _share_scales(self) -> None:
        scales = {step.name: {step.name} for step in self.steps}
        for step in self.steps:
            step.rounds = step.kind not in REARRANGING
            if not step.rounds or step.kind in INTERPOLATING:
                merged = set.union(scales[step.name], *(scales[name] for name in step.reads))
                scales.update(dict.fromkeys(merged, merged))
        numbers = {id(scale): number for number, scale in enumerate(scales.values())}
        for step in self.steps:
            step.scale = numbers[id(scales[step.name])]

    def _fuse_activations(self) -> None:
        """Do not round what nothing but a ReLU reads that becomes part of the operator."""
        by_name = {step.name: step for step in self.steps}
        read = [name for step in self.steps for name in step.reads]
        for step in self.steps:
            fused = step.kind == "ReLU" or step.config.get("activation") in ("relu", "relu6")
            if fused and step.kind in ("Activation", "ReLU"):
                (before,) = step.reads
                fuses: Callable[[str], bool] = {
                    "Add",
                    SHIFT,
                    "Conv2D",
                    "DepthwiseConv2D",
                }.__contains__
                if read.count(before) == 1 and fuses(by_name[before].kind):
                    by_name[before].rounds = False


def _operations(lowered: keras.Model) -> list[Any]:
    """Layers and operations in the order of computation."""
    by_depth = lowered._operations_by_depth
    return [operation for depth in sorted(by_depth, reverse=True) for operation in by_depth[depth]]


def _reads(operation: Any) -> list[str]:
    (call,) = operation._inbound_nodes
    return [x._keras_history.operation.name for x in call.input_tensors]


def _shift(operation: Any) -> float | None:
    """The number that an operation adds to maps, None if it is another operation."""
    if isinstance(operation, keras.Layer) or type(operation).__name__ != "Add":
        return None
    (call,) = operation._inbound_nodes
    number = call.arguments.args[-1]
    return float(number) if isinstance(number, (int, float)) else None


def _arrays(operation: Any) -> list[np.ndarray]:
    if isinstance(operation, layers.Normalization):
        deviation = np.sqrt(keras.ops.convert_to_numpy(operation.variance))
        return [keras.ops.convert_to_numpy(operation.mean)[0], deviation[0]]
    arrays = operation.get_weights() if isinstance(operation, keras.Layer) else []
    if len(arrays) == 1:  # a kernel without bias gets one
        axis = 2 if isinstance(operation, layers.DepthwiseConv2D) else -1
        arrays.append(np.zeros(arrays[0].shape[axis], np.float32))
    return arrays
