"""Choice blocks of Megvii's search spaces, which ShuffleNetV2+, OneShot and DetNAS consist of.

An architecture is a sequence of choices, one for each block: 0, 1 and 2 are ShuffleNetV2 units with
a 3 × 3, 5 × 5 and 7 × 7 depthwise convolution, 3 is the "Xception" unit of three separable ones.

Paper: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV
    2020, https://arxiv.org/abs/1904.00420; code: https://github.com/megvii-model/ShuffleNet-Series.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import keras
from keras import layers

from keras_shufflenet.models.layers import (
    TORCH_NORM,
    Norm,
    channel_axis,
    channel_shuffle,
    concatenate,
    conv_bn,
    depthwise_bn,
    shuffle_branch,
    shuffle_projection,
    split_even_odd,
    split_halves,
)

KERNEL_SIZES = (3, 5, 7)
XCEPTION = 3
CHOICES = (0, 1, 2, XCEPTION)
SQUEEZE = 4  # reduction ratio of squeeze-and-excitation


def split_standard(x: keras.KerasTensor, name: str) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Shuffle two groups, then split in halves, as DetNAS' search configurations do."""
    return split_halves(channel_shuffle(x, 2, f"{name}_shuffle"), name)


@dataclass(frozen=True)
class Style:
    """How networks differ in their use of the same blocks.

    Attributes:
        activation: Activation after pointwise convolutions.
        squeeze: Whether the main branch ends in squeeze-and-excitation.
        split: Splits the input of a block with stride 1.
        norm: Parameters of the normalizations.
    """

    activation: str = "relu"
    squeeze: bool = False
    split: Callable[[keras.KerasTensor, str], tuple[keras.KerasTensor, keras.KerasTensor]] = (
        split_even_odd
    )
    norm: Norm = TORCH_NORM


PLAIN = Style()


def parse_architecture(
    architecture: Sequence[int] | str, units: int, names: Iterable[str] = ()
) -> tuple[int, ...]:
    """Return the choices of an architecture.

    Args:
        architecture: One choice for each block, as integers or as a string of digits, in which
            spaces and bars are ignored.
        units: Number of blocks.
        names: Names of known architectures, for the error message.

    Raises:
        ValueError: If the number of choices is another one, or a choice is not among 0 to 3.
    """
    if isinstance(architecture, str):
        digits = architecture.replace(" ", "").replace("|", "")
        choices = tuple(int(digit) if digit.isdigit() else -1 for digit in digits)
    else:
        choices = tuple(architecture) if isinstance(architecture, Iterable) else ()
    if len(choices) != units or any(choice not in CHOICES for choice in choices):
        known = "".join(f"{name!r}, " for name in names)
        raise ValueError(
            f"`architecture` must be {known and f'one of {known}or '}{units} choices among "
            f"{CHOICES}. Received: architecture={architecture!r}"
        )
    return tuple(int(choice) for choice in choices)


def split_scales(architecture: str) -> tuple[str, tuple[float, ...] | None]:
    """Return the choices and the channel scales of "0031…@1.4,1.2,…"; None for no scales.

    Raises:
        ValueError: If a scale is no number.
    """
    if not isinstance(architecture, str):
        raise ValueError(
            f"`architecture` must be a string. Received: architecture={architecture!r}"
        )
    choices, mark, scales = architecture.partition("@")
    try:
        return choices, tuple(map(float, scales.split(","))) if mark else None
    except ValueError:
        raise ValueError(
            "`architecture` must have numbers, such as 1.4,1.2, after the @. "
            f"Received: architecture={architecture!r}"
        ) from None


def squeeze_excite(
    x: keras.KerasTensor, pooled: keras.KerasTensor, norm: Norm, name: str
) -> keras.KerasTensor:
    """Apply squeeze-and-excitation.

    Args:
        x: Feature maps.
        pooled: Their spatial mean, with height and width 1.
        norm: Parameters of the normalization.
        name: Prefix of the names of the layers.
    """
    channels = x.shape[channel_axis()]
    gate = conv_bn(pooled, channels // SQUEEZE, norm=norm, name=f"{name}_reduce")
    gate = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_expand")(gate)
    gate = layers.Activation("hard_sigmoid", name=f"{name}_gate")(gate)
    return layers.Multiply(name=f"{name}_scale")([x, gate])


def _xception_branch(
    x: keras.KerasTensor, bottleneck: int, filters: int, strides: int, style: Style, name: str
) -> keras.KerasTensor:
    for index, channels in enumerate((bottleneck, bottleneck, filters), start=1):
        part = f"{name}_separable{index}"
        x = depthwise_bn(x, 3, strides if index == 1 else 1, norm=style.norm, name=f"{part}_dw")
        x = conv_bn(x, channels, activation=style.activation, norm=style.norm, name=f"{part}_pw")
    return x


def choice_block(
    x: keras.KerasTensor,
    choice: int,
    filters: int,
    bottleneck: int,
    strides: int,
    style: Style,
    name: str,
) -> keras.KerasTensor:
    """Apply a block of the search space.

    Args:
        x: Feature maps.
        choice: One of `CHOICES`.
        filters: Number of output channels, even.
        bottleneck: Number of channels inside the main branch.
        strides: With 1, half of the channels are passed through and the main branch takes the
            others; with 2, both branches take all channels and the projection keeps their number.
        style: Style of the network.
        name: Prefix of the names of the layers.
    """
    act, norm = style.activation, style.norm
    if strides == 1:
        kept, x = style.split(x, name)
    else:
        kernel_size = 3 if choice == XCEPTION else KERNEL_SIZES[choice]
        channels = x.shape[channel_axis()]
        kept = shuffle_projection(
            x, channels, kernel_size, activation=act, norm=norm, name=f"{name}_proj"
        )
    made = filters - kept.shape[channel_axis()]
    main = f"{name}_main"
    if choice == XCEPTION:
        x = _xception_branch(x, bottleneck, made, strides, style, main)
    else:
        kernel_size = KERNEL_SIZES[choice]
        x = shuffle_branch(
            x, bottleneck, made, kernel_size, strides, activation=act, norm=norm, name=main
        )
    if style.squeeze:
        pooled = layers.GlobalAveragePooling2D(keepdims=True, name=f"{main}_se_pool")(x)
        x = squeeze_excite(x, pooled, style.norm, f"{main}_se")
    return concatenate([kept, x], name=f"{name}_concat")


def unit_positions(units: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Return (stage, unit) of all units in order; stages count from 1, units from 0."""
    return ((stage, unit) for stage, count in enumerate(units, 1) for unit in range(count))


def bottleneck_channels(
    channels: Sequence[int], units: Sequence[int], channel_scales: Sequence[float]
) -> list[int]:
    """Return the bottleneck channels of each unit, rounded down.

    Args:
        channels: Output channels of each stage.
        units: Number of units of each stage.
        channel_scales: Factor of each unit on half of its output channels.
    """
    positions = unit_positions(units)
    return [
        int(channels[stage - 1] // 2 * scale)
        for (stage, _), scale in zip(positions, channel_scales, strict=True)
    ]


def search_stages(
    x: keras.KerasTensor,
    architecture: Sequence[int],
    units: Sequence[int],
    channels: Sequence[int],
    bottlenecks: Sequence[int],
    styles: Sequence[Style],
) -> keras.KerasTensor:
    """Apply all stages; the first unit of each has stride 2.

    Args:
        x: Output of the stem.
        architecture: A choice for each unit.
        units: Number of units of each stage.
        channels: Output channels of each stage.
        bottlenecks: Bottleneck channels of each unit.
        styles: Style of each stage.
    """
    positions = unit_positions(units)
    choices = zip(positions, architecture, bottlenecks, strict=True)
    for (stage, unit), choice, bottleneck in choices:
        x = choice_block(
            x,
            choice,
            channels[stage - 1],
            bottleneck,
            2 if unit == 0 else 1,
            styles[stage - 1],
            name=f"stage{stage}_unit{unit}",
        )
    return x
