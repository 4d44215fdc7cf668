"""The vocabulary that the networks are written in.

Every block maps a tensor to a tensor and is made of Keras' own layers only, so that a saved model
opens without this package. No tensor has more than four axes: mobile runtimes refuse the fifth.

Two facts of the PyTorch originals decide the geometry of every block here:

* a strided convolution pads `kernel // 2` on *both* sides. Keras' `padding="same"` pads even sizes
  on one side only and gives different numbers, hence the explicit zero padding;
* batch normalisation has epsilon 1e-5 and keeps 90 % of its running statistics at every step.
"""

import keras
from keras import layers

EPSILON = 1e-5
MOMENTUM = 0.9


def channel_axis() -> int:
    """The axis of the channels in a batch of maps, from Keras' `image_data_format`."""
    return -1 if keras.config.image_data_format() == "channels_last" else 1


def batch_norm(x: keras.KerasTensor, name: str, epsilon: float = EPSILON) -> keras.KerasTensor:
    """Batch normalisation with PyTorch's defaults."""
    return layers.BatchNormalization(
        axis=channel_axis(), epsilon=epsilon, momentum=MOMENTUM, name=name
    )(x)


def activate(x: keras.KerasTensor, activation: str | None, name: str) -> keras.KerasTensor:
    """Apply "relu", "relu6" or nothing (None); the layer is called `<name>_relu`."""
    if activation is None:
        return x
    maximum = {"relu": None, "relu6": 6.0}[activation]
    return layers.ReLU(max_value=maximum, name=f"{name}_relu")(x)


def _pad_for_stride(
    x: keras.KerasTensor, kernel_size: int, strides: int, name: str
) -> tuple[keras.KerasTensor, str]:
    """Pad as PyTorch does, and say which `padding` the convolution has to use."""
    if strides == 1:
        return x, "same"
    return layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x), "valid"


def conv_bn(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int = 1,
    strides: int = 1,
    *,
    activation: str | None = "relu",
    name: str,
) -> keras.KerasTensor:
    """Convolution without bias, batch normalisation, activation.

    Args:
        x: maps.
        filters: channels that come out.
        kernel_size: 1, 3, ...; the padding is `kernel_size // 2` on every side.
        strides: 1 or 2.
        activation: "relu", "relu6" or None.
        name: of the convolution; its companions are `<name>_pad`, `<name>_bn`, `<name>_relu`.
    """
    x, padding = _pad_for_stride(x, kernel_size, strides, name)
    x = layers.Conv2D(filters, kernel_size, strides, padding=padding, use_bias=False, name=name)(x)
    return activate(batch_norm(x, f"{name}_bn"), activation, name)


def depthwise_bn(
    x: keras.KerasTensor,
    kernel_size: int = 3,
    strides: int = 1,
    *,
    activation: str | None = None,
    name: str,
) -> keras.KerasTensor:
    """Depthwise convolution without bias, batch normalisation and, rarely, an activation."""
    x, padding = _pad_for_stride(x, kernel_size, strides, name)
    x = layers.DepthwiseConv2D(kernel_size, strides, padding=padding, use_bias=False, name=name)(x)
    return activate(batch_norm(x, f"{name}_bn"), activation, name)


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
