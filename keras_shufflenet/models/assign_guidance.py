"""The assign guidance module of NanoDet-Plus: a second neck and head, for training only.

Its predictions choose the points of each box while the detector itself is still untrained. Source:
https://github.com/RangiLyu/nanodet, commit be9b4a9, `nanodet/model/arch/nanodet_plus.py`.
"""

from typing import Any

import keras
from keras import initializers, layers, ops

from keras_shufflenet._layer_names import AUXILIARY_PREFIX
from keras_shufflenet.detection.priors import BOX_CHANNELS, NANODET_PLUS
from keras_shufflenet.models._detector import BACKBONE_STRIDES
from keras_shufflenet.models.detection import (
    ACTIVATION,
    CLASS_BIAS,
    neck_inputs,
    neck_outputs,
)
from keras_shufflenet.models.layers import activate
from keras_shufflenet.models.necks import ghost_path_aggregation

CONVOLUTIONS, KERNEL, GROUPS = 4, 3, 32


class GradientGate(layers.Layer):
    """Identity, whose gradient is 0 after a number of training steps.

    Args:
        steps: Number of training steps with a gradient; they are counted in a variable.
    """

    def __init__(self, steps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps = steps
        self.done = self.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False, name="done"
        )

    def call(self, inputs: list[Any], training: bool | None = None) -> list[Any]:
        """Return the inputs."""
        is_open = ops.cast(self.done < self.steps, self.compute_dtype)
        if training:
            self.done.assign(self.done + 1)
        stopped = [ops.stop_gradient(x) for x in inputs]
        return [same + is_open * (x - same) for x, same in zip(inputs, stopped, strict=True)]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {"steps": self.steps}


class Scale(layers.Layer):
    """Multiplication by a trained number."""

    def build(self, input_shape: Any) -> None:
        """Make the number, 1 at first."""
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, inputs: Any) -> Any:
        """Return the product."""
        return self.scale * inputs


def add_assign_guidance(model: keras.Model, attached_steps: int) -> keras.Model:
    """Return a model with a second output, of the assign guidance module.

    It shares the layers of the detector, which stays as it is.

    Args:
        model: From `NanoDetPlus`, channels last.
        attached_steps: Number of training steps in which the gradients of the module reach the
            detector; after them the module learns alone.

    Returns:
        A model from images to two outputs (N, priors, classes + 32), the second for training.
    """
    levels = len(NANODET_PLUS.strides)
    taps, maps = neck_inputs(model), neck_outputs(model, levels)
    gated = GradientGate(attached_steps, name=f"{AUXILIARY_PREFIX}gate")([*taps, *maps])
    taps, maps = gated[: len(BACKBONE_STRIDES)], gated[len(BACKBONE_STRIDES) :]
    channels = maps[0].shape[-1]
    necks = ghost_path_aggregation(taps, channels, ACTIVATION, f"{AUXILIARY_PREFIX}neck_")
    joined = [
        layers.Concatenate(name=f"{AUXILIARY_PREFIX}concat{level}")(pair)
        for level, pair in enumerate(zip(maps, necks, strict=True))
    ]
    guidance = _head(joined, 2 * channels, model.output_shape[-1] - BOX_CHANNELS)
    return keras.Model(model.input, [model.output, guidance], name=model.name)


def _head(maps: list[keras.KerasTensor], channels: int, classes: int) -> keras.KerasTensor:
    """Predict at every point with two towers, whose convolutions all levels share."""
    towers = {
        name: [_convolution(channels, name, index) for index in range(CONVOLUTIONS)]
        for name in ("class", "box")
    }
    class_layer = _last("classes", classes, CLASS_BIAS)
    box_layer = _last("boxes", BOX_CHANNELS, 0.0)
    outputs = []
    for level, x in enumerate(maps):
        logits, boxes = (
            _tower(x, towers[name], f"{AUXILIARY_PREFIX}{name}_level{level}")
            for name in ("class", "box")
        )
        boxes = Scale(name=f"{AUXILIARY_PREFIX}scale{level}")(box_layer(boxes))
        joined = layers.Concatenate(name=f"{AUXILIARY_PREFIX}outputs{level}")(
            [class_layer(logits), boxes]
        )
        shape = (-1, classes + BOX_CHANNELS)
        outputs.append(layers.Reshape(shape, name=f"{AUXILIARY_PREFIX}points{level}")(joined))
    return layers.Concatenate(axis=1, dtype="float32", name=f"{AUXILIARY_PREFIX}detections")(
        outputs
    )


def _convolution(channels: int, tower: str, index: int) -> tuple[keras.Layer, keras.Layer]:
    """Return a convolution and its normalization."""
    name = f"{AUXILIARY_PREFIX}{tower}{index}"
    return (
        layers.Conv2D(
            channels,
            KERNEL,
            padding="same",
            use_bias=False,
            kernel_initializer=initializers.RandomNormal(stddev=0.01),
            name=name,
        ),
        layers.GroupNormalization(GROUPS, epsilon=1e-5, name=f"{name}_norm"),
    )


def _last(name: str, channels: int, bias: float) -> keras.Layer:
    return layers.Conv2D(
        channels,
        KERNEL,
        padding="same",
        kernel_initializer=initializers.RandomNormal(stddev=0.01),
        bias_initializer=initializers.Constant(bias),
        name=AUXILIARY_PREFIX + name,
    )


def _tower(
    x: keras.KerasTensor, tower: list[tuple[keras.Layer, keras.Layer]], name: str
) -> keras.KerasTensor:
    for index, (convolution, norm) in enumerate(tower):
        x = activate(norm(convolution(x)), ACTIVATION, f"{name}_{index}")
    return x
