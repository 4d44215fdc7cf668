"""What a layout is, and how tables of layers are put together."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

IGNORED = ("num_batches_tracked",)


@dataclass(frozen=True)
class Layout:
    """A publisher's names of one network's layers.

    Attributes:
        name: "<publisher>/<network>".
        modules: our layer name to the publisher's module name.
        channel_order: of the images that the network was trained on.
        needs: layers that a model must have for these weights to mean the same in it.
        forbids: layers that it must not have.
        ignored: last parts of keys that hold nothing for inference.
        twins: parts of keys, and what stands in their place in the other name of the same tensor.
        noise: what to leave out of keys, as a regular expression: parts that follow from the rest.
    """

    name: str
    modules: Mapping[str, str]
    channel_order: Literal["rgb", "bgr"] = "rgb"
    needs: frozenset[str] = frozenset()
    forbids: frozenset[str] = frozenset()
    ignored: tuple[str, ...] = IGNORED
    twins: Mapping[str, str] = field(default_factory=dict)
    noise: str | None = None

    def plain(self, key: str) -> str:
        """The key without noise."""
        return key if self.noise is None else re.sub(self.noise, "", key)

    def twin(self, key: str) -> str | None:
        """The other name of a tensor that is there twice."""
        for part, other in self.twins.items():
            if part in key:
                return key.replace(part, other)
        return None


def places(counts: Sequence[int], first_stage: int) -> list[tuple[int, int]]:
    """(stage, unit) of all units in turn; units count from 0."""
    return [(stage, unit) for stage, n in enumerate(counts, first_stage) for unit in range(n)]


def join(groups: Mapping[str, str], roles: Mapping[str, str]) -> dict[str, str]:
    """All layers `<group>_<role>` and modules `<their group>.<their role>`."""
    return {
        f"{group}_{role}": f"{module}.{part}"
        for group, module in groups.items()
        for role, part in roles.items()
    }


def conv_bn(layer: str, module: str) -> dict[str, str]:
    """OpenMMLab's ConvModule."""
    return {layer: f"{module}.conv", f"{layer}_bn": f"{module}.bn"}


def conv_bn_all(modules: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Several of OpenMMLab's ConvModules, as pairs of our layer and their module."""
    return {key: value for pair in modules for key, value in conv_bn(*pair).items()}
