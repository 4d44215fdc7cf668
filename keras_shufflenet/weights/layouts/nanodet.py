"""NanoDet and NanoDet-Plus: the layout of their publisher, RangiLyu/nanodet.

Lightning's checkpoints have the network below `model.`, and averaged weights below `avg_model.`.
"""

from keras_shufflenet.weights.layouts._layout import Layout, conv_bn_all, join
from keras_shufflenet.weights.layouts.shufflenet_v2 import TORCHVISION, TORCHVISION_VARIANT

LEVELS = range(4)  # NanoDet has the first three
SEPARABLE = {"dw": "depthwise", "dw_bn": "dwnorm", "pw": "pointwise", "pw_bn": "pwnorm"}
GHOST = {
    "primary": "primary_conv.0",
    "primary_bn": "primary_conv.1",
    "cheap": "cheap_operation.0",
    "cheap_bn": "cheap_operation.1",
}
BOTTLENECK = {
    "shortcut_dw": "shortcut.0",
    "shortcut_dw_bn": "shortcut.1",
    "shortcut_pw": "shortcut.2",
    "shortcut_pw_bn": "shortcut.3",
    **join({"ghost1": "ghost1", "ghost2": "ghost2"}, GHOST),
}

NANODET = Layout(
    "rangilyu/nanodet",
    {
        **{
            layer: f"backbone.{module}"
            for layer, module in TORCHVISION.modules.items()
            if layer.startswith(("stem", "stage"))
        },
        **{f"neck_lateral{i}": f"fpn.lateral_convs.{i}.conv" for i in LEVELS[:3]},
        **conv_bn_all((f"neck_reduce{i}", f"fpn.reduce_layers.{i}") for i in LEVELS[:3]),
        **join(
            {
                "neck_inner1": "fpn.top_down_blocks.0.blocks.0",
                "neck_out0": "fpn.top_down_blocks.1.blocks.0",
                "neck_out1": "fpn.bottom_up_blocks.0.blocks.0",
                "neck_out2": "fpn.bottom_up_blocks.1.blocks.0",
            },
            BOTTLENECK,
        ),
        **join(
            {
                "neck_down1": "fpn.downsamples.0",
                "neck_down2": "fpn.downsamples.1",
                "neck_extra_reduced": "fpn.extra_lvl_in_conv.0",
                "neck_extra_out": "fpn.extra_lvl_out_conv.0",
                **{
                    f"tower{level}_conv{i}": f"head.cls_convs.{level}.{i}"
                    for level in LEVELS
                    for i in range(2)
                },
            },
            SEPARABLE,
        ),
        **{f"head_level{level}": f"head.gfl_cls.{level}" for level in LEVELS},
    },
    channel_order="bgr",
    requires=TORCHVISION_VARIANT | {"stem_conv_leaky_relu"},
    # The second convolution of NanoDet's head is never run, the constants of the bins are known,
    # and the auxiliary branch of NanoDet-Plus is for training.
    unused_pattern=r"head\.(gfl_reg|distribution_project)\.|aux_(fpn|head)\.",
)
