"""ShuffleNetV2.Large and ExLarge."""

from collections.abc import Callable, Mapping
from string import ascii_lowercase

from keras_shufflenet.weights.layouts._layout import Layout, conv_bn, conv_bn_all, places

STEM = {
    "stem_conv": "first_conv.0",
    "stem_conv2": "first_conv.1",
    "stem_conv3": "first_conv.2",
}
TWINS = {".se_block.0": ".se_fc1", ".se_block.2": ".se_fc2"}
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
        unit_module: of a stage, counted from 2, and a unit, counted from 0.
        main: layers of the main branch to their modules.
        dense: what dense layers' modules are called inside of theirs, with the dot before it.
        convs: further convolutions with normalization.
    """
    modules = conv_bn_all({**STEM, **convs}.items())
    modules["predictions"] = f"fc{dense}"
    for stage, unit in places(units, first_stage=2):
        layer, module = f"stage{stage}_unit{unit}", unit_module(stage, unit)
        parts = {"proj": "proj", "down": "down", **main}
        modules |= conv_bn_all((f"{layer}_{p}", f"{module}.{q}") for p, q in parts.items())
        modules |= {f"{layer}_se_fc{i}": f"{module}.se_fc{i}{dense}" for i in (1, 2)}
    for stride, module in AUXILIARY.items():
        layer = f"auxiliary_stride{stride}"
        modules |= conv_bn(f"{layer}_conv1", f"{module}.conv.0")
        modules |= conv_bn(f"{layer}_conv2", f"{module}.conv.1")
        modules[f"{layer}_predictions"] = f"{module}.fc"
    return Layout(name, modules, channel_order="bgr", twins=TWINS)


EXLARGE_UNITS = (8, 16, 36, 10)

LARGE = _giant(
    "megvii/shufflenet_v2_large",
    (10, 10, 23, 10),
    lambda stage, unit: f"features.{stage - 2}.{stage}{ascii_lowercase[unit]}",
    {"main_pw1": "branch_main.0", "main_conv": "branch_main.1", "main_pw2": "branch_main.2"},
    "",
    {"conv_last": "conv_last"},
)
EXLARGE = _giant(
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
