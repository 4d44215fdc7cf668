"""Training of a detector on the command line."""

import json

import keras
import pytest

import keras_shufflenet as ks
from keras_shufflenet.training.callbacks import read_log
from tests.shortcuts import eager_training


@pytest.fixture
def two_categories(people, tmp_path):
    """The json of the people, of whom the first is a dog."""
    content = json.loads(people[0].read_text())
    content["categories"].append({"id": 2, "name": "dog"})
    content["annotations"][0]["category_id"] = 2
    path = tmp_path / "two.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.filterwarnings("default:The file has other classes")
def test_train_then_finetune_with_another_category(
    command, people, two_categories, shallow, tmp_path
):
    images = people[1]
    first, second = tmp_path / "first", tmp_path / "second"
    common = ("--image-dir", images, "--input-size", "64x64", "--epochs", 1, "--batch-size", 6)
    with shallow(), eager_training():
        code, out, err = command(
            *("train", "detect", "nanodet_m_x0_5", "--annotations", people[0], *common),
            *("--val-annotations", people[0], "--val-image-dir", images),
            *("--weights", "none", "--output-dir", first),
        )
        assert code == 0, err
        assert "training nanodet_m_x0_5, step 1 of 1: the first one is traced" in out
        assert f"trained: {first / 'model.keras'}" in out
        code, _, err = command(
            *("train", "detect", "nanodet_m_x0_5", "--annotations", two_categories, *common),
            *("--initial-checkpoint", first / "model.keras", "--output-dir", second),
            *("--precision", "bfloat16", "--accumulation-steps", 2, "--strategy", "mirrored"),
            *("--logger", "csv", "--patience", 3, "--max-corrupt-images", 1, "--sync-batch-norm"),
        )
    assert code == 0, err
    assert "Warning: The file has other classes than the model: 'dog' of the classes" in err
    (row,) = read_log(first / "log.csv")
    assert {"AP", "qfl", "giou", "dfl"} <= set(row)
    files = (first / "best.keras", second / "model.keras")
    names = [ks.models.class_names(keras.saving.load_model(file)) for file in files]
    assert names == [("person",), ("person", "dog")]
    recipes = [json.loads((run / "run.json").read_text())["recipe"] for run in (first, second)]
    assert [recipe["optimizer"] for recipe in recipes] == ["sgd", "adamw"]
    assert [(run / "tensorboard").exists() for run in (first, second)] == [True, False]
    assert json.loads((second / "run.json").read_text())["precision"] == "bfloat16"


def test_retinanet_on_any_backbone(command, people, shallow, tmp_path):
    words = ("--fpn-channels", 8, "--head-convs", 1, "--input-size", "64x64", "--weights", "none")
    with shallow(), eager_training():
        code, _, err = command(
            *("train", "detect", "retinanet_shufflenet_v2_x0_25", *words, "--epochs", 1),
            *("--annotations", people[0], "--image-dir", people[1], "--batch-size", 6),
            *("--output-dir", tmp_path),
        )
    assert code == 0, err
    model = keras.saving.load_model(tmp_path / "model.keras")
    names = [layer.name for layer in model.layers if layer.name.startswith("tower_boxes")]
    assert names == ["tower_boxes_conv0", "tower_boxes_final"]
    assert model.get_layer("tower_boxes_conv0").filters == 8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["retinanet_nanodet_m"], "such as nanodet_plus_m_416. Received: retinanet_"),
        (["--fpn-channels", "8"], "--fpn-channels must be given for a RetinaNet. Received: nano"),
        (
            ["shufflenet_v2_x1_0"],
            "MODEL must be the name of a detector, such as nanodet_plus_m_416.",
        ),
        (
            ["detector.keras"],
            "MODEL must be the name of a detector, such as nanodet_plus_m; a file",
        ),
        (["--category", "cat"], "--category must be the name or id of one of the categories of"),
        (["--recipe", "mmpose"], "--recipe must be one of nanodet, nanodet_plus"),
        (["--epochs", "0"], "--epochs must be a positive integer. Received: --epochs=0"),
        (["--input-size", "big"], "--input-size must be HEIGHTxWIDTH"),
        (["--input-size", "100x64", "--weights", "none"], "multiples of 32"),
        (["--val-image-dir", "."], "--val-annotations and --val-image-dir must be given together"),
        (["--initial-checkpoint", "none.pth"], "--initial-checkpoint must be an existing file"),
        (
            ["--initial-checkpoint", "nanodet_plus_m"],
            "the weights of this model are nanodet_plus_m.rangilyu. Received: nanodet_plus_m",
        ),
        (["--learning-rate", "-1"], "--learning-rate must be a positive number"),
        (["--initial-checkpoint", __file__, "--weights", "none"], "must not be given together"),
    ],
)
def test_mistakes(command, people, tmp_path, words, message):
    run = tmp_path / "run"
    code, _, err = command(
        *("train", "detect", *words, "--annotations", people[0], "--image-dir", people[1]),
        *("--output-dir", run),
    )
    assert code == 1
    assert message in err
    assert "Received: " in err
    assert "Traceback" not in err


def test_classes_have_different_names(command, two_categories, people, tmp_path):
    content = json.loads(two_categories.read_text())
    for category in content["categories"]:
        category["name"] = "box"
    path = tmp_path / "same.json"
    path.write_text(json.dumps(content))
    code, _, err = command(
        *("train", "detect", "--annotations", path, "--image-dir", people[1]),
        *("--output-dir", tmp_path / "run"),
    )
    assert code == 1
    assert "same.json must have categories of different names" in err
    assert "Received: 2 categories 'box'" in err
