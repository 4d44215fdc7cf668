"""A unit of a supernet: a layer with all choices of the unit, which computes the selected one."""

from functools import partial
from typing import Any

import keras

from keras_shufflenet.models.detnas import SPLITS, Split
from keras_shufflenet.models.layers import Norm, channel_axis
from keras_shufflenet.models.search_space import (
    CHOICES,
    Style,
    bottleneck_channels,
    choice_block,
)
from keras_shufflenet.training.training_copy import faster_layer

# Last pointwise convolutions that read bottleneck channels.
READERS = ("_main_pw2", "_main_separable2_pw", "_main_separable3_pw")


class MaskedConv2D(keras.layers.Conv2D):
    """A convolution that reads the first channels only.

    Channels of the layers before, which are depthwise convolutions and normalizations, do not mix:
    those that are not read have neither effect nor gradient.
    """

    def set_limit(self, limit: Any) -> None:
        """Set the variable that holds the number of channels that are read."""
        self._limit = lambda: limit  # a function, so that the variable stays that of the unit

    def call(self, inputs: Any) -> Any:
        """Convolve the first channels."""
        axis = channel_axis()
        numbers = keras.ops.arange(inputs.shape[axis], dtype="int32")
        mask = keras.ops.cast(numbers < keras.ops.convert_to_tensor(self._limit()), inputs.dtype)
        return super().call(inputs * (mask if axis == -1 else mask[:, None, None]))


@keras.saving.register_keras_serializable(package="keras_shufflenet")
class ChoiceUnit(keras.layers.Layer):
    """All choices of a unit of a supernet, of which one is computed and trained at a time.

    Which one is a variable: it is changed without tracing anything again.

    Args:
        space: Name of the search space.
        channel_scales: Its channel scales.
        filters: Number of output channels.
        strides: 1, or 2 for the first unit of a stage.
        split: How units of stride 1 split their channels, as for `DetNAS`.
        affine: Whether batch normalizations have gamma and beta.
        **kwargs: As for `keras.layers.Layer`; the name is that of the unit, "stage1_unit0".
    """

    def __init__(
        self,
        space: str,
        channel_scales: list[float],
        filters: int,
        strides: int,
        split: Split = "even_odd",
        affine: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.space = space
        self.channel_scales = tuple(channel_scales)
        self.filters = filters
        self.strides = strides
        self.split = split
        self.affine = affine
        self.branches: list[keras.Model] = []

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the choices, with as many bottleneck channels as the largest scale has."""
        zero = keras.initializers.Zeros()
        self.choice = self._state("choice", zero)
        scale = max(self.channel_scales)
        self.bottleneck = self._state("bottleneck", keras.initializers.Constant(self._inner(scale)))
        self.branches = [self._branch(choice, tuple(input_shape[1:])) for choice in CHOICES]

    def _state(self, name: str, initializer: Any) -> keras.Variable:
        return self.add_weight((), initializer, "int32", trainable=False, name=name)

    def _branch(self, choice: int, shape: tuple[int | None, ...]) -> keras.Model:
        x = keras.Input(shape)
        block = keras.Model(x, self.block(x, choice, max(self.channel_scales), self.affine))
        return keras.models.clone_model(block, clone_function=self._layer)

    def _layer(self, layer: keras.Layer) -> keras.Layer:
        """Return the layer of a choice that takes the place of a plain network's."""
        if len(self.channel_scales) == 1 or not layer.name.endswith(READERS):
            return faster_layer(layer)
        masked = MaskedConv2D.from_config(layer.get_config())
        masked.set_limit(self.bottleneck)
        return masked

    def block(
        self, x: keras.KerasTensor, choice: int, channel_scale: float, affine: bool
    ) -> keras.KerasTensor:
        """Apply a choice as a part of a plain network, with new weights."""
        style = Style(split=SPLITS[self.split], norm=Norm(affine=affine))
        inner = self._inner(channel_scale)
        return choice_block(x, choice, self.filters, inner, self.strides, style, self.name)

    def _inner(self, channel_scale: float) -> int:
        return bottleneck_channels((self.filters,), (1,), (channel_scale,))[0]

    def select(self, choice: int, channel_scale: float) -> None:
        """Select what is computed."""
        self.choice.assign(choice)
        self.bottleneck.assign(self._inner(channel_scale))

    @property
    def selected(self) -> keras.Model:
        """The choice that is computed."""
        return self.branches[int(keras.ops.convert_to_numpy(self.choice))]

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Apply the selected choice to feature maps (N, H, W, C)."""
        branches = [partial(branch, training=training) for branch in self.branches]
        return keras.ops.switch(keras.ops.convert_to_tensor(self.choice), branches, x)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the feature maps."""
        last = channel_axis() == -1
        sides = tuple(input_shape[1:3] if last else input_shape[2:])
        sides = tuple(None if n is None else -(-n // self.strides) for n in sides)
        return (
            (input_shape[0], *sides, self.filters)
            if last
            else (
                input_shape[0],
                self.filters,
                *sides,
            )
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return super().get_config() | {
            "space": self.space,
            "channel_scales": list(self.channel_scales),
            "filters": self.filters,
            "strides": self.strides,
            "split": self.split,
            "affine": self.affine,
        }
