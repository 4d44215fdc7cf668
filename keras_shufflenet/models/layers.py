"""Building blocks that the networks share.

Every block maps a tensor to a tensor and consists of Keras' own layers only, so that a saved model
opens without this package. No tensor has more than four axes, as mobile runtimes require.

Two properties of the PyTorch originals determine every block:

* a strided convolution pads `kernel // 2` on *both* sides. Keras' `padding="same"` pads even sizes
  on one side only, which gives different outputs; hence the explicit zero padding;
* batch normalization has epsilon 1e-5 and momentum 0.9 (PyTorch's 0.1).

Networks that were trained in TensorFlow have `padding="same"` and epsilon 1e-3 instead.
"""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_shufflenet._keras_private import operation_of

GLOROT = "glorot_uniform"
MOMENTUM = 0.9
LEAKY_SLOPE = 0.1  # of negative inputs, in the detectors' networks


@dataclass(frozen=True)
class Norm:
    """Parameters of batch normalization; the defaults are PyTorch's.

    Attributes:
        epsilon: Added to the variance.
        affine: Whether there are gamma and beta.
    """

    epsilon: float = 1e-5
    affine: bool = True


TORCH_NORM = Norm()
TENSORFLOW_NORM = Norm(epsilon=1e-3)


def channel_axis() -> int:
    """Return the channel axis of a batch of feature maps, from Keras' `image_data_format`."""
    return -1 if keras.config.image_data_format() == "channels_last" else 1


def round_channels(channels: float, divisor: int = 8) -> int:
    """Round to the nearest multiple of 8, at least 8 and at least 90 % of the argument."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def batch_norm(x: keras.KerasTensor, name: str, norm: Norm = TORCH_NORM) -> keras.KerasTensor:
    """Normalize the channels of a batch."""
    return layers.BatchNormalization(
        axis=channel_axis(),
        epsilon=norm.epsilon,
        momentum=MOMENTUM,
        center=norm.affine,
        scale=norm.affine,
        name=name,
    )(x)


def activate(x: keras.KerasTensor, activation: str | None, name: str) -> keras.KerasTensor:
    """Apply an activation; the layer is named `<name>_relu` or `<name>_<activation>`.

    Args:
        x: Feature maps.
        activation: "relu", "relu6", "leaky_relu" (slope 0.1), another activation of Keras such as
            "hard_silu", or None.
        name: Name of the preceding layer.
    """
    if activation is None:
        return x
    if activation == "leaky_relu":
        return layers.LeakyReLU(negative_slope=LEAKY_SLOPE, name=f"{name}_leaky_relu")(x)
    if activation in ("relu", "relu6"):
        maximum = 6.0 if activation == "relu6" else None
        return layers.ReLU(max_value=maximum, name=f"{name}_relu")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x)


def _pad_for_stride(
    x: keras.KerasTensor, kernel_size: int, strides: int, same_padding: bool, name: str
) -> tuple[keras.KerasTensor, str]:
    """Pad as PyTorch does; also return the `padding` of the convolution that follows."""
    if strides == 1 or same_padding:
        return x, "same"
    return layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x), "valid"


def conv_bn(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int = 1,
    strides: int = 1,
    *,
    groups: int = 1,
    activation: str | None = "relu",
    use_bias: bool = False,
    norm: Norm = TORCH_NORM,
    same_padding: bool = False,
    kernel_initializer: Any = GLOROT,
    name: str,
) -> keras.KerasTensor:
    """Apply convolution, batch normalization and activation.

    Args:
        x: Feature maps.
        filters: Number of output channels.
        kernel_size: 1, 3, ...; the padding is `kernel_size // 2` on every side.
        strides: 1 or 2.
        groups: Number of groups of channels.
        activation: As for `activate`.
        use_bias: Whether the convolution has a bias, although the normalization makes it redundant.
        norm: Parameters of the normalization.
        same_padding: Whether a strided convolution pads as TensorFlow does.
        kernel_initializer: Of the convolution, as for Keras' layers.
        name: Name of the convolution; the other layers are `<name>_pad`, `<name>_bn`,
            `<name>_relu`.
    """
    x, padding = _pad_for_stride(x, kernel_size, strides, same_padding, name)
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding=padding,
        groups=groups,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer,
        name=name,
    )(x)
    return activate(batch_norm(x, f"{name}_bn", norm), activation, name)


def depthwise_bn(
    x: keras.KerasTensor,
    kernel_size: int = 3,
    strides: int = 1,
    *,
    activation: str | None = None,
    norm: Norm = TORCH_NORM,
    same_padding: bool = False,
    kernel_initializer: Any = GLOROT,
    name: str,
) -> keras.KerasTensor:
    """Apply a depthwise convolution without bias, batch normalization and an activation."""
    x, padding = _pad_for_stride(x, kernel_size, strides, same_padding, name)
    x = layers.DepthwiseConv2D(
        kernel_size,
        strides,
        padding=padding,
        use_bias=False,
        depthwise_initializer=kernel_initializer,
        name=name,
    )(x)
    return activate(batch_norm(x, f"{name}_bn", norm), activation, name)


def shuffle_branch(
    x: keras.KerasTensor,
    bottleneck: int,
    filters: int,
    kernel_size: int = 3,
    strides: int = 1,
    *,
    activation: str | None = "relu",
    norm: Norm = TORCH_NORM,
    name: str,
) -> keras.KerasTensor:
    """Apply the main branch of a ShuffleNetV2 unit: pointwise, depthwise, pointwise."""
    x = conv_bn(x, bottleneck, activation=activation, norm=norm, name=f"{name}_pw1")
    x = depthwise_bn(x, kernel_size, strides, norm=norm, name=f"{name}_dw")
    return conv_bn(x, filters, activation=activation, norm=norm, name=f"{name}_pw2")


def shuffle_projection(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int = 3,
    *,
    activation: str | None = "relu",
    norm: Norm = TORCH_NORM,
    name: str,
) -> keras.KerasTensor:
    """Apply the projection branch of a ShuffleNetV2 unit with stride 2: depthwise, pointwise."""
    x = depthwise_bn(x, kernel_size, 2, norm=norm, name=f"{name}_dw")
    return conv_bn(x, filters, activation=activation, norm=norm, name=f"{name}_pw")


def max_pool(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Apply 3 × 3 max pooling with stride 2 to activations that are never negative."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)


def signed_max_pool(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Apply 3 × 3 max pooling with stride 2 to feature maps of either sign.

    PyTorch pads with −inf, which no layer of Keras does before a stride of 2. Repeating the first
    row and column gives the same maxima, and the end of an even side needs no padding. For other
    sizes, pooling with stride 1 and `padding="same"` is exact, and every other output is kept;
    that takes longer on mobile runtimes: export with a fixed size.

    Args:
        x: Feature maps.
        name: Name of the last layer; the names of the others begin with it.
    """
    spatial = (1, 2) if channel_axis() == -1 else (2, 3)
    height, width = (x.shape[axis] for axis in spatial)
    if height is None or width is None or height % 2 or width % 2:
        x = layers.MaxPooling2D(3, 1, padding="same", name=f"{name}_every")(x)
        return layers.MaxPooling2D(1, 2, name=name)(x)
    row = layers.Cropping2D(((0, height - 1), (0, 0)), name=f"{name}_row")(x)
    x = layers.Concatenate(axis=spatial[0], name=f"{name}_rows")([row, x])
    column = layers.Cropping2D(((0, 0), (0, width - 1)), name=f"{name}_column")(x)
    x = layers.Concatenate(axis=spatial[1], name=f"{name}_columns")([column, x])
    return layers.MaxPooling2D(3, 2, name=name)(x)


def channel_slice(x: keras.KerasTensor, start: int, stop: int, name: str) -> keras.KerasTensor:
    """Return the channels `start` to `stop` (exclusive).

    A cropping layer with the *other* data format crops channels: the only way to slice them with
    a named layer of Keras.
    """
    crop = (start, x.shape[channel_axis()] - stop)
    if channel_axis() == -1:
        return layers.Cropping2D(((0, 0), crop), data_format="channels_first", name=name)(x)
    return layers.Cropping2D((crop, (0, 0)), data_format="channels_last", name=name)(x)


def split_even_odd(x: keras.KerasTensor, name: str) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return the channels with even indices and those with odd indices."""
    return split_halves(channel_shuffle(x, x.shape[channel_axis()] // 2, f"{name}_shuffle"), name)


def split_halves(x: keras.KerasTensor, name: str) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return both halves of the channels, from the layers `<name>_keep` and `<name>_take`."""
    channels = x.shape[channel_axis()]
    kept = channel_slice(x, 0, channels // 2, name=f"{name}_keep")
    return kept, channel_slice(x, channels // 2, channels, name=f"{name}_take")


def concatenate(parts: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Concatenate the channels."""
    return layers.Concatenate(axis=channel_axis(), name=name)(parts)


def channel_shuffle(x: keras.KerasTensor, groups: int, name: str) -> keras.KerasTensor:
    """Shuffle channels as the paper does: channel `j * (C / groups) + i` moves to `i * groups + j`.

    Height and width are merged in between, so that four axes suffice. If neither is known the
    channels are gathered, which is slow on mobile runtimes: export with a fixed size.

    Args:
        x: Feature maps with C channels.
        groups: A divisor of C.
        name: Name of the last layer; the others are `<name>_reshape` and `<name>_permute`.
    """
    if channel_axis() == -1:
        _, height, width, channels = x.shape
        grouped, order, shape = (
            (-1, groups, channels // groups),
            (1, 3, 2),
            (height, width, channels),
        )
    else:
        _, channels, height, width = x.shape
        grouped, order, shape = (
            (groups, channels // groups, -1),
            (2, 1, 3),
            (channels, height, width),
        )
    if height is None and width is None:
        return _gather_shuffle(x, groups, channels, name)
    x = layers.Reshape(grouped, name=f"{name}_reshape")(x)
    x = layers.Permute(order, name=f"{name}_permute")(x)
    return layers.Reshape(tuple(-1 if n is None else n for n in shape), name=name)(x)


def _gather_shuffle(
    x: keras.KerasTensor, groups: int, channels: int, name: str
) -> keras.KerasTensor:
    sources = [k % groups * (channels // groups) + k // groups for k in range(channels)]
    x = keras.ops.take(x, sources, axis=channel_axis())
    # Unlike a layer, an operation takes no name argument.
    operation_of(x).name = name
    return x
