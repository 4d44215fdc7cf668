"""OneShot and ShuffleNetV2+: layouts of the authors (Megvii)."""

from keras_shufflenet.weights.layouts._layout import Layout, enumerate_units, join

UNITS = enumerate_units((4, 4, 8, 4), first_stage=1)
# A unit has the layers of one choice block, so that one table serves all architectures.
UNIT_LAYERS = join(
    {f"stage{s}_unit{u}": f"features.{index}" for index, (s, u) in enumerate(UNITS)},
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
ENDS = {
    "stem_conv": "first_conv.0",
    "stem_conv_bn": "first_conv.1",
    "conv_last": "conv_last.0",
    "conv_last_bn": "conv_last.1",
    "predictions": "classifier.0",
}

ONE_SHOT = Layout(
    "megvii/one_shot",
    {**ENDS, **UNIT_LAYERS},
    channel_order="bgr",
    excludes=frozenset({"stage3_unit0_main_se_reduce"}),
)

SHUFFLENET_V2_PLUS = Layout(
    "megvii/shufflenet_v2_plus",
    {
        **ENDS,
        **UNIT_LAYERS,
        **join(
            {
                # The Xception block has seven more modules before its squeeze-and-excitation.
                f"stage{s}_unit{u}": f"features.{index}.branch_main.{15 if index == 18 else 8}"
                for index, (s, u) in enumerate(UNITS)
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
    requires=frozenset({"stage3_unit0_main_se_reduce"}),
)
