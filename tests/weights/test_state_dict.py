"""Assignment: every number in its place, or a complaint and nothing assigned."""

import functools
import re

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.models import shufflenet_v2_large
from keras_shufflenet.weights import (
    WeightsMismatchError,
    layouts,
    load_state_dict,
    state_dict,
)
from keras_shufflenet.weights._nesting import Contents
from keras_shufflenet.weights._subsets import Subsets
from tests import shortcuts
from tests.weights import publishers

SHAPE = {"input_shape": (64, 64, 3)}


def shufflenet(width=0.5, **arguments) -> keras.Model:
    with shortcuts.shallow():
        return ks.ShuffleNetV2(width, **{**SHAPE, **arguments})


def state_of(model, layout="torchvision/shufflenet_v2") -> dict[str, np.ndarray]:
    """Random numbers under a publisher's keys, in the shapes that a model needs."""
    modules, draw, state = layouts.get(layout).modules, np.random.default_rng(0), {}
    parameters = {"gamma": "weight", "kernel": "weight", "beta": "bias", "bias": "bias"}
    back = {"Conv2D": (3, 2, 0, 1), "DepthwiseConv2D": (2, 3, 0, 1), "Dense": (1, 0)}
    back["Conv2DTranspose"] = back["Conv2D"]
    for layer in model.layers:
        for variable in layer.weights:
            parameter = parameters.get(
                variable.name, variable.name.replace("moving", "running").replace("iance", "")
            )
            array = draw.random(variable.shape, np.float32)
            if variable.name == "kernel":
                array = array.transpose(back[type(layer).__name__])
            state[f"{modules[layer.name]}.{parameter}"] = array
            if parameter == "running_var":
                state[f"{modules[layer.name]}.num_batches_tracked"] = np.zeros((), np.int64)
    return state


@functools.cache
def published(variant="torchvision", include_top=True) -> dict[str, np.ndarray]:
    """A checkpoint of ShuffleNetV2 0.5x, made once."""
    model = shufflenet(variant=variant, include_top=include_top)
    return state_of(model, f"{variant}/shufflenet_v2")


def values(model) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy() for weight in model.weights}


def unchanged(model, before) -> bool:
    after = values(model)
    return all(np.array_equal(after[path], array) for path, array in before.items())


def test_every_number_lands_in_its_place():
    model, state = shufflenet(), published()
    load_state_dict(model, state)
    conv = model.get_layer("stage2_unit0_main_pw1").kernel.numpy()
    np.testing.assert_array_equal(conv[0, 0, 5, 7], state["stage2.0.branch2.0.weight"][7, 5, 0, 0])
    depthwise = model.get_layer("stage3_unit1_main_dw").kernel.numpy()
    expected = state["stage3.1.branch2.3.weight"]
    np.testing.assert_array_equal(depthwise[1, 2, 5, 0], expected[5, 0, 1, 2])
    dense = model.get_layer("predictions")
    np.testing.assert_array_equal(dense.kernel.numpy(), state["fc.weight"].T)
    np.testing.assert_array_equal(dense.bias.numpy(), state["fc.bias"])
    norm = model.get_layer("conv_last_bn")
    for ours, theirs in {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }.items():
        np.testing.assert_array_equal(getattr(norm, ours).numpy(), state[f"conv5.1.{theirs}"])


def test_transposed_convolution():
    model = ks.PoseEstimator("shufflenet_v2_x0_5", input_size=(64, 64))
    state = state_of(model, "mmpose/shufflenet_v2")
    load_state_dict(model, state)
    kernel = model.get_layer("head_deconv2").kernel.numpy()
    expected = state["keypoint_head.deconv_layers.3.weight"]
    np.testing.assert_array_equal(kernel[1, 3, 5, 7], expected[7, 5, 1, 3])


@pytest.mark.parametrize(("preprocessing", "step"), [(True, -1), (False, 1)])
def test_bgr_is_absorbed_by_the_stem_where_images_are_rgb(preprocessing, step):
    model = shufflenet(variant="megvii", include_preprocessing=preprocessing)
    state = published("megvii")
    load_state_dict(model, state)
    kernel = model.get_layer("stem_conv").kernel.numpy()
    expected = state["first_conv.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, expected[:, :, ::step])


@pytest.mark.parametrize("kind", [np.float64, np.float16])
def test_other_precisions_are_converted(kind):
    model = shufflenet()
    state = {key: array.astype(kind) for key, array in published().items()}
    for key in state:
        if key.endswith("tracked"):
            state[key] = np.zeros((), np.int64)
    load_state_dict(model, state)
    bias = model.get_layer("predictions").bias.numpy()
    np.testing.assert_array_equal(bias, state["fc.bias"].astype(np.float32))


def test_prefix_of_data_parallel_is_stripped():
    model, state = shufflenet(), published()
    load_state_dict(model, {f"module.{key}": array for key, array in state.items()})
    np.testing.assert_array_equal(model.get_layer("predictions").bias.numpy(), state["fc.bias"])


def test_without_its_head_a_checkpoint_keeps_the_classifier():
    model = shufflenet(classes=7)
    state = published()
    before = model.get_layer("predictions").kernel.numpy()
    load_state_dict(model, state, include_head=False)
    np.testing.assert_array_equal(model.get_layer("predictions").kernel.numpy(), before)
    stem = model.get_layer("stem_conv").kernel.numpy()
    np.testing.assert_array_equal(stem, state["conv1.0.weight"].transpose(2, 3, 1, 0))


def test_pose_checkpoint_may_fill_a_classifiers_backbone():
    with shortcuts.shallow():
        pose = ks.PoseEstimator("shufflenet_v2_x0_5", input_size=(64, 64))
    state = state_of(pose, "mmpose/shufflenet_v2")
    model = shufflenet()
    load_state_dict(model, state, include_head=False)
    stem = model.get_layer("stem_conv").kernel.numpy()
    np.testing.assert_array_equal(stem, state["backbone.conv1.conv.weight"].transpose(2, 3, 1, 0))


def test_headless_model_ignores_the_checkpoints_head():
    model = shufflenet(include_top=False)
    load_state_dict(model, published())


def broken(state, change) -> dict[str, np.ndarray]:
    state = dict(state)
    change(state)
    return state


def test_odd_keys_are_named_and_nothing_is_assigned():
    model, state = shufflenet(), published()
    before = values(model)
    changes = {
        r"missing keys.*\n.*conv5.0.weight for layer 'conv_last' \(kernel\)": lambda s: s.pop(
            "conv5.0.weight"
        ),
        r"unexpected.*\n.*stage9.weight": lambda s: s.update({"stage9.weight": np.ones(2)}),
        r"unexpected.*\n.*stage2.1.branch1.0.weight": lambda s: s.update(
            {"stage2.1.branch1.0.weight": np.ones(2)}
        ),
        r"shape.*\n.*fc.bias is float32 \(3,\), layer 'predictions' \(bias\) needs .*\(1000,\)": (
            lambda s: s.update({"fc.bias": np.ones(3, np.float32)})
        ),
        r"shape.*\n.*fc.weight is float32 \(1024, 1000\), .* needs .*\(1000, 1024\)": (
            lambda s: s.update({"fc.weight": s["fc.weight"].T})
        ),
        r"type.*\n.*fc.bias is int8 \(1000,\)": lambda s: s.update(
            {"fc.bias": np.ones(1000, np.int8)}
        ),
    }
    for pattern, change in changes.items():
        with pytest.raises(WeightsMismatchError, match=rf"(?s){pattern}.*Received: "):
            load_state_dict(model, broken(state, change))
        assert unchanged(model, before)


def test_long_lists_are_cut():
    model = shufflenet(1.0)
    with pytest.raises(
        WeightsMismatchError, match=r"mismatched shapes, types or values \(\d{3}\)"
    ) as info:
        load_state_dict(model, published())
    assert "... and " in str(info.value)
    assert len(str(info.value)) < 3000


def test_checkpoint_of_another_network(shared):
    state = publishers.state_dict(shared, "torchvision_mobilenet_v2_1.0")
    with pytest.raises(
        WeightsMismatchError, match=r"torchvision/mobilenet_v2.*does not match.*Rec"
    ):
        load_state_dict(shufflenet(), state)


@pytest.mark.parametrize("ours", ["torchvision", "megvii"])
def test_structures_are_told_apart_even_where_all_shapes_fit(ours):
    """At 0.5x the backbones of Megvii and torchvision differ in nothing but the shuffle."""
    theirs = {"torchvision": "megvii", "megvii": "torchvision"}[ours]
    state = published(theirs, include_top=False)
    model = shufflenet(variant=ours, include_top=False)
    before = values(model)
    with pytest.raises(WeightsMismatchError, match="built differently"):
        load_state_dict(model, state)
    assert unchanged(model, before)


def test_structures_are_told_apart_where_sizes_are_open():
    state = published("megvii", include_top=False)
    model = shufflenet(include_top=False, input_shape=(None, None, 3))
    with pytest.raises(WeightsMismatchError, match="built differently"):
        load_state_dict(model, state)


@pytest.mark.parametrize("state", [{}, {"encoder.layer.0.weight": np.ones(2)}])
def test_unknown_keys_name_the_layouts_of_the_model(state):
    with pytest.raises(
        WeightsMismatchError, match=r"'conv1.0.weight' \(torchvision/shufflenet_v2\).*Received: "
    ):
        load_state_dict(shufflenet(), state)


def test_unknown_layout():
    with pytest.raises(ValueError, match=r"torchvision/shufflenet_v2.*Received: layout='caffe'"):
        load_state_dict(shufflenet(), {}, layout="caffe")


def test_layers_of_the_user_are_named():
    image = keras.Input((64, 64, 3))
    own = keras.layers.Conv2D(3, 1, name="own")(image)
    model = shufflenet(input_tensor=own, input_shape=None)
    with pytest.raises(WeightsMismatchError, match="anything for layer 'own'"):
        load_state_dict(model, published())


@pytest.mark.parametrize("layout", layouts.LAYOUTS.values(), ids=lambda layout: layout.name)
def test_every_layout_is_found_by_its_own_keys(layout):
    state = {f"{module}.weight": np.ones(1) for module in layout.modules.values()}
    assert Subsets(Contents({"": state}, {})).found[0] == (layout.name, "")


# As timm 1.0.31 and transformers 5.24 name them.
PACKAGES = {
    "timm/mobilenet_v2": (
        "torchvision",
        {
            "stem_conv": "conv_stem",
            "stem_conv_bn": "bn1",
            "block0_dw": "blocks.0.0.conv_dw",
            "block0_dw_bn": "blocks.0.0.bn1",
            "block0_project": "blocks.0.0.conv_pw",
            "block0_project_bn": "blocks.0.0.bn2",
            "block4_expand": "blocks.2.1.conv_pw",
            "block4_expand_bn": "blocks.2.1.bn1",
            "block4_dw": "blocks.2.1.conv_dw",
            "block4_dw_bn": "blocks.2.1.bn2",
            "block4_project": "blocks.2.1.conv_pwl",
            "block4_project_bn": "blocks.2.1.bn3",
            "block16_project_bn": "blocks.6.0.bn3",
            "conv_last": "conv_head",
            "conv_last_bn": "bn2",
            "predictions": "classifier",
        },
    ),
    "huggingface/mobilenet_v2": (
        "keras",
        {
            "stem_conv": "mobilenet_v2.conv_stem.first_conv.convolution",
            "block0_dw_bn": "mobilenet_v2.conv_stem.conv_3x3.normalization",
            "block0_project": "mobilenet_v2.conv_stem.reduce_1x1.convolution",
            "block1_expand": "mobilenet_v2.layer.0.expand_1x1.convolution",
            "block16_dw_bn": "mobilenet_v2.layer.15.conv_3x3.normalization",
            "conv_last_bn": "mobilenet_v2.conv_1x1.normalization",
            "predictions": "classifier",
        },
    ),
}


@pytest.mark.parametrize("layout", PACKAGES)
def test_names_of_timm_and_hugging_face(layout):
    variant, modules = PACKAGES[layout]
    table = layouts.get(layout)
    assert modules.items() <= table.modules.items()
    model = ks.MobileNetV2(0.35, variant, input_shape=(32, 32, 3), classes=10)
    state = state_of(model, layout)
    load_state_dict(model, state)
    written = state_dict(model, layout)
    assert len(written) == 262
    assert all(np.array_equal(array, state[key]) for key, array in written.items())
    other = ks.MobileNetV2(
        0.35, "keras" if variant == "torchvision" else "torchvision", input_shape=(32, 32, 3)
    )
    with pytest.raises(WeightsMismatchError, match=rf"{layout}.*is the network of TensorFlow"):
        load_state_dict(other, state, include_head=False)


@pytest.mark.parametrize(
    ("layout", "prefix", "build"),
    [
        ("mmcls/shufflenet_v2", "backbone.", lambda: shufflenet(include_top=False)),
        (
            "huggingface/mobilenet_v2",
            "mobilenet_v2.",
            lambda: ks.MobileNetV2(0.35, "keras", include_top=False, input_shape=(32, 32, 3)),
        ),
    ],
)
def test_a_backbone_that_was_saved_alone(layout, prefix, build):
    model = build()
    state = state_of(model, layout)
    load_state_dict(model, {key.removeprefix(prefix): array for key, array in state.items()})
    key = f"{layouts.get(layout).modules['conv_last']}.weight"
    kernel = model.get_layer("conv_last").kernel.numpy()
    np.testing.assert_array_equal(kernel, state[key].transpose(2, 3, 1, 0))


def test_modules_of_tonylins():
    modules = layouts.get("tonylins/mobilenet_v2").modules
    assert modules["block0_project_bn"] == "features.1.conv.4"
    assert modules["block16_dw"] == "features.17.conv.3"
    assert modules["block16_project_bn"] == "features.17.conv.7"


@pytest.mark.parametrize("kind", [r"_main_separable", r"_main_(pw\d|dw)"])
@pytest.mark.parametrize("layout", layouts.LAYOUTS.values(), ids=lambda layout: layout.name)
def test_no_two_layers_of_a_network_share_a_module(layout, kind):
    """Units of searched networks are of one kind or the other, and their table has both."""
    modules = [module for name, module in layout.modules.items() if not re.search(kind, name)]
    assert len(set(modules)) == len(modules)


@pytest.mark.parametrize(
    "build",
    [
        lambda: ks.ShuffleNetV1(0.5, input_shape=(32, 32, 3)),
        lambda: shufflenet(variant="megvii", input_shape=(32, 32, 3)),
        lambda: ks.ShuffleNetV2Plus(input_shape=(32, 32, 3)),
        lambda: ks.DetNAS(input_shape=(32, 32, 3)),
        lambda: ks.PoseEstimator("mobilenet_v2_x0_35", input_size=(32, 32)),
    ],
)
def test_what_is_written_for_torch_is_read_again(build, shallow):
    with shallow():
        model, again = build(), build()
    state = state_dict(model)
    assert state_dict(again).keys() == state.keys()
    load_state_dict(again, state)
    for ours, theirs in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_state_dict_has_torchs_axes_and_colors():
    model = ks.ShuffleNetV1(0.5, input_shape=(32, 32, 3))
    state = state_dict(model)
    kernel = model.get_layer("stem_conv").kernel.numpy()
    np.testing.assert_array_equal(
        state["first_conv.0.weight"], kernel.transpose(3, 2, 0, 1)[:, ::-1]
    )
    assert state["features.0.branch_main_1.3.weight"].shape == (30, 1, 3, 3)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (
            lambda: ks.DetNAS(input_shape=(32, 32, 3)),
            "features.0.conv.0.interstellar1a_branch2a.weight",
        ),
        (lambda: ks.OneShotNet(input_shape=(32, 32, 3)), "features.0.branch_main.0.weight"),
        (
            lambda: ks.MobileNetV2(0.35, "tonylins", input_shape=(32, 32, 3)),
            "features.1.conv.0.weight",
        ),
        (
            lambda: ks.create_model("mobilenet_v2_x1_0_mmcls", input_shape=(32, 32, 3)),
            "backbone.layer1.0.conv.0.conv.weight",
        ),
        (lambda: ks.PoseEstimator("shufflenet_v2_x1_0"), "head.deconv_layers.0.weight"),
    ],
)
def test_a_state_dict_is_named_as_the_networks_publisher_does(build, key, shallow):
    with shallow():
        assert key in state_dict(build())


def test_tensors_with_two_names_have_to_be_the_same(monkeypatch):
    monkeypatch.setattr(shufflenet_v2_large, "LARGE_UNITS", (1, 1, 1, 1))
    model = ks.ShuffleNetV2Large(input_shape=(32, 32, 3))
    state = state_dict(model)
    twins = {key.replace(".se_fc1", ".se_block.0"): state[key] for key in state if ".se_fc1" in key}
    load_state_dict(model, state | twins)
    name = next(iter(twins))
    for odd, text in (
        ({name: twins[name] + 1}, rf"{name} differs from .*se_fc1"),
        ({"features.99.zz.se_block.0.weight": np.ones(2)}, "features.99.zz.se_block.0.weight"),
    ):
        with pytest.raises(WeightsMismatchError, match=rf"(?s){text}.*Received: "):
            load_state_dict(model, state | odd)


def test_a_state_dict_in_a_layout_of_choice():
    model = shufflenet()
    assert "conv1.0.weight" in state_dict(model)
    assert "backbone.conv1.conv.weight" in state_dict(model, "mmcls/shufflenet_v2")
    with pytest.raises(ValueError, match=r"torchvision/shufflenet_v2.*Received: layout='megvii/sh"):
        state_dict(model, "megvii/shufflenet_v2")


@pytest.mark.parametrize(
    ("key", "value"),
    [("fc.weight", np.nan), ("conv1.0.weight", 1e30), ("conv5.1.running_var", -1.0)],
)
def test_damaged_numbers_are_refused(key, value):
    state = published()
    state[key] = np.full_like(state[key], value)
    model = shufflenet()
    before = values(model)
    with pytest.raises(WeightsMismatchError, match=rf"{key} has values that no .* is damaged"):
        load_state_dict(model, state)
    assert unchanged(model, before)
