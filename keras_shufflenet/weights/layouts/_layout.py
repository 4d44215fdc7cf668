"""The `Layout` class, and functions that build its tables."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True)
class Layout:
    """A map from a publisher's parameter names to our layers.

    Attributes:
        name: "<publisher>/<network>".
        modules: The publisher's module name by our layer name.
        channel_order: Channel order of the images that the network was trained on.
        requires: Layers that a model must have for these weights to mean the same in it.
        excludes: Layers that it must not have.
        hint: What to do about a model that lacks `requires` or has `excludes`.
        aliases: Parts of keys that are a second name of a tensor, and the same part in its first
            name.
        ignored_pattern: Regular expression of redundant parts of keys, which are removed.
        unused_pattern: Regular expression of the beginnings of keys that the publisher's network
            has and does not read in inference.
    """

    name: str
    modules: Mapping[str, str]
    channel_order: Literal["rgb", "bgr"] = "rgb"
    requires: frozenset[str] = frozenset()
    excludes: frozenset[str] = frozenset()
    hint: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    ignored_pattern: str | None = None
    unused_pattern: str | None = None

    def normalize_key(self, key: str) -> str:
        """Return a key without its redundant parts."""
        return key if self.ignored_pattern is None else re.sub(self.ignored_pattern, "", key)

    def is_unused(self, key: str) -> bool:
        """Return whether the publisher's network has a key that it does not read in inference."""
        return self.unused_pattern is not None and bool(re.match(self.unused_pattern, key))

    def alias(self, key: str) -> str | None:
        """Return the first name of a tensor that is stored under two names."""
        for part, other in self.aliases.items():
            if part in key:
                return key.replace(part, other)
        return None


@dataclass(frozen=True)
class KerasLayout(Layout):
    """A map from the names of layers in a publisher's Keras files to ours."""


def enumerate_units(counts: Sequence[int], first_stage: int) -> list[tuple[int, int]]:
    """Return (stage, unit) of all units in order; units count from 0."""
    return [(stage, unit) for stage, n in enumerate(counts, first_stage) for unit in range(n)]


def join(groups: Mapping[str, str], roles: Mapping[str, str]) -> dict[str, str]:
    """Map all layers `<group>_<role>` to modules `<their group>.<their role>`."""
    return {
        f"{group}_{role}": f"{module}.{part}"
        for group, module in groups.items()
        for role, part in roles.items()
    }


def conv_bn(layer: str, module: str) -> dict[str, str]:
    """Map a convolution and its batch normalization to OpenMMLab's ConvModule."""
    return {layer: f"{module}.conv", f"{layer}_bn": f"{module}.bn"}


def conv_bn_all(modules: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Map several layers to OpenMMLab's ConvModules, given as (layer, module) pairs."""
    return {key: value for pair in modules for key, value in conv_bn(*pair).items()}


def _deconvolution_head(prefix: str) -> dict[str, str]:
    """Map mmpose's head: three times deconvolution, batch normalization, activation."""
    layers = {f"head_deconv{i + 1}": f"{prefix}.deconv_layers.{3 * i}" for i in range(3)}
    norms = {f"head_deconv{i + 1}_bn": f"{prefix}.deconv_layers.{3 * i + 1}" for i in range(3)}
    return {**layers, **norms, "head_final": f"{prefix}.final_layer"}


OPENMMLAB_HEADS = {
    "mmcls": {"predictions": "head.fc"},
    "mmpose": _deconvolution_head("keypoint_head"),
    "mmpose_v1": _deconvolution_head("head"),
}


def with_heads(
    network: str,
    backbone: Mapping[str, str],
    requires: frozenset[str] = frozenset(),
    hint: str = "",
) -> list[Layout]:
    """Return the layouts of OpenMMLab's backbone alone, and in mmcls, mmpose 0.x and 1.x."""
    first, *others = (
        Layout(f"{publisher}/{network}", {**backbone, **head}, requires=requires, hint=hint)
        for publisher, head in OPENMMLAB_HEADS.items()
    )
    alone = without_prefix(first, f"openmmlab/{network}", "backbone.")
    return [first, *others, alone]


def without_prefix(layout: Layout, name: str, prefix: str) -> Layout:
    """Return the layout of a backbone that was saved alone, without its name in the network."""
    modules = {
        layer: module.removeprefix(prefix)
        for layer, module in layout.modules.items()
        if module.startswith(prefix)
    }
    return replace(layout, name=name, modules=modules)
