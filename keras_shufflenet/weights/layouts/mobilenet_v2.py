"""MobileNetV2: layouts of torchvision, tonylins, OpenMMLab, timm, Hugging Face and Keras."""

from keras_shufflenet.weights.layouts._layout import (
    KerasLayout,
    Layout,
    conv_bn,
    conv_bn_all,
    join,
    with_heads,
    without_prefix,
)

BLOCKS = 17
# TensorFlow's network has the same shapes, but pads differently and has another epsilon.
PYTORCH = frozenset({"stem_conv_pad"})
TENSORFLOW_HINT = (
    ' (`MobileNetV2(variant="keras")` is the network of TensorFlow and keras.applications, '
    "`MobileNetV2()` is PyTorch's)"
)

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
    requires=PYTORCH,
    hint=TENSORFLOW_HINT,
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
    requires=PYTORCH,
    hint=TENSORFLOW_HINT,
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
    PYTORCH,
    TENSORFLOW_HINT,
)

# timm counts blocks like OpenMMLab, from stage 0.
TIMM_BLOCKS = [name.removeprefix("backbone.layer") for name in OPENMMLAB_BLOCKS]


def _timm_block(block: int, name: str) -> dict[str, str]:
    stage, _, index = name.partition(".")
    module = f"blocks.{int(stage) - 1}.{index}"
    convs = ("conv_dw", "conv_pw") if block == 0 else ("conv_pw", "conv_dw", "conv_pwl")
    roles = ("dw", "project") if block == 0 else ("expand", "dw", "project")
    modules = {}
    for number, (role, conv) in enumerate(zip(roles, convs, strict=True), start=1):
        modules[f"block{block}_{role}"] = f"{module}.{conv}"
        modules[f"block{block}_{role}_bn"] = f"{module}.bn{number}"
    return modules


TIMM = Layout(
    "timm/mobilenet_v2",
    {
        "stem_conv": "conv_stem",
        "stem_conv_bn": "bn1",
        **{
            layer: module
            for block, name in enumerate(TIMM_BLOCKS)
            for layer, module in _timm_block(block, name).items()
        },
        "conv_last": "conv_head",
        "conv_last_bn": "bn2",
        "predictions": "classifier",
    },
    requires=PYTORCH,
    hint=TENSORFLOW_HINT,
)

HUGGING_FACE_ROLES = {
    f"{role}{suffix}": f"{module}.{part}"
    for role, module in (("expand", "expand_1x1"), ("dw", "conv_3x3"), ("project", "reduce_1x1"))
    for suffix, part in (("", "convolution"), ("_bn", "normalization"))
}

HUGGING_FACE = Layout(
    "huggingface/mobilenet_v2",
    {
        "stem_conv": "mobilenet_v2.conv_stem.first_conv.convolution",
        "stem_conv_bn": "mobilenet_v2.conv_stem.first_conv.normalization",
        **join(
            {"block0": "mobilenet_v2.conv_stem"},
            {
                role: module
                for role, module in HUGGING_FACE_ROLES.items()
                if not role.startswith("expand")
            },
        ),
        **join(
            {f"block{i}": f"mobilenet_v2.layer.{i - 1}" for i in range(1, BLOCKS)},
            HUGGING_FACE_ROLES,
        ),
        "conv_last": "mobilenet_v2.conv_1x1.convolution",
        "conv_last_bn": "mobilenet_v2.conv_1x1.normalization",
        "predictions": "classifier",
    },
    excludes=PYTORCH,
    hint=TENSORFLOW_HINT,
)
HUGGING_FACE_BACKBONE = without_prefix(
    HUGGING_FACE, "huggingface/mobilenet_v2_backbone", "mobilenet_v2."
)

# Names of layers, which Keras' files have.
KERAS_ROLES = {
    f"{role}{suffix}": f"{name}{end}"
    for role, name in (("expand", "expand"), ("dw", "depthwise"), ("project", "project"))
    for suffix, end in (("", ""), ("_bn", "_BN"))
}


KERAS = KerasLayout(
    "keras/mobilenet_v2",
    {
        "stem_conv": "Conv1",
        "stem_conv_bn": "bn_Conv1",
        **{
            f"block{block}_{role}": f"{f'block_{block}' if block else 'expanded_conv'}_{name}"
            for block in range(BLOCKS)
            for role, name in KERAS_ROLES.items()
            if block or not role.startswith("expand")
        },
        "conv_last": "Conv_1",
        "conv_last_bn": "Conv_1_bn",
        "predictions": "predictions",
    },
    excludes=PYTORCH,
    hint=TENSORFLOW_HINT,
)
