"""Own keypoints by the command line alone: from the category of a COCO json to a picture."""

import csv
import json
from contextlib import redirect_stderr
from io import StringIO

import numpy as np
import pytest
from PIL import Image

from keras_shufflenet.cli import main
from keras_shufflenet.inference import lite
from keras_shufflenet.inference.visualization import draw_skeletons
from keras_shufflenet.keypoints import HeatmapCodec, read_skeleton
from keras_shufflenet.litert.metadata import ModelMetadata
from tests.hands import NAMES, category, draw_hands

pytestmark = pytest.mark.filterwarnings("default:The skeleton 'hand' has no sigmas")
SIGMAS = [0.03] * 5
MEAN_WARNING = "Warning: The skeleton 'hand' has no sigmas"


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    """Hands to train on: (json, folder of images)."""
    return draw_hands(tmp_path_factory.mktemp("hands") / "train", 48)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    return draw_hands(tmp_path_factory.mktemp("hands") / "val", 6, seed=1)


def data(source, prefix=""):
    return (f"--{prefix}annotations", source[0], f"--{prefix}image-dir", source[1])


@pytest.fixture(scope="module")
def trained(hands, held_out, shallow, tmp_path_factory):
    """The folder of a training of the hand's category, and what the command wrote."""
    folder = tmp_path_factory.mktemp("runs") / "hand"
    words = (
        *("train", "pose", "shufflenet_v2_x0_25", "--weights", "none", "--head", "fpn"),
        *("--encoding", "udp"),
        *("--input-size", "64x64", "--recipe", "from_scratch", "--epochs", 8, "--batch-size", 8),
        *(*data(hands), *data(held_out, "val-"), "--val-interval", 7, "--output-dir", folder),
    )
    with shallow(), pytest.raises(SystemExit) as exit_info, redirect_stderr(StringIO()) as err:
        main.run([str(word) for word in words])
    assert exit_info.value.code == 0, err.getvalue()
    assert err.getvalue().count(MEAN_WARNING) == 1
    return folder


def average_precision(out):
    return float(out.partition("AP     │")[2].split()[0])


def test_from_a_category_to_a_picture(command, trained, hands, held_out, tmp_path, capsys):
    model, tflite = trained / "model.keras", tmp_path / "hand_int8.tflite"
    code, out, err = command("evaluate", "coco", model, *data(held_out))
    assert (code, MEAN_WARNING in err) == (0, True)
    assert average_precision(out) > 0.9

    code, _, err = command(
        *("export", model, tflite, *data(hands, "calibration-"), "--num-calibration-samples", 8)
    )
    assert code == 0, err
    metadata = ModelMetadata.read(tflite)
    assert metadata.skeleton == read_skeleton(category())
    assert metadata.codec == HeatmapCodec((64, 64), encoding="udp")

    own = tmp_path / "hand.json"
    own.write_text(json.dumps(category() | {"sigmas": SIGMAS}))
    code, out, err = command("evaluate", "coco", tflite, *data(held_out), "--keypoints", own)
    assert (code, err.count("Warning")) == (0, 0)
    assert 0.4 < average_precision(out) < 0.999  # stricter

    truth = json.loads(held_out[0].read_text())["annotations"][0]
    points = np.reshape(truth["keypoints"], (-1, 3))[:, :2]
    box = ",".join(str(round(number)) for number in truth["bbox"])
    photo = held_out[1] / "hand_1.jpg"
    code, _, err = command(
        *("predict", "pose", tflite, photo, "--bbox", box, "--output-dir", tmp_path / "predicted")
    )
    assert code == 0, err
    (record,) = json.loads((tmp_path / "predicted" / "predictions.json").read_text())
    assert tuple(record["keypoints"]) == NAMES
    found = np.array(list(record["keypoints"].values()))
    assert np.linalg.norm(found[:, :2] - points, axis=1).max() < 8  # of 96 pixels
    (row,) = csv.DictReader((tmp_path / "predicted" / "predictions.csv").read_text().splitlines())
    assert float(row["thumb_x"]) == pytest.approx(found[1, 0])
    drawn = draw_skeletons(photo, found, read_skeleton(category()))
    picture = np.asarray(Image.open(tmp_path / "predicted" / "hand_1.png"))
    np.testing.assert_array_equal(picture, drawn)

    assert lite.main([str(word) for word in (tflite, photo, "--bbox", box)]) == 0
    out = capsys.readouterr().out
    assert [line.split()[1] for line in out.splitlines()[1:]] == list(NAMES)
