"""The search spaces of Single Path One-Shot and DetNAS: architectures, and what each one costs.

Papers: Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV
    2020, https://arxiv.org/abs/1904.00420; Chen et al., "DetNAS: Backbone Search for Object
    Detection", NeurIPS 2019, https://arxiv.org/abs/1903.10979.

A cost is a sum over blocks, which are few: thousands of architectures a second.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_shufflenet._checks import check_choice, check_size, is_integer, is_positive
from keras_shufflenet.models import detnas, one_shot
from keras_shufflenet.models._profile import ModelStats
from keras_shufflenet.models.search_space import (
    CHOICES,
    KERNEL_SIZES,
    XCEPTION,
    bottleneck_channels,
    split_scales,
    unit_positions,
)

PAPER_SCALES = tuple(round(0.2 * step, 1) for step in range(1, 11))
"""The channel scales of the paper; the published code has 1.0 alone."""
SCALE_LIMITS = 0.1, 4.0


@dataclass(frozen=True)
class Architecture:
    """One network of a search space.

    Attributes:
        choices: The choice of each unit: 0, 1, 2 for 3 × 3, 5 × 5, 7 × 7, 3 for Xception.
        channel_scales: Factor on the bottleneck channels of each unit; all 1.0 by default.

    Raises:
        ValueError: If a choice or scale is none, or there are not as many scales as choices.
    """

    choices: tuple[int, ...]
    channel_scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Complete and check the attributes."""
        choices = tuple(self.choices)
        scales = tuple(self.channel_scales) or (1.0,) * len(choices)
        known = all(is_integer(choice) and choice in CHOICES for choice in choices)
        if not choices or not known:
            raise ValueError(f"`choices` must be among {CHOICES}. Received: choices={choices}")
        if len(scales) != len(choices) or not all(map(is_positive, scales)):
            raise ValueError(
                f"`channel_scales` must be {len(choices)} positive numbers. "
                f"Received: channel_scales={scales}"
            )
        object.__setattr__(self, "choices", tuple(map(int, choices)))
        object.__setattr__(self, "channel_scales", tuple(map(float, scales)))

    def __str__(self) -> str:
        """Return "0031…", followed by "@1.4,1.2,…" if a scale is not 1; `parse` reads it."""
        digits = "".join(map(str, self.choices))
        if set(self.channel_scales) == {1.0}:
            return digits
        return f"{digits}@{','.join(f'{scale:g}' for scale in self.channel_scales)}"

    @classmethod
    def parse(cls, text: str) -> "Architecture":
        """Return the architecture that a string stands for; spaces and bars are ignored.

        Raises:
            ValueError: If it is of another form.
        """
        digits, scales = split_scales(text)
        digits = digits.replace(" ", "").replace("|", "")
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError(
                "`architecture` must be digits such as 0031…, followed by @1.4,1.2,… for channel "
                f"scales. Received: architecture={text!r}"
            )
        return cls(tuple(map(int, digits)), scales or ())


class Block(NamedTuple):
    """A choice block, by what its cost depends on.

    Attributes:
        stage: Stage, from 1.
        strides: 2 for the first unit of a stage, else 1.
        choice: The choice.
        channel_scale: Factor on the bottleneck channels.
    """

    stage: int
    strides: int
    choice: int
    channel_scale: float


@dataclass(frozen=True)
class SearchSpace:
    """All architectures of a number of units; see `search_space`, which makes them.

    Attributes:
        name: "one_shot", "detnas_300m", "detnas_1_3g" or "detnas_3_8g".
        stage_units: Number of units of each stage.
        stem: Channels of the stem.
        stages: Output channels of each stage.
        last: Channels of the last convolution.
        use_bias: Whether stem, last convolution and classifier have biases.
        channel_scales: Allowed factors on the bottleneck channels.
    """

    name: str
    stage_units: tuple[int, ...]
    stem: int
    stages: tuple[int, ...]
    last: int
    use_bias: bool
    channel_scales: tuple[float, ...] = (1.0,)

    @property
    def units(self) -> int:
        """The number of units."""
        return sum(self.stage_units)

    @property
    def choices(self) -> tuple[int, ...]:
        """The choices of each unit."""
        return CHOICES

    def check(self, architecture: Architecture) -> None:
        """Raise ValueError unless an architecture is of this space."""
        if not isinstance(architecture, Architecture):
            raise ValueError(
                "`architecture` must be an Architecture; Architecture.parse makes one of a string. "
                f"Received: architecture={architecture!r}"
            )
        known = set(architecture.channel_scales) <= set(self.channel_scales)
        if len(architecture.choices) != self.units or not known:
            scales = ", ".join(f"{scale:g}" for scale in self.channel_scales)
            raise ValueError(
                f"`architecture` must have {self.units} choices, with channel scales among "
                f"{scales}, in the space {self.name}. Received: architecture={str(architecture)!r}"
            )

    def random(self, rng: np.random.Generator) -> Architecture:
        """Return an architecture, all with the same probability."""
        choices = rng.choice(self.choices, self.units)
        scales = rng.choice(self.channel_scales, self.units)
        return Architecture(tuple(choices.tolist()), tuple(scales.tolist()))

    def blocks(self, architecture: Architecture) -> tuple[Block, ...]:
        """Return the block of each unit."""
        self.check(architecture)
        parts = zip(
            unit_positions(self.stage_units),
            architecture.choices,
            architecture.channel_scales,
            strict=True,
        )
        return tuple(
            Block(stage, 2 if unit == 0 else 1, choice, scale)
            for (stage, unit), choice, scale in parts
        )

    def macs(
        self,
        architecture: Architecture,
        input_size: tuple[int, int] = (224, 224),
        *,
        backbone_only: bool = False,
        classes: int = 1000,
    ) -> int:
        """Return the multiply-adds of an image, as `count_params_and_macs` counts them.

        Args:
            architecture: The architecture.
            input_size: (height, width) in pixels.
            backbone_only: Whether last convolution and classifier are left out, as in DetNAS'
                limit of 300 million.
            classes: Number of classes.
        """
        size = check_size("input_size", input_size)
        ends = _ends(self, size, backbone_only, classes)
        return ends.macs + sum(_block_stats(self, size, b).macs for b in self.blocks(architecture))

    def params(
        self, architecture: Architecture, *, backbone_only: bool = False, classes: int = 1000
    ) -> int:
        """Return the number of parameters; see `macs` for the arguments."""
        size = (224, 224)  # which they do not depend on
        ends = _ends(self, size, backbone_only, classes)
        blocks = self.blocks(architecture)
        return ends.params + sum(_block_stats(self, size, block).params for block in blocks)

    def build(self, architecture: Architecture, **arguments: Any) -> keras.Model:
        """Build the network.

        Args:
            architecture: The architecture.
            **arguments: Of `OneShotNet` or `DetNAS`.
        """
        self.check(architecture)
        if self.name == "one_shot":
            return one_shot.OneShotNet(
                architecture.choices, architecture.channel_scales, **arguments
            )
        return detnas.DetNAS(architecture.choices, DETNAS_SIZES[self.name], **arguments)


DETNAS_SIZES = {f"detnas_{size}".replace(".", "_"): size for size in detnas.SIZES}
NAMES = ("one_shot", *DETNAS_SIZES)


def search_space(name: str, channel_scales: Sequence[float] = (1.0,)) -> SearchSpace:
    """Return a search space.

    Args:
        name: "one_shot" (20 units), "detnas_300m" (20), "detnas_1_3g" or "detnas_3_8g" (40).
        channel_scales: Allowed factors on the bottleneck channels, `PAPER_SCALES` for those of the
            paper; DetNAS has 1.0 alone.

    Raises:
        ValueError: If there is no such space, or a scale is out of range.
    """
    check_choice("name", name, NAMES)
    try:
        scales = tuple(map(float, channel_scales))
    except (TypeError, ValueError):
        scales = ()
    low, high = SCALE_LIMITS
    known = all(low <= each <= high for each in scales)
    if not scales or not known or len(set(scales)) < len(scales):
        raise ValueError(
            f"`channel_scales` must be numbers from {low:g} to {high:g}, each once. "
            f"Received: channel_scales={channel_scales!r}"
        )
    if name != "one_shot":
        check_choice("channel_scales", scales, ((1.0,),))
        size = detnas.SIZES[DETNAS_SIZES[name]]
        return SearchSpace(name, size.units, size.stem, size.stages, size.last, True)
    return SearchSpace(
        name,
        one_shot.UNITS,
        one_shot.STEM_CHANNELS,
        one_shot.CHANNELS,
        one_shot.LAST_CHANNELS,
        False,
        scales,
    )


def _output_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return the size of feature maps at a stride; every layer of stride 2 rounds up."""
    height, width = size
    return -(-height // stride), -(-width // stride)


@cache
def _ends(
    space: SearchSpace, size: tuple[int, int], backbone_only: bool, classes: int
) -> ModelStats:
    """Count what is not in blocks: stem, last convolution and classifier."""
    first, last = _output_size(size, 2), _output_size(size, 2 ** (len(space.stages) + 1))
    biases = space.use_bias
    kernel = 27 * space.stem
    params, macs = kernel + (2 + biases) * space.stem, kernel * first[0] * first[1]
    if backbone_only:
        return ModelStats(params, macs)
    pointwise, dense = space.stages[-1] * space.last, space.last * classes
    params += pointwise + (2 + biases) * space.last + dense + biases * classes
    return ModelStats(params, macs + pointwise * last[0] * last[1] + dense)


@cache
def _block_stats(space: SearchSpace, size: tuple[int, int], block: Block) -> ModelStats:
    """Count a block: parameters of its convolutions and normalizations, and multiply-adds."""
    height, width = _output_size(size, 2 ** (block.stage + 1))
    before_height, before_width = _output_size(size, 2**block.stage)
    pixels, filters = height * width, space.stages[block.stage - 1]
    before = before_height * before_width if block.strides == 2 else pixels
    channels = (space.stem, *space.stages)[block.stage - 1] if block.strides == 2 else filters // 2
    (inner,) = bottleneck_channels((filters,), (1,), (block.channel_scale,))
    convolutions = list(_main_branch(block.choice, channels, inner, filters - channels))
    if block.strides == 2:
        kernel = _kernel_size(block.choice)
        convolutions += [(kernel**2 * channels, channels, True), (channels**2, channels, True)]
    params = sum(kernel + 2 * outputs for kernel, outputs, _ in convolutions)
    macs = sum(kernel * (pixels if is_after else before) for kernel, _, is_after in convolutions)
    return ModelStats(params, macs)


def _main_branch(
    choice: int, channels: int, inner: int, outputs: int
) -> Iterator[tuple[int, int, bool]]:
    """Yield size of kernel, output channels, and whether the stride is done, of convolutions."""
    if choice == XCEPTION:
        for before, after in ((channels, inner), (inner, inner), (inner, outputs)):
            yield 9 * before, before, True
            yield before * after, after, True
    else:
        yield channels * inner, inner, False
        yield _kernel_size(choice) ** 2 * inner, inner, True
        yield inner * outputs, outputs, True


def _kernel_size(choice: int) -> int:
    return 3 if choice == XCEPTION else KERNEL_SIZES[choice]
