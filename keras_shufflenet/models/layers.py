"""The vocabulary that the networks are written in.

Every block maps a tensor to a tensor and is made of Keras' own layers only, so that a saved model
opens without this package. No tensor has more than four axes: mobile runtimes refuse the fifth.

Two facts of the PyTorch originals decide the geometry of every block here:

* a strided convolution pads `kernel // 2` on *both* sides. Keras' `padding="same"` pads even sizes
  on one side only and gives different numbers, hence the explicit zero padding;
* batch normalization has epsilon 1e-5 and keeps 90 % of its running statistics at every step.
"""

from dataclasses import dataclass

import keras
from keras import layers

MOMENTUM = 0.9


@dataclass(frozen=True)
class Norm:
    """How batch normalizations are; the defaults are PyTorch's.

    Attributes:
        epsilon: added to the variance.
        affine: whether there are gamma and beta.
    """

    epsilon: float = 1e-5
    affine: bool = True


TORCH_NORM = Norm()


def channel_axis() -> int:
    """The axis of the channels in a batch of maps, from Keras' `image_data_format`."""
    return -1 if keras.config.image_data_format() == "channels_last" else 1


def round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of 8, at least 8, and not less than 90 % of what was asked for."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def batch_norm(x: keras.KerasTensor, name: str, norm: Norm = TORCH_NORM) -> keras.KerasTensor:
    """Batch normalization over the channels."""
    return layers.BatchNormalization(
        axis=channel_axis(),
        epsilon=norm.epsilon,
        momentum=MOMENTUM,
        center=norm.affine,
        scale=norm.affine,
        name=name,
    )(x)


def activate(x: keras.KerasTensor, activation: str | None, name: str) -> keras.KerasTensor:
    """Apply an activation; the layer is called `<name>_relu` or `<name>_<activation>`.

    Args:
        x: maps.
        activation: "relu", "relu6", another activation of Keras such as "hard_silu", or None.
        name: of the layer before.
    """
    if activation is None:
        return x
    if activation in ("relu", "relu6"):
        maximum = 6.0 if activation == "relu6" else None
        return layers.ReLU(max_value=maximum, name=f"{name}_relu")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x)


def _pad_for_stride(
    x: keras.KerasTensor, kernel_size: int, strides: int, name: str
) -> tuple[keras.KerasTensor, str]:
    """Pad as PyTorch does, and say which `padding` the convolution must use."""
    if strides == 1:
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
    name: str,
) -> keras.KerasTensor:
    """Convolution, batch normalization, activation.

    Args:
        x: maps.
        filters: channels that come out.
        kernel_size: 1, 3, ...; the padding is `kernel_size // 2` on every side.
        strides: 1 or 2.
        groups: of channels that are convolved separately.
        activation: as for `activate`.
        use_bias: whether the convolution has a bias, which the normalization makes idle.
        norm: of the normalization.
        name: of the convolution; its companions are `<name>_pad`, `<name>_bn`, `<name>_relu`.
    """
    x, padding = _pad_for_stride(x, kernel_size, strides, name)
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding=padding,
        groups=groups,
        use_bias=use_bias,
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
    name: str,
) -> keras.KerasTensor:
    """Depthwise convolution without bias, batch normalization and, rarely, an activation."""
    x, padding = _pad_for_stride(x, kernel_size, strides, name)
    x = layers.DepthwiseConv2D(kernel_size, strides, padding=padding, use_bias=False, name=name)(x)
    return activate(batch_norm(x, f"{name}_bn", norm), activation, name)


def shuffle_branch(
    x: keras.KerasTensor,
    middle: int,
    filters: int,
    kernel_size: int = 3,
    strides: int = 1,
    *,
    activation: str | None = "relu",
    norm: Norm = TORCH_NORM,
    name: str,
) -> keras.KerasTensor:
    """The branch of a ShuffleNetV2 unit that works: pointwise, depthwise, pointwise."""
    x = conv_bn(x, middle, activation=activation, norm=norm, name=f"{name}_pw1")
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
    """The other branch of a ShuffleNetV2 unit with stride 2: depthwise, pointwise."""
    x = depthwise_bn(x, kernel_size, 2, norm=norm, name=f"{name}_dw")
    return conv_bn(x, filters, activation=activation, norm=norm, name=f"{name}_pw")


def max_pool(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """3 × 3 maximum with stride 2. Zeros may pad because what comes in is never negative."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)


def channel_slice(x: keras.KerasTensor, start: int, stop: int, name: str) -> keras.KerasTensor:
    """Channels `start` to `stop` (exclusive).

    A cropping layer told that the maps have the *other* data format crops the channels: the only
    way to slice them with a named layer of Keras' own.
    """
    crop = (start, x.shape[channel_axis()] - stop)
    if channel_axis() == -1:
        return layers.Cropping2D(((0, 0), crop), data_format="channels_first", name=name)(x)
    return layers.Cropping2D((crop, (0, 0)), data_format="channels_last", name=name)(x)


def split_even_odd(x: keras.KerasTensor, name: str) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The channels with even numbers, and those with odd ones."""
    return split_halves(channel_shuffle(x, x.shape[channel_axis()] // 2, f"{name}_shuffle"), name)


def split_halves(x: keras.KerasTensor, name: str) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The first and the second half of the channels, layers `<name>_keep` and `<name>_take`."""
    channels = x.shape[channel_axis()]
    kept = channel_slice(x, 0, channels // 2, name=f"{name}_keep")
    return kept, channel_slice(x, channels // 2, channels, name=f"{name}_take")


def concatenate(parts: list[keras.KerasTensor], name: str) -> keras.KerasTensor:
    """Put channels behind each other."""
    return layers.Concatenate(axis=channel_axis(), name=name)(parts)


def channel_shuffle(x: keras.KerasTensor, groups: int, name: str) -> keras.KerasTensor:
    """Channel shuffle of the paper: channel `j * (C / groups) + i` goes to `i * groups + j`.

    Height and width are merged on the way, so that four axes suffice. Where neither is known the
    channels are gathered, which mobile runtimes run slowly: export with a fixed size.

    Args:
        x: maps with C channels.
        groups: a divisor of C.
        name: of the last layer; the ones before are `<name>_reshape` and `<name>_permute`.
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
    # An operation, unlike a layer, takes no name when it is called.
    x._keras_history.operation.name = name
    return x
