import keras
import pytest

from keras_shufflenet.training.detection_recipes import (
    DETECTION_RECIPES,
    DetectionRecipe,
    nanodet,
    nanodet_plus,
)

REL = 1e-6


def rates(optimizer, steps):
    return [float(optimizer._learning_rate(step)) for step in steps]


def test_nanodet_is_the_published_recipe():
    recipe = nanodet()
    assert (recipe.epochs, recipe.batch_size) == (280, 192)
    optimizer = recipe.make_optimizer(280 * 616)
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert (optimizer.momentum, optimizer.use_ema, optimizer.global_clipnorm) == (0.9, False, 35)
    steps = (0, 300, 240 * 616 - 1, 240 * 616, 260 * 616, 275 * 616)
    expected = [0.014, 0.14, 0.14, 0.014, 0.0014, 0.00014]
    assert rates(optimizer, steps) == pytest.approx(expected, rel=REL)


def test_nanodet_plus_is_the_published_recipe():
    recipe = nanodet_plus()
    assert (recipe.epochs, recipe.batch_size, recipe.guidance) == (300, 96, True)
    steps = 300 * 1232
    optimizer = recipe.make_optimizer(steps)
    assert isinstance(optimizer, keras.optimizers.AdamW)
    assert (optimizer.weight_decay, optimizer.global_clipnorm) == (0.05, 35)
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.9998)
    assert rates(optimizer, (0, 500, steps)) == pytest.approx([1e-7, 1e-3, 5e-5], rel=REL)


def test_a_short_training_warms_up_and_averages_for_a_twentieth():
    recipe = nanodet_plus(epochs=10)
    optimizer = recipe.make_optimizer(1000)
    assert optimizer.ema_momentum == pytest.approx(1 - 1 / 50)
    assert rates(optimizer, (49, 50)) == pytest.approx([9.8e-4, 1e-3], rel=1e-3)
    assert recipe.averaging(1) == 0
    assert nanodet().averaging(1000) is None


@pytest.mark.parametrize("name", DETECTION_RECIPES)
@pytest.mark.parametrize("steps", [1, 7])
def test_every_recipe_makes_an_optimizer_for_the_shortest_training(name, steps):
    recipe = DETECTION_RECIPES[name](epochs=1)
    values = rates(recipe.make_optimizer(steps), range(steps))
    assert all(0 < value <= recipe.peak_learning_rate * (1 + REL) for value in values)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"peak_learning_rate": -1.0},
        {"optimizer": "lion"},
        {"schedule": "linear"},
        {"warmup_steps": -1},
        {"ema_momentum": 1.0},
        {"guidance": 1},
    ],
)
def test_values_out_of_range(change):
    (name, value), *_ = change.items()
    with pytest.raises(ValueError, match=rf"`{name}` must be.*Received: {name}='?{value}"):
        DetectionRecipe(**{"epochs": 1, "batch_size": 1, "peak_learning_rate": 1.0} | change)
