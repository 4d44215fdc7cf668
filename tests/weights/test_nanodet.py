"""Checkpoints of NanoDet's publisher."""

import numpy as np
import pytest

import keras_shufflenet as ks

SIZE = {"input_shape": (64, 64, 3)}
FILES = {
    "nanodet_m_320_coco.ckpt": "nanodet_m",
    "nanodet_m_416_coco.pth": "nanodet_m_416",
    "nanodet_plus_m_416_coco.pth": "nanodet_plus_m_416",
}


@pytest.fixture(scope="module")
def plus():
    return ks.create_model("nanodet_plus_m", **SIZE)


@pytest.mark.parametrize("file", FILES)
def test_published_weights_are_read_completely(shared, file):
    path = shared / "weights" / file
    model = ks.create_model(FILES[file], weights=str(path), **SIZE)
    written = ks.weights.state_dict(model)
    stored = {key.removeprefix("model."): x for key, x in ks.weights.read_checkpoint(path).items()}
    assert {key for key in stored if "gfl_reg" not in key and "num_batches" not in key} - {
        "head.distribution_project.project"
    } == set(written)
    for key, array in written.items():
        np.testing.assert_array_equal(array, stored[key].astype(np.float32))


def test_averaged_weights_of_a_training_are_preferred_and_its_auxiliary_branch_is_not_read(plus):
    state = ks.weights.state_dict(plus)
    auxiliary = {
        "aux_fpn.reduce_layers.0.conv.weight": np.zeros((96, 116, 1, 1), np.float32),
        "aux_head.cls_convs.0.conv.weight": np.zeros((192, 192, 3, 3), np.float32),
        "aux_head.scales.0.scale": np.float32(1),
        "head.distribution_project.project": np.arange(8, dtype=np.float32),
    }
    content = {
        **{f"model.{key}": 2 * np.abs(array) for key, array in (state | auxiliary).items()},
        **{f"avg_model.{key}": array for key, array in (state | auxiliary).items()},
    }
    model = ks.create_model("nanodet_plus_m", **SIZE)
    with pytest.warns(UserWarning, match=r"averaged \(EMA\) weights \(below .*avg_model"):
        ks.weights.load_state_dict(model, {"state_dict": content, "epoch": 3})
    for key, array in ks.weights.state_dict(model).items():
        np.testing.assert_array_equal(array, state[key])


def test_a_missing_and_an_unknown_tensor_are_named(plus):
    state = ks.weights.state_dict(plus)
    kernel = state.pop("head.gfl_cls.3.weight")
    state["head.gfl_cls.4.weight"] = kernel
    with pytest.raises(
        ks.weights.WeightsMismatchError, match=r"gfl_cls\.3\.weight(?s:.*)gfl_cls\.4"
    ):
        ks.weights.load_state_dict(plus, state)


def test_weights_for_relu_networks_are_refused(plus):
    network = ks.ShuffleNetV2(input_shape=(64, 64, 3))
    with pytest.raises(ks.weights.WeightsMismatchError, match="of the network 'rangilyu/nanodet'"):
        ks.weights.load_state_dict(network, ks.weights.state_dict(plus))
