"""MobileNetV2: layouts of torchvision, tonylins and OpenMMLab."""

from keras_shufflenet.weights.layouts._layout import Layout, conv_bn, conv_bn_all, join, with_heads

BLOCKS = 17
FIRST_BLOCK = {"block0": "features.1.conv"}
FURTHER_BLOCKS = {f"block{block}": f"features.{block + 1}.conv" for block in range(1, BLOCKS)}
ENDS = {
    "stem_conv": "features.0.0",
    "stem_conv_bn": "features.0.1",
    "conv_last": "features.18.0",
    "conv_last_bn": "features.18.1",
}

TORCHVISION = Layout(
    "torchvision/mobilenet_v2",
    {
        **ENDS,
        **join(FIRST_BLOCK, {"dw": "0.0", "dw_bn": "0.1", "project": "1", "project_bn": "2"}),
        **join(
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

TONYLINS = Layout(
    "tonylins/mobilenet_v2",
    {
        **ENDS,
        **join(FIRST_BLOCK, {"dw": "0", "dw_bn": "1", "project": "3", "project_bn": "4"}),
        **join(
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

# OpenMMLab counts blocks from 0 in each of its seven layers.
OPENMMLAB_BLOCKS = [
    f"backbone.layer{layer}.{block}"
    for layer, blocks in enumerate((1, 2, 3, 4, 3, 3, 1), start=1)
    for block in range(blocks)
]

OPENMMLAB = with_heads(
    "mobilenet_v2",
    {
        **conv_bn("stem_conv", "backbone.conv1"),
        **conv_bn_all(
            (f"block{block}_{role}", f"{module}.conv.{index}")
            for block, module in enumerate(OPENMMLAB_BLOCKS)
            for index, role in enumerate(
                ("dw", "project") if block == 0 else ("expand", "dw", "project")
            )
        ),
        **conv_bn("conv_last", "backbone.conv2"),
    },
)
