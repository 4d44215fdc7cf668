"""DetNAS: layouts of the authors, whose keys repeat the unit's position and operators."""

from string import ascii_lowercase

from keras_shufflenet.weights.layouts._layout import Layout, conv_bn, enumerate_units

OPERATOR_NAMES = r"_(shufflenet_\dx\d|xception_3x3)"


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
    modules = {
        **conv_bn("stem_conv", "first_conv"),
        **conv_bn("conv_last", "last_conv"),
        "predictions": "fc.fc",
    }
    for index, (stage, unit) in enumerate(enumerate_units(units, first_stage=1)):
        place = f"{stage}{ascii_lowercase[unit]}"
        modules |= _detnas_unit(f"stage{stage}_unit{unit}", f"features.{index}", place)
    return Layout(name, modules, channel_order="bgr", ignored_pattern=OPERATOR_NAMES)


SHALLOW = _detnas("megvii/detnas", (4, 4, 8, 4))
DEEP = _detnas("megvii/detnas_deep", (8, 8, 16, 8))
