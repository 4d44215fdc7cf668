"""How publishers name the layers of the networks that this package has.

A layout is one table from our layer to the publisher's module. The parameters of a module are
PyTorch's everywhere (`weight`, `bias`, `running_mean`, `running_var`), and their transposition
follows from the class of our layer, so that a new publisher needs a new table and nothing else.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from string import ascii_lowercase
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
        duplicates: modules whose tensors are there under another name too, as a regular expression.
        noise: what to leave out of keys, as a regular expression: parts that follow from the rest.
    """

    name: str
    modules: Mapping[str, str]
    channel_order: Literal["rgb", "bgr"] = "rgb"
    needs: frozenset[str] = frozenset()
    forbids: frozenset[str] = frozenset()
    ignored: tuple[str, ...] = IGNORED
    duplicates: str | None = None
    noise: str | None = None

    def plain(self, key: str) -> str:
        """The key without noise."""
        return key if self.noise is None else re.sub(self.noise, "", key)


def _join(groups: Mapping[str, str], roles: Mapping[str, str]) -> dict[str, str]:
    """All layers `<group>_<role>` and modules `<their group>.<their role>`."""
    return {
        f"{group}_{role}": f"{module}.{part}"
        for group, module in groups.items()
        for role, part in roles.items()
    }


def _conv_bn(layer: str, module: str) -> dict[str, str]:
    """OpenMMLab's ConvModule."""
    return {layer: f"{module}.conv", f"{layer}_bn": f"{module}.bn"}


def _conv_bn_all(modules: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {key: value for pair in modules for key, value in _conv_bn(*pair).items()}


# ---- ShuffleNetV1 --------------------------------------------------------------------------------

UNITS = [(stage, unit) for stage, units in ((2, 4), (3, 8), (4, 4)) for unit in range(units)]
UNIT_NAMES = [f"stage{stage}_unit{unit}" for stage, unit in UNITS]

# The authors' units undo the shuffle that the paper and OpenMMLab do.
MEGVII_V1_STRUCTURE = frozenset({"stage2_unit0_unshuffle"})
OPENMMLAB_V1_STRUCTURE = frozenset({"stage2_unit0_pw1", "stage2_unit0_shuffle"})

MEGVII_SHUFFLENET_V1 = Layout(
    "megvii/shufflenet_v1",
    {
        "stem_conv": "first_conv.0",
        "stem_conv_bn": "first_conv.1",
        **_join(
            {name: f"features.{index}" for index, name in enumerate(UNIT_NAMES)},
            {
                "pw1": "branch_main_1.0",
                "pw1_bn": "branch_main_1.1",
                "dw": "branch_main_1.3",
                "dw_bn": "branch_main_1.4",
                "pw2": "branch_main_2.0",
                "pw2_bn": "branch_main_2.1",
            },
        ),
        "predictions": "classifier.0",
    },
    channel_order="bgr",
    needs=MEGVII_V1_STRUCTURE,
)

OPENMMLAB_SHUFFLENET_V1 = {
    **_conv_bn("stem_conv", "backbone.conv1"),
    **_conv_bn_all(
        (f"stage{stage}_unit{unit}_{role}", f"backbone.layers.{stage - 2}.{unit}.{part}")
        for stage, unit in UNITS
        for role, part in {
            "pw1": "g_conv_1x1_compress",
            "dw": "depthwise_conv3x3_bn",
            "pw2": "g_conv_1x1_expand",
        }.items()
    ),
}

# ---- ShuffleNetV2 --------------------------------------------------------------------------------

# The units of this layer's structure shuffle at their end, the strided ones too.
TORCHVISION_STRUCTURE = frozenset({"stage2_unit0_shuffle"})

TORCHVISION_SHUFFLENET_V2 = Layout(
    "torchvision/shufflenet_v2",
    {
        "stem_conv": "conv1.0",
        "stem_conv_bn": "conv1.1",
        **_join(
            {name: f"stage{s}.{i}" for name, (s, i) in zip(UNIT_NAMES, UNITS, strict=True)},
            {
                "proj_dw": "branch1.0",
                "proj_dw_bn": "branch1.1",
                "proj_pw": "branch1.2",
                "proj_pw_bn": "branch1.3",
                "main_pw1": "branch2.0",
                "main_pw1_bn": "branch2.1",
                "main_dw": "branch2.3",
                "main_dw_bn": "branch2.4",
                "main_pw2": "branch2.5",
                "main_pw2_bn": "branch2.6",
            },
        ),
        "conv_last": "conv5.0",
        "conv_last_bn": "conv5.1",
        "predictions": "fc",
    },
    needs=TORCHVISION_STRUCTURE,
)

MEGVII_SHUFFLENET_V2 = Layout(
    "megvii/shufflenet_v2",
    {
        "stem_conv": "first_conv.0",
        "stem_conv_bn": "first_conv.1",
        **_join(
            {name: f"features.{index}" for index, name in enumerate(UNIT_NAMES)},
            {
                "proj_dw": "branch_proj.0",
                "proj_dw_bn": "branch_proj.1",
                "proj_pw": "branch_proj.2",
                "proj_pw_bn": "branch_proj.3",
                "main_pw1": "branch_main.0",
                "main_pw1_bn": "branch_main.1",
                "main_dw": "branch_main.3",
                "main_dw_bn": "branch_main.4",
                "main_pw2": "branch_main.5",
                "main_pw2_bn": "branch_main.6",
            },
        ),
        "conv_last": "conv_last.0",
        "conv_last_bn": "conv_last.1",
        "predictions": "classifier.0",
    },
    channel_order="bgr",
    forbids=TORCHVISION_STRUCTURE,
)

OPENMMLAB_SHUFFLENET_V2 = {
    **_conv_bn("stem_conv", "backbone.conv1"),
    **_conv_bn_all(
        (f"stage{stage}_unit{unit}_{role}", f"backbone.layers.{stage - 2}.{unit}.{part}")
        for stage, unit in UNITS
        for role, part in {
            "proj_dw": "branch1.0",
            "proj_pw": "branch1.1",
            "main_pw1": "branch2.0",
            "main_dw": "branch2.1",
            "main_pw2": "branch2.2",
        }.items()
    ),
    **_conv_bn("conv_last", "backbone.layers.3"),
}

# ---- searched networks: ShuffleNetV2+, OneShot, DetNAS -------------------------------------------

SEARCHED_UNITS = [
    (stage, unit) for stage, units in ((1, 4), (2, 4), (3, 8), (4, 4)) for unit in range(units)
]
# An architecture's units have the layers of either kind, so that one table serves all.
MEGVII_SEARCHED_UNITS = _join(
    {f"stage{s}_unit{u}": f"features.{index}" for index, (s, u) in enumerate(SEARCHED_UNITS)},
    {
        "proj_dw": "branch_proj.0",
        "proj_dw_bn": "branch_proj.1",
        "proj_pw": "branch_proj.2",
        "proj_pw_bn": "branch_proj.3",
        "main_pw1": "branch_main.0",
        "main_pw1_bn": "branch_main.1",
        "main_dw": "branch_main.3",
        "main_dw_bn": "branch_main.4",
        "main_pw2": "branch_main.5",
        "main_pw2_bn": "branch_main.6",
        "main_separable1_dw": "branch_main.0",
        "main_separable1_dw_bn": "branch_main.1",
        "main_separable1_pw": "branch_main.2",
        "main_separable1_pw_bn": "branch_main.3",
        "main_separable2_dw": "branch_main.5",
        "main_separable2_dw_bn": "branch_main.6",
        "main_separable2_pw": "branch_main.7",
        "main_separable2_pw_bn": "branch_main.8",
        "main_separable3_dw": "branch_main.10",
        "main_separable3_dw_bn": "branch_main.11",
        "main_separable3_pw": "branch_main.12",
        "main_separable3_pw_bn": "branch_main.13",
    },
)
MEGVII_SEARCHED_ENDS = {
    "stem_conv": "first_conv.0",
    "stem_conv_bn": "first_conv.1",
    "conv_last": "conv_last.0",
    "conv_last_bn": "conv_last.1",
    "predictions": "classifier.0",
}

MEGVII_ONE_SHOT = Layout(
    "megvii/one_shot",
    {**MEGVII_SEARCHED_ENDS, **MEGVII_SEARCHED_UNITS},
    channel_order="bgr",
    forbids=frozenset({"stage3_unit0_main_se_reduce"}),
)

MEGVII_SHUFFLENET_V2_PLUS = Layout(
    "megvii/shufflenet_v2_plus",
    {
        **MEGVII_SEARCHED_ENDS,
        **MEGVII_SEARCHED_UNITS,
        **_join(
            {
                # The Xception unit has five modules more in front of its squeeze.
                f"stage{s}_unit{u}": f"features.{index}.branch_main.{15 if index == 18 else 8}"
                for index, (s, u) in enumerate(SEARCHED_UNITS)
                if s in (3, 4)
            },
            {
                "main_se_reduce": "SE_opr.1",
                "main_se_reduce_bn": "SE_opr.2",
                "main_se_expand": "SE_opr.4",
            },
        ),
        "head_se_reduce": "LastSE.SE_opr.1",
        "head_se_reduce_bn": "LastSE.SE_opr.2",
        "head_se_expand": "LastSE.SE_opr.4",
        "head_fc": "fc.0",
    },
    channel_order="bgr",
    needs=frozenset({"stage3_unit0_main_se_reduce"}),
)


def _interstellar(layer: str, module: str, place: str, branch: str) -> dict[str, str]:
    """DetNAS' depthwise convolution (where there is one) and pointwise convolution."""
    return {
        f"{layer}_dw": f"{module}.interstellar{place}_{branch}_s",
        f"{layer}_dw_bn": f"{module}.interstellar{place}_{branch}_s_bn",
        f"{layer}_pw": f"{module}.interstellar{place}_{branch}",
        f"{layer}_pw_bn": f"{module}.bn{place}_{branch}",
    }


def _detnas_unit(unit: str, module: str, place: str) -> dict[str, str]:
    first, second = f"{module}.conv.0", f"{module}.conv.1"
    separable = {
        layer: part
        for index, letter in enumerate("abc")
        for layer, part in _interstellar(
            f"{unit}_main_separable{index + 1}", f"{module}.conv.{index}", place, f"branch2{letter}"
        ).items()
    }
    return {
        **_interstellar(f"{unit}_proj", f"{module}.proj_conv", place, "proj"),
        **separable,
        f"{unit}_main_pw1": f"{first}.interstellar{place}_branch2a",
        f"{unit}_main_pw1_bn": f"{first}.bn{place}_branch2a",
        f"{unit}_main_dw": f"{second}.interstellar{place}_branch2b_s",
        f"{unit}_main_dw_bn": f"{second}.interstellar{place}_branch2b_s_bn",
        f"{unit}_main_pw2": f"{second}.interstellar{place}_branch2b",
        f"{unit}_main_pw2_bn": f"{second}.bn{place}_branch2b",
    }


def _detnas(name: str, units: tuple[int, ...]) -> Layout:
    positions = [(stage, unit) for stage, n in enumerate(units, 1) for unit in range(n)]
    modules = {
        **_conv_bn("stem_conv", "first_conv"),
        **_conv_bn("conv_last", "last_conv"),
        "predictions": "fc.fc",
    }
    for index, (stage, unit) in enumerate(positions):
        place = f"{stage}{ascii_lowercase[unit]}"
        modules |= _detnas_unit(f"stage{stage}_unit{unit}", f"features.{index}", place)
    return Layout(name, modules, channel_order="bgr", noise=r"_(shufflenet_\dx\d|xception_3x3)")


MEGVII_DETNAS = _detnas("megvii/detnas", (4, 4, 8, 4))
MEGVII_DETNAS_DEEP = _detnas("megvii/detnas_deep", (8, 8, 16, 8))

# ---- ShuffleNetV2.Large and ExLarge --------------------------------------------------------------

GIANT_STEM = {
    "stem_conv": "first_conv.0",
    "stem_conv2": "first_conv.1",
    "stem_conv3": "first_conv.2",
}
AUXILIARY = {16: "predict_14", 8: "predict_28", 4: "predict_56"}  # the number is the maps' size


def _giant(
    name: str,
    units: tuple[int, ...],
    unit_module: Callable[[int, int], str],
    main: Mapping[str, str],
    dense: str,
    convs: Mapping[str, str],
) -> Layout:
    """The layout of Large or ExLarge.

    Args:
        name: of the layout.
        units: of each stage, counted from 2.
        unit_module: of a stage and a unit, both counted from 0.
        main: layers of the main branch to their modules.
        dense: what dense layers' modules are called inside of theirs, with the dot before it.
        convs: further convolutions with normalisation.
    """
    modules = _conv_bn_all({**GIANT_STEM, **convs}.items())
    modules["predictions"] = f"fc{dense}"
    for stage, count in enumerate(units):
        for unit in range(count):
            layer, module = f"stage{stage + 2}_unit{unit}", unit_module(stage, unit)
            parts = {"proj": "proj", "down": "down", **main}
            modules |= _conv_bn_all((f"{layer}_{p}", f"{module}.{q}") for p, q in parts.items())
            modules |= {f"{layer}_se_fc{i}": f"{module}.se_fc{i}{dense}" for i in (1, 2)}
    for stride, module in AUXILIARY.items():
        layer = f"auxiliary_stride{stride}"
        modules |= _conv_bn(f"{layer}_conv1", f"{module}.conv.0")
        modules |= _conv_bn(f"{layer}_conv2", f"{module}.conv.1")
        modules[f"{layer}_predictions"] = f"{module}.fc"
    return Layout(name, modules, channel_order="bgr", duplicates=r".*\.se_block\..*")


EXLARGE_UNITS = (8, 16, 36, 10)

MEGVII_LARGE = _giant(
    "megvii/shufflenet_v2_large",
    (10, 10, 23, 10),
    lambda stage, unit: f"features.{stage}.{stage + 2}{ascii_lowercase[unit]}",
    {"main_pw1": "branch_main.0", "main_conv": "branch_main.1", "main_pw2": "branch_main.2"},
    "",
    {"conv_last": "conv_last"},
)
MEGVII_EXLARGE = _giant(
    "megvii/shufflenet_v2_exlarge",
    EXLARGE_UNITS,
    lambda stage, unit: f"features.{stage}.{unit}",
    {
        "main_pw1": "branch_main.0",
        "main_conv": "branch_main.1",
        "main_dw": "branch_main.2",
        "main_pw2": "branch_main.3",
    },
    ".fc",
    {
        f"stage{stage + 2}_last": f"features.{stage}.{units}"
        for stage, units in enumerate(EXLARGE_UNITS)
    },
)

# ---- MobileNetV2 ---------------------------------------------------------------------------------

BLOCKS = 17
FIRST_BLOCK = {"block0": "features.1.conv"}
FURTHER_BLOCKS = {f"block{block}": f"features.{block + 1}.conv" for block in range(1, BLOCKS)}
MOBILENET_V2_ENDS = {
    "stem_conv": "features.0.0",
    "stem_conv_bn": "features.0.1",
    "conv_last": "features.18.0",
    "conv_last_bn": "features.18.1",
}

TORCHVISION_MOBILENET_V2 = Layout(
    "torchvision/mobilenet_v2",
    {
        **MOBILENET_V2_ENDS,
        **_join(FIRST_BLOCK, {"dw": "0.0", "dw_bn": "0.1", "project": "1", "project_bn": "2"}),
        **_join(
            FURTHER_BLOCKS,
            {
                "expand": "0.0",
                "expand_bn": "0.1",
                "dw": "1.0",
                "dw_bn": "1.1",
                "project": "2",
                "project_bn": "3",
            },
        ),
        "predictions": "classifier.1",
    },
)

TONYLINS_MOBILENET_V2 = Layout(
    "tonylins/mobilenet_v2",
    {
        **MOBILENET_V2_ENDS,
        **_join(FIRST_BLOCK, {"dw": "0", "dw_bn": "1", "project": "3", "project_bn": "4"}),
        **_join(
            FURTHER_BLOCKS,
            {
                "expand": "0",
                "expand_bn": "1",
                "dw": "3",
                "dw_bn": "4",
                "project": "6",
                "project_bn": "7",
            },
        ),
        "predictions": "classifier",
    },
)

# OpenMMLab counts the blocks of each of its seven layers anew.
OPENMMLAB_BLOCKS = [
    f"backbone.layer{layer}.{block}"
    for layer, blocks in enumerate((1, 2, 3, 4, 3, 3, 1), start=1)
    for block in range(blocks)
]

OPENMMLAB_MOBILENET_V2 = {
    **_conv_bn("stem_conv", "backbone.conv1"),
    **_conv_bn_all(
        (f"block{block}_{role}", f"{module}.conv.{index}")
        for block, module in enumerate(OPENMMLAB_BLOCKS)
        for index, role in enumerate(
            ("dw", "project") if block == 0 else ("expand", "dw", "project")
        )
    ),
    **_conv_bn("conv_last", "backbone.conv2"),
}

# ---- OpenMMLab's heads ---------------------------------------------------------------------------


def _deconvolution_head(prefix: str) -> dict[str, str]:
    """Head of mmpose: convolution, normalisation and activation in turn, three times."""
    layers = {f"head_deconv{i + 1}": f"{prefix}.deconv_layers.{3 * i}" for i in range(3)}
    norms = {f"head_deconv{i + 1}_bn": f"{prefix}.deconv_layers.{3 * i + 1}" for i in range(3)}
    return {**layers, **norms, "head_final": f"{prefix}.final_layer"}


OPENMMLAB_HEADS = {
    "mmcls": {"predictions": "head.fc"},
    "mmpose": _deconvolution_head("keypoint_head"),
    "mmpose_v1": _deconvolution_head("head"),
}

OPENMMLAB = [
    Layout(f"{publisher}/{network}", {**backbone, **head}, needs=needs)
    for network, backbone, needs in (
        ("shufflenet_v1", OPENMMLAB_SHUFFLENET_V1, OPENMMLAB_V1_STRUCTURE),
        ("shufflenet_v2", OPENMMLAB_SHUFFLENET_V2, TORCHVISION_STRUCTURE),
        ("mobilenet_v2", OPENMMLAB_MOBILENET_V2, frozenset[str]()),
    )
    for publisher, head in OPENMMLAB_HEADS.items()
]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        MEGVII_SHUFFLENET_V1,
        TORCHVISION_SHUFFLENET_V2,
        MEGVII_SHUFFLENET_V2,
        MEGVII_ONE_SHOT,
        MEGVII_SHUFFLENET_V2_PLUS,
        MEGVII_DETNAS,
        MEGVII_DETNAS_DEEP,
        MEGVII_LARGE,
        MEGVII_EXLARGE,
        TORCHVISION_MOBILENET_V2,
        TONYLINS_MOBILENET_V2,
        *OPENMMLAB,
    )
}


def get(name: str) -> Layout:
    """The layout of a name.

    Raises:
        ValueError: if there is none.
    """
    if name not in LAYOUTS:
        raise ValueError(f"`layout` has to be one of {', '.join(LAYOUTS)}. Received: {name!r}")
    return LAYOUTS[name]
