"""ShuffleNetV1: layouts of the authors (Megvii) and OpenMMLab."""

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

# The authors' units undo the shuffle that the paper and OpenMMLab do.
MEGVII_VARIANT = frozenset({"stage2_unit0_unshuffle"})
OPENMMLAB_VARIANT = frozenset({"stage2_unit0_pw1", "stage2_unit0_shuffle"})

MEGVII = Layout(
    "megvii/shufflenet_v1",
    {
        "stem_conv": "first_conv.0",
        "stem_conv_bn": "first_conv.1",
        **join(
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
    requires=MEGVII_VARIANT,
)

OPENMMLAB = with_heads(
    "shufflenet_v1",
    {
        **conv_bn("stem_conv", "backbone.conv1"),
        **conv_bn_all(
            (f"stage{stage}_unit{unit}_{role}", f"backbone.layers.{stage - 2}.{unit}.{part}")
            for stage, unit in UNITS
            for role, part in {
                "pw1": "g_conv_1x1_compress",
                "dw": "depthwise_conv3x3_bn",
                "pw2": "g_conv_1x1_expand",
            }.items()
        ),
    },
    OPENMMLAB_VARIANT,
)
