"""The published recipes against the publishers' numbers."""

import inspect

import keras
import pytest

from keras_shufflenet.training import ClassificationRecipe, classification_recipes
from keras_shufflenet.training.optimizers import CoupledSGD

RECIPES = classification_recipes.CLASSIFICATION_RECIPES
IMAGES = 1_281_167


def rate(recipe, iteration):
    """The learning rate of an iteration, from 0, on ImageNet."""
    return float(recipe.make_schedule(-(-IMAGES // recipe.batch_size))(iteration))


def test_every_recipe_has_its_command_and_result():
    for name, recipe in RECIPES.items():
        text = inspect.getdoc(recipe)
        assert "keras-shufflenet train classify" in text
        assert "Expected: " in text
        assert name == "finetune" or f"--recipe {name}" in text
        assert isinstance(recipe(), ClassificationRecipe)
        assert recipe(epochs=3, batch_size=8, peak_learning_rate=0.1).epochs == 3


@pytest.mark.parametrize(
    ("name", "iterations"), [("megvii", 300_000), ("megvii_plus", 450_000), ("megvii_large", 6e5)]
)
def test_megvii(name, iterations):
    recipe = RECIPES[name]()
    assert recipe.epochs * IMAGES / recipe.batch_size == pytest.approx(iterations, rel=0.01)
    assert rate(recipe, 0) == pytest.approx(recipe.peak_learning_rate, rel=1e-4)
    assert rate(recipe, iterations // 2) == pytest.approx(recipe.peak_learning_rate / 2, rel=0.01)
    assert (recipe.label_smoothing, recipe.weight_decay, recipe.decayed) == (0.1, 4e-5, "kernels")
    assert recipe.augmentation.color_jitter == 0.4
    post_pass = recipe.statistics_images // recipe.batch_size
    assert post_pass == (0 if name == "megvii_large" else 1250)
    assert recipe.augmentation.lighting == (0.1 if name == "megvii_large" else 0)


def test_torchvision():
    recipe, epoch = RECIPES["torchvision"](), -(-IMAGES // 1024)
    assert [rate(recipe, i) for i in (0, epoch - 1)] == pytest.approx([0.005, 0.005])
    assert rate(recipe, 5 * epoch) == pytest.approx(0.5)
    mixed = recipe.augmentation
    assert (mixed.policy, mixed.erase_prob, mixed.repeats) == ("trivial", 0.1, 4)
    assert (mixed.mixup_alpha, mixed.cutmix_alpha) == (0.2, 1.0)
    assert (recipe.weight_decay, recipe.decayed) == (2e-5, "all_but_norms")
    older, epoch = RECIPES["torchvision_mobilenet"](), -(-IMAGES // 256)
    assert rate(older, 10 * epoch) == pytest.approx(0.045 * 0.98**10, rel=1e-5)
    assert older.decayed == "all"


def test_mmcls_and_tonylins():
    recipe = RECIPES["mmcls"]()
    total = 300 * -(-IMAGES // 1024)
    assert rate(recipe, 4000) == pytest.approx(0.05 * (1 - 4000 / total), rel=1e-4)
    assert rate(recipe, 5100) == pytest.approx(0.5 * (1 - 5100 / total), rel=1e-4)
    assert recipe.label_smoothing == 0
    tonylins = RECIPES["tonylins"]()
    assert (tonylins.epochs, tonylins.schedule) == (150, "cosine")
    assert tonylins.augmentation.area == (0.2, 1.0)


def test_optimizers_have_what_the_recipe_says():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    recipe = ClassificationRecipe(10, 4, 0.1, ema_momentum=0.999, clip_norm=2.0)
    found = recipe.make_optimizer(model, 10)
    assert isinstance(found, CoupledSGD)
    assert (found.use_ema, found.ema_momentum) == (True, 0.8)  # a twentieth of 100 steps
    assert found.global_clipnorm == 2.0
    frozen = RECIPES["finetune"]().frozen()
    assert (frozen.epochs, frozen.frozen_epochs, frozen.peak_learning_rate) == (5, 0, 1e-2)
    assert isinstance(frozen.make_optimizer(model, 10), keras.optimizers.AdamW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"peak_learning_rate": -1},
        {"optimizer": "adam"},
        {"decayed": "none"},
        {"schedule": "exp"},
        {"label_smoothing": 2},
        {"clip_norm": 0},
        {"ema_momentum": 1.0},
        {"frozen_epochs": -1},
        {"freeze_batch_norm": 1},
    ],
)
def test_wrong_arguments(wrong):
    arguments = {"epochs": 1, "batch_size": 1, "peak_learning_rate": 0.1} | wrong
    with pytest.raises(ValueError, match=f"Received: {next(iter(wrong))}="):
        ClassificationRecipe(**arguments)
