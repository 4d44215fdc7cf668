"""Checkpoints as training code saves them: the weights are found whatever is around them."""

import argparse
import enum
import functools
import typing

import keras
import numpy as np
import pytest
import torch

import keras_shufflenet as ks
from keras_shufflenet.weights import WeightsMismatchError, load, load_state_dict, read_checkpoint
from tests.weights.test_state_dict import state_of, values

LAYOUT = "torchvision/mobilenet_v2"
KEY = "classifier.1.bias"  # the first numbers of the states below differ


def network(**arguments) -> keras.Model:
    return ks.MobileNetV2(0.35, **{"input_shape": (32, 32, 3), "classes": 10, **arguments})


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return network()


@pytest.fixture(scope="module")
def plain(model) -> dict[str, np.ndarray]:
    return state_of(model, LAYOUT)


@pytest.fixture(scope="module")
def averaged(plain) -> dict[str, np.ndarray]:
    return {key: np.asarray(array + array.dtype.type(1)) for key, array in plain.items()}


def tensors(state, prefix="") -> dict[str, torch.Tensor]:
    return {f"{prefix}{key}": torch.from_numpy(array) for key, array in state.items()}


def holds(model, state) -> bool:
    """Return whether all numbers of a state are in a model."""
    written = ks.weights.state_dict(model, LAYOUT)
    return all(np.array_equal(array, state[key]) for key, array in written.items())


def numbers(*shape) -> torch.Tensor:
    return torch.full(shape, 7.0)


PREFIXES = [
    "module.",
    "_orig_mod.",
    "module._orig_mod.",
    "_orig_mod.module.",
    "model._orig_mod.",
    "model.",
    "model.module.",
    "module.model.net.",
    "net.",
    "_forward_module.model.",
    "_fsdp_wrapped_module.",
    "base_model.model.",
    "timm_model.",
    "0.",
    "encoder.backbone.0.",
    "student.ema_free_name.",
    "encoder/",
    "model/net/",
    "run-7:",
    "my_encoder_",
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_that_all_names_share_is_stripped(model, plain, prefix):
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    load_state_dict(model, {f"{prefix}{key}": array for key, array in plain.items()})
    assert holds(model, plain)


def wrapped_modules(state, wrapper, every):
    """Put a wrapper around every few modules, as FSDP or activation checkpointing does."""
    parts = {key: key.split(".") for key in state}
    return {
        ".".join([*part[:2], wrapper, *part[2:]] if int(part[1]) % every == 0 else part): state[key]
        for key, part in parts.items()
    }


OPTIMIZER = {
    "state": {
        index: {"step": numbers(), "exp_avg": numbers(3, 2), "exp_avg_sq": numbers(3, 2)}
        for index in range(40)
    },
    "param_groups": [{"lr": 0.1, "params": list(range(40))}],
}


class Stage(enum.Enum):
    """Stands for the states of a trainer."""

    FITTING = "fit"


class Options(dict):
    """Stands for the configuration of a training."""


CHECKPOINTS = {
    "torchvision": lambda s: {
        "model": tensors(s),
        "optimizer": OPTIMIZER,
        "lr_scheduler": {"last_epoch": 3, "_last_lr": [0.1]},
        "args": argparse.Namespace(lr=0.1),
        "scaler": {"scale": 65536.0, "_growth_tracker": 3},
    },
    "imagenet example": lambda s: {
        "epoch": 90,
        "arch": "mobilenet_v2",
        "state_dict": tensors(s, "module."),
        "best_acc1": numbers(),
        "optimizer": OPTIMIZER,
    },
    "Lightning": lambda s: {
        "epoch": 4,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": tensors(s, "model."),
        "loops": {"fit_loop": {"state_dict": {}, "progress": {"total": {"ready": 3}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": numbers()}},
        "optimizer_states": [OPTIMIZER],
        "lr_schedulers": [{"last_epoch": 3}],
        "hyper_parameters": {
            "optimizer": functools.partial(torch.optim.Adam, lr=0.1),
            "stage": Stage.FITTING,
            "any": typing.Any,
            "options": Options(lr=0.1),
            "activation": torch.nn.functional.relu6,
        },
    },
    "DeepSpeed": lambda s: {
        "module": tensors(s),
        "buffer_names": ["x"],
        "optimizer": None,
        "global_steps": 30,
        "param_shapes": [{"a": torch.Size([2, 3])}],
    },
    "DeepSpeed of Lightning": lambda s: {"module": tensors(s, "module.model.")},
    "ignite": lambda s: {"model": tensors(s), "trainer": {"epoch": 3}, "optimizer": OPTIMIZER},
    "mmengine": lambda s: {
        "meta": {"epoch": 3, "seed": np.int64(3), "history": np.arange(4.0)},
        "state_dict": tensors(s),
        "message_hub": {"log_scalars": {}},
        "optimizer": OPTIMIZER,
        "param_schedulers": [{"last_step": 3}],
    },
    "fastai": lambda s: {"model": tensors(s), "opt": OPTIMIZER},
    "names of one's own": lambda s: {
        "run 7": {"the best one": {"weights": tensors(s, "classifier_net.")}, "rng": numbers(500)}
    },
    "in a list": lambda s: [{"epoch": 3}, {"params": tensors(s)}],
    "counters": lambda s: {
        **tensors(s),
        "n_averaged": torch.tensor(3),
        "total_ops": torch.zeros(1, dtype=torch.float64),
        "features.0.0.total_params": torch.zeros(1, dtype=torch.float64),
        "steps": torch.tensor(3),
        "initted": torch.tensor(True),
    },
    "numbers among the tensors": lambda s: {**tensors(s), "epoch": 3, "name": "x", "best": None},
    "FSDP": lambda s: wrapped_modules(tensors(s), "_fsdp_wrapped_module", 2),
    "checkpointed modules": lambda s: wrapped_modules(tensors(s), "_checkpoint_wrapped_module", 3),
    "compiled modules": lambda s: {"state_dict": wrapped_modules(tensors(s), "_orig_mod", 4)},
    "the same network twice": lambda s: {"model": tensors(s), "best_model": tensors(s)},
    "parameters": lambda s: {
        key: torch.nn.Parameter(t, requires_grad=t.is_floating_point())
        for key, t in tensors(s).items()
    },
    "a whole network": lambda s: whole(s),
    "a whole network of DataParallel": lambda s: {"epoch": 3, "model": parallel(whole(s))},
    "tensor with attributes": lambda s: {key: tagged(tensor) for key, tensor in tensors(s).items()},
}


def whole(state) -> torch.nn.Module:
    """Return a network of torch's modules with the tensors of a state dict."""
    network = torch.nn.Module()
    for key, tensor in tensors(state).items():
        *path, name = key.split(".")
        module = network
        for part in path:
            if part not in module._modules:
                module.add_module(part, torch.nn.Module())
            module = module._modules[part]
        if name in ("weight", "bias"):
            module.register_parameter(name, torch.nn.Parameter(tensor))
        else:
            module.register_buffer(name, tensor)
    network.register_buffer("scratch", numbers(3), persistent=False)
    return network


def parallel(network) -> torch.nn.Module:
    outer = torch.nn.Module()
    outer.module = network
    return outer


def tagged(tensor):
    tensor.note = "of my own"
    return tensor


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_what_is_around_the_weights_does_no_harm(model, plain, tmp_path, name, container):
    path = tmp_path / "last.ckpt"
    torch.save(CHECKPOINTS[name](plain), path, _use_new_zipfile_serialization=container == "zip")
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    load(model, path)
    assert holds(model, plain)
    assert set(plain) <= set(read_checkpoint(path))


BESIDE = {
    "a loss": lambda s: {**tensors(s, "model."), "criterion.weight": numbers(10)},
    "a weight of a loss": lambda s: {**tensors(s), "criterion.pos_weight": torch.tensor(3.2)},
    "a loss at the top": lambda s: {**tensors(s), "loss_fn.weight": numbers(10)},
    "tensors without a module": lambda s: {
        **tensors(s),
        "queue": numbers(9, 9),
        "logit_scale": numbers(),
    },
    "normalization of images": lambda s: {**tensors(s), "normalize.mean": numbers(1, 3, 1, 1)},
    "metrics": lambda s: {**tensors(s, "net."), "val_acc.tp": numbers(10), "confmat": numbers(2)},
    "any other module": lambda s: {**tensors(s), "foo.bar": numbers(3)},
    "another module below the prefix": lambda s: tensors({**s, "foo.bar": np.ones(3)}, "net."),
    "another module beside the prefix": lambda s: {**tensors(s, "net."), "foo.bar": numbers(3)},
    "normalization": lambda s: {
        "0.mean": numbers(1, 3, 1, 1),
        "0.std": numbers(1, 3, 1, 1),
        **tensors(s, "1."),
    },
    "another network": lambda s: {
        **tensors(s, "student."),
        "teacher.conv1.weight": numbers(64, 3, 7, 7),
        "teacher.bn1.weight": numbers(64),
        "projector.weight": numbers(9, 9),
    },
    "a wider teacher": lambda s: {
        **tensors(s, "student."),
        **{f"teacher.{key}": torch.cat([t, t]) for key, t in tensors(s).items() if t.ndim},
    },
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_is_beside_the_network_is_named(model, plain, name):
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    with pytest.warns(UserWarning, match=r"beside the network .* were left out: \w"):
        load_state_dict(model, BESIDE[name](plain))
    assert holds(model, plain)


def test_a_backbone_in_a_detector(plain):
    detector = {
        **{f"backbone.{key}": array for key, array in plain.items() if "classifier" not in key},
        "neck.fpn.weight": np.ones((3, 3)),
        "head.cls.weight": np.ones((3, 3)),
    }
    headless = network(include_top=False)
    with pytest.warns(UserWarning, match=r"tensors .*'backbone\.'.*head.cls.weight, neck.fpn"):
        load_state_dict(headless, detector)
    kernel = headless.get_layer("stem_conv").kernel.numpy()
    np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), plain["features.0.0.weight"])


def test_a_head_of_ones_own_does_not_matter_to_a_backbone(plain, tmp_path):
    state = {key: t for key, t in tensors(plain).items() if not key.startswith("classifier")}
    state |= {"classifier.0.weight": numbers(4, 1280), "classifier.3.bias": numbers(4)}
    path = tmp_path / "mine.pth"
    torch.save(state, path)
    headless = network(weights=str(path), include_top=False)
    with pytest.warns(UserWarning, match="`predictions` is new"):
        other = network(weights=str(path), classes=4)
    for built in (headless, other):
        kernel = built.get_layer("stem_conv").kernel.numpy()
        np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), plain["features.0.0.weight"])


def test_the_student_of_a_distillation_by_mmrazor(model):
    student = state_of(model, "mmcls/mobilenet_v2")
    content = {
        **{f"architecture.{key}": array for key, array in student.items()},
        **{f"teacher.backbone.layer1.{i}.conv1.weight": np.ones((3, 3)) for i in range(900)},
    }
    with pytest.warns(UserWarning, match=r"\(below 'architecture\.'\).*\(900 in all\)"):
        load_state_dict(model, {"meta": {}, "state_dict": content}["state_dict"])
    bias = model.get_layer("predictions").bias.numpy()
    np.testing.assert_array_equal(bias, student["head.fc.bias"])


def test_two_networks_that_fit_have_to_be_told_apart(model, plain, averaged):
    both = {**tensors(plain, "encoder_q."), **tensors(averaged, "encoder_k.")}
    before = values(model)
    with pytest.raises(WeightsMismatchError) as caught:
        load_state_dict(model, {"state_dict": both})
    for part in ("'state_dict.encoder_q.'", "'state_dict.encoder_k.'", "prefix=", "Received: "):
        assert part in str(caught.value)
    assert all(np.array_equal(values(model)[path], array) for path, array in before.items())
    load_state_dict(model, {"state_dict": both}, prefix="state_dict.encoder_k")
    assert holds(model, averaged)
    load_state_dict(model, {"state_dict": both}, prefix="state_dict.encoder_q.")
    assert holds(model, plain)
    with pytest.raises(ValueError, match=r"`prefix` must be one of.*Received: prefix='teacher'"):
        load_state_dict(model, {"state_dict": both}, prefix="teacher")


def mmcv(plain, averaged):
    """OpenMMLab's hook before version 1: plain names have the averages, but for the statistics."""
    own = {key: t for key, t in tensors(plain).items() if "running" not in key and t.ndim}
    kept = {key: t for key, t in tensors(plain).items() if "running" in key}
    others = {"ema_" + key.replace(".", "_"): tensor for key, tensor in own.items()}
    return {"meta": {}, "state_dict": {**tensors(averaged), **others, **kept}}


# What is named as averages; whether the others are beside them.
AVERAGES = {
    "torchvision": lambda p, a: {
        "model": tensors(p),
        "model_ema": {"n_averaged": torch.tensor(7), **tensors(a, "module.")},
    },
    "timm": lambda p, a: {"state_dict": tensors(p), "state_dict_ema": tensors(a)},
    "YOLO": lambda p, a: {"ema": tensors(a), "model": tensors(p), "updates": 300},
    "BasicSR": lambda p, a: {"params": tensors(p), "params_ema": tensors(a)},
    "ema_pytorch": lambda p, a: {
        **tensors(p, "online_model."),
        **tensors(a, "ema_model."),
        "initted": torch.tensor(True),
        "step": torch.tensor(300),
    },
    "averages inside of the network": lambda p, a: {**tensors(p), **tensors(a, "ema.module.")},
    "Lightning's callback": lambda p, a: {
        "state_dict": tensors(a, "model."),
        "current_model_state": tensors(p, "model."),
        "averaging_state": {"n_averaged": torch.tensor(7)},
    },
    "mmengine": lambda p, a: {
        "meta": {"mmengine_version": "0.10.0"},
        "message_hub": {},
        "state_dict": tensors(a),
        "ema_state_dict": {"steps": torch.tensor(7), **tensors(p, "module.")},
    },
    "latent diffusion": lambda p, a: {
        "state_dict": {
            **tensors(p, "model."),
            **{f"model_ema.{key.replace('.', '')}": t for key, t in tensors(a).items() if t.ndim},
            "model_ema.decay": torch.tensor(0.999),
            "model_ema.num_updates": torch.tensor(300),
        }
    },
    "swa_utils": lambda p, a: {"net": tensors(p), "swa_model": tensors(a, "module.")},
}


@pytest.mark.parametrize("name", AVERAGES)
def test_averaged_weights_are_taken_and_the_others_on_request(
    model, plain, averaged, tmp_path, name
):
    path = tmp_path / "checkpoint.pth"
    torch.save(AVERAGES[name](plain, averaged), path)
    with pytest.warns(UserWarning, match=r"averaged \(EMA\).*`ema=False` takes the others"):
        load(model, path)
    assert holds(model, averaged)
    load(model, path, ema=False)
    assert holds(model, plain)
    load(model, path, ema=True)
    assert holds(model, averaged)


def test_mmcv_swaps_the_averages_before_it_saves(model, plain, averaged):
    content = mmcv(plain, averaged)
    with pytest.warns(UserWarning, match=r"averaged \(EMA\) weights"):
        load_state_dict(model, content)
    bias = model.get_layer("predictions").bias
    np.testing.assert_array_equal(bias.numpy(), averaged[KEY])
    load_state_dict(model, content, ema=False)
    assert holds(model, plain)


@pytest.mark.parametrize("key", ["ema", "model_ema", "state_dict_ema", "model"])
def test_only_one_kind_of_weights(model, plain, tmp_path, key):
    path = tmp_path / "checkpoint.pth"
    torch.save({key: tensors(plain)}, path)
    load(model, path)
    assert holds(model, plain)
    wrong = key == "model"
    for read in (lambda ema: load(model, path, ema=ema), lambda e: read_checkpoint(path, ema=e)):
        with pytest.raises(ValueError, match=rf"`ema` must not be .*Received: ema={wrong}"):
            read(wrong)
    with pytest.raises(ValueError, match=r"`ema` must be True or False. Received: ema='yes'"):
        load(model, path, ema="yes")


def test_a_checkpoint_is_read_with_or_without_averages(plain, averaged, tmp_path):
    path = tmp_path / "checkpoint.pth"
    torch.save(AVERAGES["timm"](plain, averaged), path)
    for ema, state in ((None, averaged), (True, averaged), (False, plain)):
        np.testing.assert_array_equal(read_checkpoint(path, ema=ema)[KEY], state[KEY])


@pytest.mark.parametrize("prefix", ["", "module.", "model.net."])
def test_errors_show_the_closest_layout_without_the_prefix(model, plain, tmp_path, prefix):
    state = tensors(plain, prefix)
    state[f"{prefix}features.9.se.weight"] = state.pop(f"{prefix}features.0.1.running_var")
    path = tmp_path / "checkpoint.pth"
    torch.save({"state_dict": state}, path)
    with pytest.raises(WeightsMismatchError) as caught:
        load(model, path)
    message = str(caught.value)
    assert LAYOUT in message
    assert "missing keys (1):\n    features.0.1.running_var for layer" in message
    assert "unexpected keys (1):\n    features.9.se.weight\n" in message
    assert f"Received: {str(path)!r} with " in message


def test_errors_name_the_network_that_is_closer_than_its_teacher(model, plain):
    student = tensors(plain, "student.")
    student.pop(f"student.{KEY}")
    teacher = {f"teacher.conv1.{index}.weight": numbers(3, 3) for index in range(600)}
    with pytest.raises(WeightsMismatchError, match=rf"(?s)'student\.'.*missing.*\n *{KEY}"):
        load_state_dict(model, {**teacher, **student})


def test_errors_compare_a_backbone_with_the_layout_that_has_the_models_head():
    pose = ks.PoseEstimator("shufflenet_v2_x0_25", input_size=(64, 64))
    state = state_of(pose, "mmpose/shufflenet_v2")
    backbone = {key: array for key, array in state.items() if key.startswith("backbone.")}
    missing = r"mmpose/shufflenet_v2.*missing keys.*\n *keypoint_head.deconv_layers.0.weight"
    with pytest.raises(WeightsMismatchError, match=rf"(?s){missing}"):
        load_state_dict(pose, backbone)


def test_a_path_in_place_of_a_state_dict(model, tmp_path):
    for path in ("weights.pth", tmp_path / "weights.pth"):
        with pytest.raises(ValueError, match=r"`state` must be.*weights.load.*weights\.pth"):
            load_state_dict(model, path)
    with pytest.raises(ValueError, match=r"`state` must be.*Received: .*list"):
        load_state_dict(model, [1])
