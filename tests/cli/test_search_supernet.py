"""From a supernet of poses on the command line to a network of the registry."""

import json

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.search import Architecture, Supernet
from tests.shortcuts import eager_training, four_units

ARCHITECTURE = "3120"


@pytest.fixture(scope="module", autouse=True)
def _small():
    with four_units(), eager_training():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def test_train_extract_and_start_from_the_winner(command, people, runs):
    annotations, image_dir = people
    data = ("--annotations", annotations, "--image-dir", image_dir)
    options = ("--epochs", 1, "--batch-size", 3, "--input-size", "64x64", "--output-dir")
    code, out, err = command("search", "supernet", *data, *options, runs / "supernet")
    assert code == 0, err
    assert "trained: " in out
    winner = runs / "winner.keras"
    code, out, err = command("search", "extract", runs / "supernet", ARCHITECTURE, winner)
    assert code == 0, err
    assert f"one_shot:{ARCHITECTURE}" in out
    network = ks.PoseEstimator(
        f"one_shot:{ARCHITECTURE}", head="fpn", input_size=(64, 64), weights=str(winner)
    )
    named = ks.create_model(f"pose_one_shot:{ARCHITECTURE}_coco_64x64_fpn")
    assert [x.name for x in named.layers] == [x.name for x in network.layers]
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    plain = keras.saving.load_model(winner)
    np.testing.assert_array_equal(network(images), plain(images))
    supernet = Supernet.load(runs / "supernet")
    supernet.select(Architecture.parse(ARCHITECTURE))
    supernet.recalibrate([images])
    assert supernet.model(images).shape == plain(images).shape


def test_a_detector(command, people, runs):
    """The supernet of RetinaNet is trained, scored and made a detector of the winner."""
    annotations, image_dir = people
    code, _, err = command(
        *("search", "supernet", "--task", "detection", "--fpn-channels", 16, "--head-convs", 0),
        *("--annotations", annotations, "--image-dir", image_dir, "--category", "person"),
        *("--val-annotations", annotations, "--val-image-dir", image_dir, "--input-size", "64x64"),
        *("--epochs", 1, "--batch-size", 6, "--output-dir", runs / "detectors"),
    )
    assert code == 0, err
    winner = runs / "detector.keras"
    code, _, err = command("search", "extract", runs / "detectors", ARCHITECTURE, winner)
    assert code == 0, err
    named = ks.create_model(
        f"retinanet_one_shot:{ARCHITECTURE}",
        classes=["person"],
        input_shape=(64, 64, 3),
        fpn_channels=16,
        head_convs=0,
        weights=str(winner),
    )
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    plain = keras.saving.load_model(winner)
    np.testing.assert_array_equal(named(images), plain(images))
    code, _, err = command(
        *("search", "evolve", runs / "detectors", "--output-dir", runs / "search"),
        *("--population", 1, "--mutations", 0, "--crossovers", 0, "--generations", 1),
    )
    assert code == 0, err
    found = json.loads((runs / "search" / "winner.json").read_text())
    assert 0 <= found["score"] <= 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "One of --data (images of classes) and --annotations (keypoints or boxes)"),
        (("--data", ".", "--task", "detection"), "--task must be classification with --data"),
        (("--data", ".", "--head-convs", "2"), "must be given with --task detection"),
        (("--data", ".", "--head", "fpn"), "--head must be given for a pose estimator"),
        (("--data", ".", "--channel-scales", "0.001"), "must be numbers from 0.1 to 4"),
        (("--data", ".", "--channel-scales", "wide"), "--channel-scales must be paper or numbers"),
        (("three_shot", "--data", "."), "SPACE must be one of"),
        (("--data", ".", "--recipe", "best"), "must be one of"),
        (("--data", ".", "--recipe", "finetune"), "trains all layers from the beginning"),
    ],
)
def test_mistakes(command, tmp_path, words, text):
    code, _, err = command("search", "supernet", *words, "--output-dir", tmp_path / "run")
    assert code == 1
    assert text in err
    assert err.count("\n") == 1
    assert "Received: " in err


def test_a_folder_of_another_training(command, tmp_path):
    code, _, err = command("search", "extract", tmp_path, ARCHITECTURE, tmp_path / "out.keras")
    assert (code, err.count("\n")) == (1, 1)
    assert "must be that of a training by `keras-shufflenet search supernet`" in err
