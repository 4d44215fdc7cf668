"""Plan of the network that the training process builds: layers, weights and shared scales."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_shufflenet._keras_private import inbound_call, operation_of, operations

CONVOLUTION = ("kernel_size", "strides", "padding", "dilation_rate")
ACTIVATIONS = ("hard_sigmoid", "hard_silu", "linear", "relu", "relu6", "sigmoid", "softmax")
FUSED = ("linear", "relu", "relu6")  # into the preceding operator

# The part of a layer's configuration that the training process needs. tf_keras has layers of the
# same names.
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
    layers.LeakyReLU: ("negative_slope",),
    layers.MaxPooling2D: ("pool_size", "strides", "padding"),
    layers.Multiply: (),
    layers.Normalization: (),
    layers.Permute: ("dims",),
    layers.ReLU: ("max_value", "negative_slope", "threshold"),
    layers.Reshape: ("target_shape",),
    layers.UpSampling2D: ("size", "interpolation"),
    layers.ZeroPadding2D: ("padding",),
}
DEPTH_TO_SPACE = "DepthToSpace"  # an operation of Keras without a public class, like the addition
SHIFT = "Shift"  # our name for the addition of a number

# Layers whose inputs and outputs must have one scale in LiteRT. Those of the second table compute
# new values, which are rounded to that scale.
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
        name: Name of the layer.
        kind: Name of its class.
        config: Arguments of its constructor.
        reads: Names of the preceding layers.
        scale: Number of the scale of its output; layers with the same number share one.
        rounds: Whether its output is rounded to that scale: not if it only rearranges rounded
            values, nor if the following operator is fused with it.
    """

    name: str
    kind: str
    config: dict[str, Any]
    reads: list[str]
    scale: int = 0
    rounds: bool = True


class PlanError(ValueError):
    """The training process cannot rebuild the optimized model."""


class Plan:
    """The optimized model as data.

    Attributes:
        steps: Layers in the order of computation; the first is the input, the last the output.
        arrays: Weights by "<layer>/<number>".
    """

    def __init__(self, optimized: keras.Model) -> None:
        self.steps: list[Step] = []
        self.arrays: dict[str, np.ndarray] = {}
        aliases: dict[str, str] = {}
        for operation in operations(optimized):
            reads = [aliases[name] for name in _reads(operation)]
            self._add(operation, reads)
            aliases[operation.name] = self.steps[-1].name
        self._share_scales()
        self._fuse_activations()

    def write(self, folder: Path, **more: Any) -> None:
        """Write `plan.json` and `weights.npz`.

        Args:
            folder: An existing folder.
            **more: Entries of the json beside "steps".
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
                "Quantization-aware training supports the layers "
                f"{', '.join(sorted(known.__name__ for known in KEYS))}. "
                f"Received: {operation.name!r}, a {kind}"
            )
        self.steps.append(Step(name=operation.name, kind=kind, config=config, reads=reads))
        arrays = _arrays(operation)
        self.arrays |= {f"{operation.name}/{index}": x for index, x in enumerate(arrays)}
        if hasattr(operation, "activation"):
            self._activate(operation)

    def _activate(self, layer: keras.Layer) -> None:
        """Add a step for an activation that no operator is fused with."""
        name = keras.activations.serialize(layer.activation)
        if name not in ACTIVATIONS:
            raise PlanError(
                f"Quantization-aware training supports the activations {', '.join(ACTIVATIONS)}. "
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
        """Do not round outputs that only a fused ReLU reads."""
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


def _reads(operation: Any) -> list[str]:
    return [operation_of(x).name for x in inbound_call(operation).input_tensors]


def _shift(operation: Any) -> float | None:
    """Return the number that an operation adds, None if it is another operation."""
    if isinstance(operation, keras.Layer) or type(operation).__name__ != "Add":
        return None
    number = inbound_call(operation).arguments.args[-1]
    return float(number) if isinstance(number, (int, float)) else None


def _arrays(operation: Any) -> list[np.ndarray]:
    if isinstance(operation, layers.Normalization):
        std = np.sqrt(keras.ops.convert_to_numpy(operation.variance))
        return [keras.ops.convert_to_numpy(operation.mean)[0], std[0]]
    arrays = operation.get_weights() if isinstance(operation, keras.Layer) else []
    if len(arrays) == 1:  # a layer without bias gets one
        axis = 2 if isinstance(operation, layers.DepthwiseConv2D) else -1
        arrays.append(np.zeros(arrays[0].shape[axis], np.float32))
    return arrays
