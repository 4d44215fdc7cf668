"""Pose estimators of other keypoints than COCO's and MPII's keep them, wherever they go."""

import json
import zipfile
from dataclasses import replace
from hashlib import sha256

import keras
import numpy as np
import pytest
import torch

import keras_shufflenet as ks
from keras_shufflenet.inference import draw_skeletons
from keras_shufflenet.keypoints import COCO, Skeleton, save_skeleton
from keras_shufflenet.models import model_skeleton

HAND = Skeleton(
    "Left hand", ("wrist", "thumb", "Zeige finger", "小指"), limbs=[(0, 1), (0, 2), (0, 3)]
)
NETWORK = {"backbone": "shufflenet_v2_x0_25", "head": "light", "input_size": (32, 32)}


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow):
    with shallow():
        yield


@pytest.fixture(scope="module")
def hand(_shallow):
    return ks.PoseEstimator(**NETWORK, keypoints=HAND)


def test_a_heatmap_for_each_keypoint(hand):
    assert hand.output.shape == (None, 8, 8, 4)
    assert hand.name == "pose_shufflenet_v2_x0_25_lefthand_32x32_light"
    assert model_skeleton(hand) == HAND


def test_files_and_copies_keep_them(hand, tmp_path):
    path = tmp_path / "hand.keras"
    hand.save(path)
    loaded = keras.saving.load_model(path)
    nested = keras.Sequential([keras.Input((32, 32, 3)), loaded])
    for model in (loaded, nested, keras.models.clone_model(hand)):
        assert model_skeleton(model) == HAND
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    np.testing.assert_array_equal(*(m.predict_on_batch(images) for m in (hand, loaded)))
    loaded.save(tmp_path / "again.keras")
    assert ks.inference.PosePredictor.load(tmp_path / "again.keras").skeleton == HAND


def test_files_consist_of_layers_of_keras(hand, tmp_path):
    hand.save(tmp_path / "hand.keras")
    with zipfile.ZipFile(tmp_path / "hand.keras") as archive:
        config = json.loads(archive.read("config.json"))
    modules = {layer["module"] for layer in config["config"]["layers"]}
    assert modules <= {"keras.layers"}


@pytest.mark.parametrize("count", [1, 2, 17, 133])
def test_any_number(count):
    names = [f"{side}_{index}" for index in range(count) for side in ("left", "right")][:count]
    model = ks.PoseEstimator(**NETWORK, keypoints=names)
    assert model.output.shape[-1] == count
    assert model_skeleton(model) == Skeleton("keypoints", names)
    assert len(model_skeleton(model).flip_pairs) == count // 2


@pytest.mark.parametrize("count", [1, 133])
def test_exported_files_have_them(tmp_path, count):
    names = [f"point {index}" for index in range(count)]
    ks.export.litert(ks.PoseEstimator(**NETWORK, keypoints=names), tmp_path / "own.tflite")
    estimator = ks.inference.PosePredictor.load(tmp_path / "own.tflite")
    assert estimator.skeleton == Skeleton("keypoints", names)
    poses = ks.inference.predict_pose(estimator, np.zeros((40, 30, 3), np.uint8))
    assert poses.shape == (1, count, 3)
    inside = np.full((1, count, 3), 10.0)  # an untrained network points anywhere
    assert draw_skeletons(np.zeros((40, 30, 3)), inside, names).any()


def test_jsons_are_read(tmp_path):
    save_skeleton(HAND, tmp_path / "hand.json")
    content = json.loads((tmp_path / "hand.json").read_text(encoding="utf-8"))
    for source in (tmp_path / "hand.json", str(tmp_path / "hand.json"), content):
        assert model_skeleton(ks.PoseEstimator(**NETWORK, keypoints=source)) == HAND
    with pytest.raises(FileNotFoundError, match=r"`keypoints` must be an existing JSON file"):
        ks.PoseEstimator(**NETWORK, keypoints="none.json")


def test_published_keypoints_change_nothing():
    plain = ks.PoseEstimator(**NETWORK)
    same = ks.PoseEstimator(**NETWORK, keypoints=COCO)
    assert [layer.name for layer in plain.layers] == [layer.name for layer in same.layers]
    assert plain.name == same.name
    assert plain.layers[-1].name == "head_final"
    assert model_skeleton(plain) is COCO
    assert model_skeleton(ks.ShuffleNetV2(0.25, classes=17, input_shape=(32, 32, 3))) is None


def test_a_layer_of_the_same_name_is_no_skeleton():
    x = image = keras.Input((8, 8, 3))
    x = keras.layers.Dropout(0.0, seed=7, name="keypoints")(x)
    assert model_skeleton(keras.Model(image, keras.layers.Conv2D(5, 1)(x))) is None


def test_weights_of_other_keypoints_are_loaded_without_the_last_layer(hand, tmp_path):
    published = ks.PoseEstimator(**NETWORK)
    published.save(tmp_path / "coco.keras")
    with pytest.warns(UserWarning, match=r"last layer is new .*coco.keras.*the 4 of 'Left hand'"):
        tuned = ks.PoseEstimator(**NETWORK, keypoints=HAND, weights=str(tmp_path / "coco.keras"))
    for layer in tuned.layers:
        if layer.weights and layer.name != "head_final":
            theirs = published.get_layer(layer.name).get_weights()
            assert all(map(np.array_equal, layer.get_weights(), theirs)), layer.name


def test_weights_of_the_same_keypoints_are_loaded(hand, tmp_path):
    hand.save(tmp_path / "hand.keras")
    again = ks.PoseEstimator(**NETWORK, keypoints=HAND, weights=str(tmp_path / "hand.keras"))
    assert all(map(np.array_equal, hand.get_weights(), again.get_weights()))


def test_weights_of_another_network_are_refused(tmp_path):
    ks.PoseEstimator(**NETWORK | {"head": "fpn"}).save(tmp_path / "fpn.keras")
    with pytest.raises(ks.weights.WeightsMismatchError, match="head_"):
        ks.PoseEstimator(**NETWORK, keypoints=HAND, weights=str(tmp_path / "fpn.keras"))


def test_published_weights(monkeypatch, tmp_path):
    entry = ks.weights.default_entry("pose_shufflenet_v2_x1_0_coco_256x192", "coco")
    published = ks.PoseEstimator("shufflenet_v2_x1_0")
    state = ks.weights.state_dict(published, entry.layout)
    torch.save(
        {key: torch.from_numpy(array) for key, array in state.items()}, tmp_path / entry.file
    )
    digest = sha256((tmp_path / entry.file).read_bytes()).hexdigest()
    monkeypatch.setitem(
        ks.weights.catalog.CATALOG, entry.name, replace(entry, sha256=digest, size=None)
    )
    monkeypatch.setenv("KERAS_SHUFFLENET_MIRROR", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    animal = Skeleton("animal", [f"point{index}" for index in range(17)])  # as many as COCO's
    for weights in ("coco", entry.name):
        with pytest.warns(UserWarning, match="last layer is new"):
            tuned = ks.PoseEstimator("shufflenet_v2_x1_0", animal, weights=weights)
        kernels = [m.get_layer("head_deconv3").kernel for m in (published, tuned)]
        np.testing.assert_array_equal(*kernels)
        kernels = [m.get_layer("head_final").kernel for m in (published, tuned)]
        assert not np.array_equal(*kernels)
