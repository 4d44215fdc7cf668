import contextlib

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.keypoints import Skeleton, save_skeleton
from keras_shufflenet.models import model_encoding, model_skeleton

NAME = "pose_shufflenet_v2_x0_25_coco_64x64_light"


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5", ".safetensors"])
def test_a_file_goes_into_another_format_and_back(command, pose_file, shallow, tmp_path, suffix):
    if suffix == ".safetensors":  # no publisher has the light head
        deconv = ks.PoseEstimator("shufflenet_v2_x0_25", input_size=(64, 64))
        source, name = tmp_path / "deconv.keras", deconv.name
        deconv.save(source)
    else:
        source, name = pose_file, NAME
    made, back = tmp_path / "sub" / f"made{suffix}", tmp_path / "back.keras"
    with contextlib.nullcontext() if suffix == ".safetensors" else shallow():
        assert command("convert", source, made, "--model", name)[0] == 0
        code, output, _ = command("convert", made, back, "--model", name)
    assert code == 0
    assert "back.keras" in output
    first, last = (keras.saving.load_model(file) for file in (source, back))
    for ours, theirs in zip(first.weights, last.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_encoding_of_heatmaps_is_kept(command, shallow, tmp_path):
    source, made = tmp_path / "udp.keras", tmp_path / "made.keras"
    with shallow():
        model = ks.PoseEstimator(
            "shufflenet_v2_x0_25", head="light", input_size=(64, 64), encoding="udp"
        )
        model.save(source)
        assert command("convert", source, made, "--model", NAME)[0] == 0
    assert model_encoding(keras.saving.load_model(made)) == "udp"


def test_mistakes(command, pose_file, shallow, tmp_path):
    with shallow():
        code, _, errors = command("convert", pose_file, tmp_path / "a.onnx", "--model", NAME)
    assert code == 1
    assert ".keras, .weights.h5, .safetensors. Received:" in errors
    code, _, errors = command("convert", pose_file, tmp_path / "a.keras", "--model", pose_file)
    assert code == 1
    assert "--model must be the name of a network" in errors
    code, _, errors = command("convert", pose_file, tmp_path / "a.keras")
    assert code == 1
    assert "--model is required for a file" in errors
    with shallow():
        code, _, errors = command("convert", pose_file, tmp_path / "a.safetensors", "--model", NAME)
    assert code == 1
    assert "Received: --layout=None" in errors
    assert list(tmp_path.iterdir()) == []


def test_averages_and_prefix_of_a_checkpoint(command, shallow, tmp_path):
    with shallow():
        network = ks.create_model("shufflenet_v2_x0_25", weights=None)
        plain = ks.weights.state_dict(network)
        averaged = {key: array + 1 for key, array in plain.items()}
        path, made = tmp_path / "last.npz", tmp_path / "made.safetensors"
        np.savez(
            path,
            **{f"net.{key}": array for key, array in plain.items()},
            **{f"net_ema.{key}": array for key, array in averaged.items()},
        )
        for options, state in {
            ("--ema",): averaged,
            ("--no-ema",): plain,
            ("--prefix", "net"): plain,
        }.items():
            words = ("convert", path, made, "--model", "shufflenet_v2_x0_25", *options)
            assert command(*words)[0] == 0
            written = ks.weights.read_checkpoint(made)
            assert all(np.array_equal(written[key], state[key]) for key in plain)
        words = ("convert", path, made, "--model", "shufflenet_v2_x0_25", "--prefix", "n")
        code, _, errors = command(*words)
    assert code == 1
    assert "--prefix must be one of" in errors
    assert "Received: --prefix='n'" in errors


def test_a_checkpoint_of_other_keypoints(command, shallow, tmp_path):
    name, skeleton = "pose_shufflenet_v2_x0_25_hand_64x64_light", tmp_path / "hand.json"
    save_skeleton(Skeleton("hand", ["wrist", "thumb"]), skeleton)
    with shallow():
        hand = ks.create_model(name, keypoints=skeleton)
        assert hand.name == name
        hand.save_weights(tmp_path / "hand.weights.h5")
        arguments = ("convert", tmp_path / "hand.weights.h5", tmp_path / "hand.keras")
        code, _, err = command(*arguments, "--model", name, "--keypoints", skeleton)
        assert code == 0, err
        code, _, err = command(*arguments, "--model", name)
        assert code == 1
        assert "--keypoints must be one of 'coco', 'mpii', a list" in err
    loaded = keras.saving.load_model(tmp_path / "hand.keras")
    assert model_skeleton(loaded).keypoint_names == ("wrist", "thumb")
