"""The networks once more, in PyTorch, as functions of a publisher's state dict.

Written from the papers and the publishers' key names, not from this package's models, so that the
two can be compared. Kernel sizes, groups and kinds of units follow from the tensors.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]
UNITS = (4, 8, 4)


def conv(s: State, key: str, x: Tensor, stride: int = 1) -> Tensor:
    """Convolution whose groups follow from the kernel."""
    kernel = s[f"{key}.weight"]
    groups = x.shape[1] // kernel.shape[1]
    padding = kernel.shape[-1] // 2
    return F.conv2d(x, kernel, s.get(f"{key}.bias"), stride, padding, groups=groups)


def norm(s: State, key: str, x: Tensor, epsilon: float = 1e-5) -> Tensor:
    """Batch normalization at inference."""
    mean, variance = s[f"{key}.running_mean"], s[f"{key}.running_var"]
    return F.batch_norm(
        x, mean, variance, s.get(f"{key}.weight"), s.get(f"{key}.bias"), eps=epsilon
    )


def linear(s: State, key: str, x: Tensor) -> Tensor:
    """Dense layer."""
    return F.linear(x, s[f"{key}.weight"], s.get(f"{key}.bias"))


def pooled(x: Tensor) -> Tensor:
    """Mean over height and width."""
    return x.mean((2, 3))


def shuffled(x: Tensor, groups: int) -> Tensor:
    """The paper's channel shuffle."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def stage_units(units: tuple[int, ...]) -> list[tuple[int, int]]:
    """(stage, unit), both from 0."""
    return [(stage, unit) for stage, count in enumerate(units) for unit in range(count)]


def shufflenet_v1_megvii(s: State, x: Tensor) -> Tensor:
    """Megvii's V1: the shuffle is turned round."""
    x = F.max_pool2d(norm(s, "first_conv.1", conv(s, "first_conv.0", x, 2)).relu(), 3, 2, 1)
    for index, (_, unit) in enumerate(stage_units(UNITS)):
        key, stride = f"features.{index}", 2 if unit == 0 else 1
        y = norm(s, f"{key}.branch_main_1.1", conv(s, f"{key}.branch_main_1.0", x)).relu()
        y = norm(s, f"{key}.branch_main_1.4", conv(s, f"{key}.branch_main_1.3", y, stride))
        groups = y.shape[1] // s[f"{key}.branch_main_2.0.weight"].shape[1]
        y = shuffled(y, y.shape[1] // groups)
        y = norm(s, f"{key}.branch_main_2.1", conv(s, f"{key}.branch_main_2.0", y))
        x = (x + y).relu() if stride == 1 else torch.cat([F.avg_pool2d(x, 3, 2, 1), y.relu()], 1)
    return linear(s, "classifier.0", pooled(x))


def openmmlab(s: State, key: str, x: Tensor, stride: int = 1) -> Tensor:
    """OpenMMLab's convolution with normalization."""
    return norm(s, f"{key}.bn", conv(s, f"{key}.conv", x, stride))


def shufflenet_v1_mmcls(s: State, x: Tensor) -> Tensor:
    """OpenMMLab's V1, maps of the last stage."""
    x = F.max_pool2d(openmmlab(s, "backbone.conv1", x, 2).relu(), 3, 2, 1)
    for stage, unit in stage_units(UNITS):
        key, stride = f"backbone.layers.{stage}.{unit}", 2 if unit == 0 else 1
        y = openmmlab(s, f"{key}.g_conv_1x1_compress", x).relu()
        y = openmmlab(s, f"{key}.depthwise_conv3x3_bn", y, stride)
        y = shuffled(y, y.shape[1] // s[f"{key}.g_conv_1x1_expand.conv.weight"].shape[1])
        y = openmmlab(s, f"{key}.g_conv_1x1_expand", y)
        x = (x + y).relu() if stride == 1 else torch.cat([F.avg_pool2d(x, 3, 2, 1), y.relu()], 1)
    return x


def shufflenet_v2_torchvision(s: State, x: Tensor) -> Tensor:
    """V2 of torchvision: halves, shuffle at the end."""
    x = F.max_pool2d(norm(s, "conv1.1", conv(s, "conv1.0", x, 2)).relu(), 3, 2, 1)
    for stage, unit in stage_units(UNITS):
        key, stride = f"stage{stage + 2}.{unit}", 2 if unit == 0 else 1
        kept, y = (x, x) if stride == 2 else x.chunk(2, 1)
        if stride == 2:
            kept = norm(s, f"{key}.branch1.1", conv(s, f"{key}.branch1.0", kept, 2))
            kept = norm(s, f"{key}.branch1.3", conv(s, f"{key}.branch1.2", kept)).relu()
        y = norm(s, f"{key}.branch2.1", conv(s, f"{key}.branch2.0", y)).relu()
        y = norm(s, f"{key}.branch2.4", conv(s, f"{key}.branch2.3", y, stride))
        y = norm(s, f"{key}.branch2.6", conv(s, f"{key}.branch2.5", y)).relu()
        x = shuffled(torch.cat([kept, y], 1), 2)
    x = norm(s, "conv5.1", conv(s, "conv5.0", x)).relu()
    return linear(s, "fc", pooled(x))


def shufflenet_v2_megvii(s: State, x: Tensor) -> Tensor:
    """Megvii's V2: even and odd channels, no shuffle at the end."""
    x = F.max_pool2d(norm(s, "first_conv.1", conv(s, "first_conv.0", x, 2)).relu(), 3, 2, 1)
    for index, (_, unit) in enumerate(stage_units(UNITS)):
        x = searched_unit(s, f"features.{index}", x, 2 if unit == 0 else 1, F.relu)
    x = norm(s, "conv_last.1", conv(s, "conv_last.0", x)).relu()
    return linear(s, "classifier.0", pooled(x))


Activation = Callable[[Tensor], Tensor]


def chain(
    s: State, key: str, steps: list[tuple[int, int, bool]], x: Tensor, stride: int, act: Activation
) -> Tensor:
    """Convolutions and normalizations numbered in a sequence; the first depthwise one strides."""
    for number, norm_number, activated in steps:
        depthwise = s[f"{key}.{number}.weight"].shape[1] == 1
        x = norm(
            s, f"{key}.{norm_number}", conv(s, f"{key}.{number}", x, stride if depthwise else 1)
        )
        stride = 1 if depthwise else stride
        x = act(x) if activated else x
    return x


KERNEL_UNIT = [(0, 1, True), (3, 4, False), (5, 6, True)]
XCEPTION_UNIT = [
    (0, 1, False), (2, 3, True), (5, 6, False), (7, 8, True), (10, 11, False), (12, 13, True),
]  # fmt: skip


def searched_unit(s: State, key: str, x: Tensor, stride: int, act: Activation) -> Tensor:
    """A unit of V2, V2+ or OneShot."""
    kept, y = (x, x) if stride == 2 else (x[:, 0::2], x[:, 1::2])
    if stride == 2:
        kept = chain(s, f"{key}.branch_proj", [(0, 1, False), (2, 3, True)], kept, 2, act)
    xception = f"{key}.branch_main.12.weight" in s
    steps = XCEPTION_UNIT if xception else KERNEL_UNIT
    y = chain(s, f"{key}.branch_main", steps, y, stride, act)
    squeeze = f"{key}.branch_main.{15 if xception else 8}.SE_opr"
    return torch.cat([kept, squeezed(s, squeeze, y) if f"{squeeze}.1.weight" in s else y], 1)


def squeezed(s: State, key: str, x: Tensor) -> Tensor:
    """V2+'s squeeze-and-excitation."""
    gate = norm(s, f"{key}.2", conv(s, f"{key}.1", x.mean((2, 3), keepdim=True))).relu()
    return x * F.hardsigmoid(conv(s, f"{key}.4", gate))


def one_shot(s: State, x: Tensor) -> Tensor:
    """OneShot, any architecture."""
    x = norm(s, "first_conv.1", conv(s, "first_conv.0", x, 2)).relu()
    for index, (_, unit) in enumerate(stage_units((4, 4, 8, 4))):
        x = searched_unit(s, f"features.{index}", x, 2 if unit == 0 else 1, F.relu)
    x = norm(s, "conv_last.1", conv(s, "conv_last.0", x)).relu()
    return linear(s, "classifier.0", pooled(x))


def shufflenet_v2_plus(s: State, x: Tensor) -> Tensor:
    """V2+."""
    x = F.hardswish(norm(s, "first_conv.1", conv(s, "first_conv.0", x, 2)))
    for index, (stage, unit) in enumerate(stage_units((4, 4, 8, 4))):
        act = F.relu if stage == 0 else F.hardswish
        x = searched_unit(s, f"features.{index}", x, 2 if unit == 0 else 1, act)
    x = F.hardswish(norm(s, "conv_last.1", conv(s, "conv_last.0", x)))
    x = squeezed(s, "LastSE.SE_opr", x.mean((2, 3), keepdim=True)).flatten(1)
    return linear(s, "classifier.0", F.hardswish(linear(s, "fc.0", x)))


def detnas(s: State, x: Tensor) -> Tensor:
    """DetNAS; keys without the names of the operators."""
    x = norm(s, "first_conv.bn", conv(s, "first_conv.conv", x, 2)).relu()
    deep = "features.39.conv.0.interstellar4h_branch2a.weight" in s
    for index, (stage, unit) in enumerate(stage_units((8, 8, 16, 8) if deep else (4, 4, 8, 4))):
        place, stride = f"{stage + 1}{chr(ord('a') + unit)}", 2 if unit == 0 else 1
        key = f"features.{index}"
        kept, y = (x, x) if stride == 2 else (x[:, 0::2], x[:, 1::2])
        if stride == 2:
            kept = _interstellar(s, f"{key}.proj_conv", place, "proj", kept, 2).relu()
        branches = [
            b for b in "abc" if any(f"_branch2{b}" in k for k in s if k.startswith(f"{key}."))
        ]
        for position, branch in enumerate(branches):
            module = f"{key}.conv.{position}"
            strides = f"{module}.interstellar{place}_branch2{branch}_s.weight" in s
            y = _interstellar(s, module, place, f"branch2{branch}", y, stride).relu()
            stride = 1 if strides else stride
        x = torch.cat([kept, y], 1)
    x = norm(s, "last_conv.bn", conv(s, "last_conv.conv", x)).relu()
    return linear(s, "fc.fc", pooled(x))


def _interstellar(s: State, module: str, place: str, branch: str, x: Tensor, stride: int) -> Tensor:
    """A depthwise convolution, if there is one, and a pointwise one."""
    name = f"{module}.interstellar{place}_{branch}"
    if f"{name}_s.weight" in s:
        x = norm(s, f"{name}_s_bn", conv(s, f"{name}_s", x, stride))
    return norm(s, f"{module}.bn{place}_{branch}", conv(s, name, x))


def _giant_stem(s: State, x: Tensor, epsilon: float) -> Tensor:
    for index, stride in enumerate((2, 1, 1)):
        key = f"first_conv.{index}"
        x = norm(s, f"{key}.bn", conv(s, f"{key}.conv", x, stride), epsilon).relu()
    return F.max_pool2d(x, 3, 2, 1)


def _excited(s: State, key: str, x: Tensor, dense: str) -> Tensor:
    gate = linear(s, f"{key}.se_fc1{dense}", pooled(x)).relu()
    return x * linear(s, f"{key}.se_fc2{dense}", gate).sigmoid()[:, :, None, None]


def shufflenet_v2_large(s: State, x: Tensor) -> Tensor:
    """Large."""
    epsilon = 1e-9

    def block(key: str, x: Tensor, stride: int = 1) -> Tensor:
        return norm(s, f"{key}.bn", conv(s, f"{key}.conv", x, stride), epsilon)

    x = _giant_stem(s, x, epsilon)
    for stage, unit in stage_units((10, 10, 23, 10)):
        key = f"features.{stage}.{stage + 2}{chr(ord('a') + unit)}"
        stride = 2 if unit == 0 and stage > 0 else 1
        kept, taken = x[:, 0::2], x[:, 1::2]
        if unit == 0:
            kept = block(f"{key}.proj", kept, stride)
        y = block(f"{key}.branch_main.0", taken).relu()
        y = block(f"{key}.branch_main.1", y, stride).relu()
        y = _excited(s, key, block(f"{key}.branch_main.2", y), "")
        x = torch.cat([kept, y if unit == 0 else y + taken], 1).relu()
        if stride == 2:
            x = block(f"{key}.down", x).relu()
    return linear(s, "fc", pooled(block("conv_last", x).relu()))


def shufflenet_v2_exlarge(s: State, x: Tensor) -> Tensor:
    """ExLarge."""

    def block(key: str, x: Tensor, stride: int = 1) -> Tensor:
        return norm(s, f"{key}.bn", conv(s, f"{key}.conv", x, stride))

    x = _giant_stem(s, x, 1e-5)
    units = (8, 16, 36, 10)
    for stage, unit in stage_units(units):
        key, stride = f"features.{stage}.{unit}", 2 if unit == 0 and stage > 0 else 1
        if unit == 0:
            kept, taken = block(f"{key}.proj", x, stride).relu(), x
        else:
            kept, taken = x[:, 0::2], x[:, 1::2]
        y = block(f"{key}.branch_main.0", taken).relu()
        y = block(f"{key}.branch_main.1", y, stride).relu()
        y = block(f"{key}.branch_main.3", block(f"{key}.branch_main.2", y))
        y = _excited(s, key, y, ".fc")
        x = torch.cat([kept, y if unit == 0 else (taken + y).relu()], 1)
        if unit == units[stage] - 1:
            x = block(f"features.{stage}.{units[stage]}", x).relu()
    return linear(s, "fc.fc", pooled(x))


def mobilenet_v2_torchvision(s: State, x: Tensor) -> Tensor:
    """MobileNetV2 of torchvision."""
    x = F.relu6(norm(s, "features.0.1", conv(s, "features.0.0", x, 2)))
    strides = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)
    for index, stride in enumerate(strides, start=1):
        key, y = f"features.{index}.conv", x
        for part in range(2 if index > 1 else 1):
            depthwise = s[f"{key}.{part}.0.weight"].shape[1] == 1
            y = conv(s, f"{key}.{part}.0", y, stride if depthwise else 1)
            y = F.relu6(norm(s, f"{key}.{part}.1", y))
        last = 2 if index > 1 else 1
        y = norm(s, f"{key}.{last + 1}", conv(s, f"{key}.{last}", y))
        x = x + y if stride == 1 and x.shape == y.shape else y
    x = F.relu6(norm(s, "features.18.1", conv(s, "features.18.0", x)))
    return linear(s, "classifier.1", pooled(x))


def shufflenet_v2_openmmlab(s: State, x: Tensor) -> Tensor:
    """OpenMMLab's V2, maps of the last convolution."""
    x = F.max_pool2d(openmmlab(s, "backbone.conv1", x, 2).relu(), 3, 2, 1)
    for stage, unit in stage_units(UNITS):
        key, stride = f"backbone.layers.{stage}.{unit}", 2 if unit == 0 else 1
        kept, y = (x, x) if stride == 2 else x.chunk(2, 1)
        if stride == 2:
            kept = openmmlab(s, f"{key}.branch1.0", kept, 2)
            kept = openmmlab(s, f"{key}.branch1.1", kept).relu()
        y = openmmlab(s, f"{key}.branch2.0", y).relu()
        y = openmmlab(s, f"{key}.branch2.1", y, stride)
        y = openmmlab(s, f"{key}.branch2.2", y).relu()
        x = shuffled(torch.cat([kept, y], 1), 2)
    return openmmlab(s, "backbone.layers.3", x).relu()


def mobilenet_v2_openmmlab(s: State, x: Tensor) -> Tensor:
    """OpenMMLab's MobileNetV2, maps of the last convolution."""
    x = F.relu6(openmmlab(s, "backbone.conv1", x, 2))
    for layer, (blocks, first) in enumerate(
        ((1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1)), start=1
    ):
        for block in range(blocks):
            key, stride, y = f"backbone.layer{layer}.{block}.conv", first if block == 0 else 1, x
            last = 1 if layer == 1 else 2
            for part in range(last):
                y = F.relu6(openmmlab(s, f"{key}.{part}", y, stride if part == last - 1 else 1))
            y = openmmlab(s, f"{key}.{last}", y)
            x = x + y if stride == 1 and x.shape == y.shape else y
    return F.relu6(openmmlab(s, "backbone.conv2", x))


def pose_shufflenet_v2(s: State, x: Tensor) -> Tensor:
    """Estimator of mmpose with ShuffleNetV2."""
    return deconvolved(s, shufflenet_v2_openmmlab(s, x))


def pose_mobilenet_v2(s: State, x: Tensor) -> Tensor:
    """Estimator of mmpose with MobileNetV2."""
    return deconvolved(s, mobilenet_v2_openmmlab(s, x))


def pose_shufflenet_v1(s: State, x: Tensor) -> Tensor:
    """Estimator of mmpose with ShuffleNetV1."""
    return deconvolved(s, shufflenet_v1_mmcls(s, x))


def mmcls_shufflenet_v1(s: State, x: Tensor) -> Tensor:
    """OpenMMLab's classifier."""
    return linear(s, "head.fc", pooled(shufflenet_v1_mmcls(s, x)))


def deconvolved(s: State, x: Tensor) -> Tensor:
    """Head of mmpose."""
    for index in (0, 3, 6):
        x = F.conv_transpose2d(
            x, s[f"keypoint_head.deconv_layers.{index}.weight"], stride=2, padding=1
        )
        x = norm(s, f"keypoint_head.deconv_layers.{index + 1}", x).relu()
    return conv(s, "keypoint_head.final_layer", x)


NETWORKS: dict[str, Callable[[State, Tensor], Tensor]] = {
    "megvii/shufflenet_v1": shufflenet_v1_megvii,
    "mmcls/shufflenet_v1": mmcls_shufflenet_v1,
    "mmpose/shufflenet_v1": pose_shufflenet_v1,
    "torchvision/shufflenet_v2": shufflenet_v2_torchvision,
    "megvii/shufflenet_v2": shufflenet_v2_megvii,
    "megvii/shufflenet_v2_plus": shufflenet_v2_plus,
    "megvii/shufflenet_v2_large": shufflenet_v2_large,
    "megvii/shufflenet_v2_exlarge": shufflenet_v2_exlarge,
    "megvii/one_shot": one_shot,
    "megvii/detnas": detnas,
    "megvii/detnas_deep": detnas,
    "mmpose/shufflenet_v2": pose_shufflenet_v2,
    "torchvision/mobilenet_v2": mobilenet_v2_torchvision,
    "mmpose/mobilenet_v2": pose_mobilenet_v2,
}
