import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from keras_shufflenet.training import (
    Recipe,
    detection_recipes,
    train,
    train_detection,
    train_pose,
)
from keras_shufflenet.training.precision import (
    inner_layers,
    scale_losses,
    set_precision,
    updating_optimizer,
)
from keras_shufflenet.training.training_copy import training_copy
from tests.shortcuts import eager_training
from tests.training.conftest import tiny_detector
from tests.training.numbers_task import Numbers, network


def names(model):
    return [layer.name for layer in inner_layers(model)]


def test_pixels_and_outputs_stay_float32():
    image = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 255, name="scale")(image)
    x = layers.Normalization(mean=[0.5] * 3, variance=[0.1] * 3, name="normalize")(x)
    x = layers.ReLU(name="relu")(layers.Conv2D(4, 3, name="stem")(x))
    parts = [layers.Conv2D(2, size, padding="same", name=f"head{size}")(x) for size in (1, 3)]
    x = layers.Concatenate(name="join")([layers.Reshape((-1, 2))(part) for part in parts])
    model = keras.Model(image, layers.Softmax(name="shares")(x))
    assert names(model) == ["stem", "relu"]
    set_precision(model, "bfloat16")
    assert model(np.zeros((1, 8, 8, 3))).dtype == "float32"
    assert model.get_layer("relu").compute_dtype == "bfloat16"
    assert {v.dtype for v in model.weights} == {"float32"}


def test_a_layer_may_be_called_several_times():
    """As the head of RetinaNet, and the layers of a network of which a training has a second."""
    image = keras.Input((8, 8, 3))
    stem = layers.Conv2D(4, 3, strides=2, padding="same", name="stem")
    tower, head = layers.Conv2D(4, 3, padding="same", name="tower"), layers.Conv2D(2, 1)
    levels = [stem(image), layers.MaxPooling2D(name="pool")(stem(image))]
    outputs = [layers.Reshape((-1, 2))(head(tower(level))) for level in levels]
    model = keras.Model(image, layers.Concatenate(axis=1)(outputs))
    assert sorted(names(model)) == ["pool", "stem", "tower"]
    set_precision(model, "bfloat16")
    assert model(np.zeros((1, 8, 8, 3))).dtype == "float32"


def test_the_saved_model_is_a_plain_one(tmp_path):
    task = Numbers(network(normalized=True))
    log = train(task, tmp_path, val_interval=1, precision="float16", loggers=[], verbose=0)
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert "float16" not in archive.read("config.json").decode()
    saved = keras.saving.load_model(tmp_path / "model.keras")
    for got, wanted in zip(saved.get_weights(), task.model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, wanted)
    again = Numbers(network(normalized=True))
    assert train(again, tmp_path, precision="float16", verbose=0) == log
    with pytest.raises(ValueError, match="precision was float16 and is the default"):
        train(again, tmp_path, verbose=0)
    with pytest.raises(
        ValueError, match=r"`precision` must be one of .*Received: precision='half'"
    ):
        train(again, tmp_path, precision="half")


def train_poses(people, folder, seed=0, precision="float32"):
    keras.utils.set_random_seed(0)
    image = keras.Input((64, 64, 3))
    x = layers.Conv2D(8, 4, strides=4, use_bias=False)(layers.Rescaling(1 / 255)(image))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    model = keras.Model(image, layers.Conv2D(17, 1)(x), name="pose")
    recipe = Recipe(epochs=2, batch_size=6, peak_learning_rate=5e-3, warmup_steps=2)
    options = {"seed": seed, "precision": precision, "loggers": [], "verbose": 0}
    return train_pose(model, [people], folder, recipe, **options)


def train_boxes(people, folder, seed=0, precision="float32"):
    keras.utils.set_random_seed(0)
    recipe = detection_recipes.finetune(epochs=2, batch_size=6, peak_learning_rate=5e-3)
    options = {"seed": seed, "precision": precision, "loggers": [], "verbose": 0}
    with eager_training():
        return train_detection(tiny_detector(), [people], folder, recipe, **options)


@pytest.mark.parametrize(
    ("train_task", "precisions"),
    [(train_poses, ["bfloat16", "float16"]), (train_boxes, ["bfloat16"])],
)
def test_a_task_is_learned_as_well(train_task, precisions, people, tmp_path):
    """The loss differs less from that of float32 than that of another order of the images does."""
    loss = train_task(people, tmp_path / "one")[-1]["loss"]
    noise = abs(train_task(people, tmp_path / "other", seed=2)[-1]["loss"] - loss)
    for precision in precisions:
        found = train_task(people, tmp_path / precision, precision=precision)[-1]["loss"]
        assert abs(found - loss) < noise / 2


def test_a_step_whose_gradients_overflow_counts():
    model = training_copy(network())
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    scale_losses(model, "float16")
    before = model.get_weights()
    x, y = np.ones((2, 6, 6, 3), "float32"), np.zeros((2, 2), "float32")
    model.train_on_batch(x, y + np.inf)
    for got, wanted in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert int(model.optimizer.iterations) == 1
    assert float(model.optimizer.dynamic_scale) == model.optimizer.initial_scale / 2
    model.train_on_batch(x, y)
    assert int(updating_optimizer(model.optimizer).iterations) == 2
    assert np.abs(model.get_weights()[0] - before[0]).max() > 0
