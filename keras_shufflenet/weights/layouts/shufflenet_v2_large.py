"""ShuffleNetV2.Large and ExLarge: layouts of the authors (Megvii)."""

from collections.abc import Callable, Mapping
from string import ascii_lowercase

from keras_shufflenet.weights.layouts._layout import Layout, conv_bn, conv_bn_all, enumerate_units

STEM = {
    "stem_conv": "first_conv.0",
    "stem_conv2": "first_conv.1",
    "stem_conv3": "first_conv.2",
}
ALIASES = {".se_block.0": ".se_fc1", ".se_block.2": ".se_fc2"}
# By stride; the module's number is the size of its feature maps.
AUXILIARY = {16: "predict_14", 8: "predict_28", 4: "predict_56"}


def _large(
    name: str,
    units: tuple[int, ...],
    unit_module: Callable[[int, int], str],
    main: Mapping[str, str],
    dense: str,
    convs: Mapping[str, str],
) -> Layout:
    """Return the layout of Large or ExLarge.

    Args:
        name: Name of the layout.
        units: Number of units of each stage.
        unit_module: Function from a stage, counted from 2, and a unit, counted from 0, to its
            module.
        main: Modules by layer of the main branch.
        dense: Suffix of the modules of dense layers, with its dot.
        convs: Modules by layer of further convolutions with batch normalization.
    """
    modules = conv_bn_all({**STEM, **convs}.items())
    modules["predictions"] = f"fc{dense}"
    for stage, unit in enumerate_units(units, first_stage=2):
        layer, module = f"stage{stage}_unit{unit}", unit_module(stage, unit)
        parts = {"proj": "proj", "down": "down", **main}
        modules |= conv_bn_all((f"{layer}_{p}", f"{module}.{q}") for p, q in parts.items())
        modules |= {f"{layer}_se_fc{i}": f"{module}.se_fc{i}{dense}" for i in (1, 2)}
    for stride, module in AUXILIARY.items():
        layer = f"auxiliary_stride{stride}"
        modules |= conv_bn(f"{layer}_conv1", f"{module}.conv.0")
        modules |= conv_bn(f"{layer}_conv2", f"{module}.conv.1")
        modules[f"{layer}_predictions"] = f"{module}.fc"
    return Layout(name, modules, channel_order="bgr", aliases=ALIASES)


EXLARGE_UNITS = (8, 16, 36, 10)

LARGE = _large(
    "megvii/shufflenet_v2_large",
    (10, 10, 23, 10),
    lambda stage, unit: f"features.{stage - 2}.{stage}{ascii_lowercase[unit]}",
    {"main_pw1": "branch_main.0", "main_conv": "branch_main.1", "main_pw2": "branch_main.2"},
    "",
    {"conv_last": "conv_last"},
)
EXLARGE = _large(
    "megvii/shufflenet_v2_exlarge",
    EXLARGE_UNITS,
    lambda stage, unit: f"features.{stage - 2}.{unit}",
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
