"""ShuffleNetV2: layouts of torchvision, the authors (Megvii) and OpenMMLab."""

from keras_shufflenet.weights.layouts._layout import (
    Layout,
    conv_bn,
    conv_bn_all,
    enumerate_units,
    join,
    with_heads,
)

UNITS = enumerate_units((4, 8, 4), first_stage=2)
UNIT_NAMES = [f"stage{stage}_unit{unit}" for stage, unit in UNITS]

# torchvision's units shuffle at their end, the strided ones too.
TORCHVISION_VARIANT = frozenset({"stage2_unit0_shuffle"})

TORCHVISION = Layout(
    "torchvision/shufflenet_v2",
    {
        "stem_conv": "conv1.0",
        "stem_conv_bn": "conv1.1",
        **join(
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
    requires=TORCHVISION_VARIANT,
)

MEGVII = Layout(
    "megvii/shufflenet_v2",
    {
        "stem_conv": "first_conv.0",
        "stem_conv_bn": "first_conv.1",
        **join(
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
    excludes=TORCHVISION_VARIANT,
)

OPENMMLAB = with_heads(
    "shufflenet_v2",
    {
        **conv_bn("stem_conv", "backbone.conv1"),
        **conv_bn_all(
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
        **conv_bn("conv_last", "backbone.layers.3"),
    },
    TORCHVISION_VARIANT,
)
