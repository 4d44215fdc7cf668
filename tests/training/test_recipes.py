from dataclasses import FrozenInstanceError

import pytest

from keras_shufflenet.training.recipes import RECIPES, Recipe, mmpose
from tests.rounding import EPSILON32, rounding_error


def rates(recipe, steps_per_epoch, steps):
    schedule = recipe.optimizer(steps_per_epoch)._learning_rate
    return [float(schedule(step)) for step in steps]


def test_mmpose_is_the_published_recipe():
    recipe = mmpose()
    assert (recipe.epochs, recipe.batch_size, recipe.peak_learning_rate) == (210, 64, 5e-4)
    steps = (0, 500, 170 * 293 - 1, 170 * 293, 200 * 293)
    expected = [5e-7, 5e-4, 5e-4, 5e-5, 5e-6]
    assert rates(recipe, 293, steps) == pytest.approx(
        expected, abs=rounding_error(5e-4, 8, EPSILON32)
    )
    optimizer = recipe.optimizer(293)
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.9, 0.999, 1e-8)
    assert optimizer.weight_decay is None


def test_a_shorter_training_drops_at_the_same_shares_and_warms_up_for_less():
    recipe = mmpose(epochs=21)
    drops = rates(recipe, 100, (104, 105, 1699, 1700, 1999, 2000))
    expected = [5e-4 * (1 - 0.999 / 105), 5e-4, 5e-4, 5e-5, 5e-5, 5e-6]
    assert drops == pytest.approx(expected, abs=rounding_error(5e-4, 8, EPSILON32))


def test_cosine_starts_low_peaks_after_the_warm_up_and_ends_at_zero():
    recipe = Recipe(10, 8, 1e-2, schedule="cosine", warmup_steps=10)
    start, peak, end = rates(recipe, 100, (0, 10, 1000))
    tolerance = rounding_error(1e-2, 8, EPSILON32)
    assert (start, peak, end) == pytest.approx((1e-5, 1e-2, 0), abs=tolerance)


@pytest.mark.parametrize("recipe", [*RECIPES.values()], ids=[*RECIPES])
@pytest.mark.parametrize("steps_per_epoch", [1, 10])
def test_every_recipe_makes_an_optimizer_for_the_shortest_training(recipe, steps_per_epoch):
    values = rates(recipe(epochs=1), steps_per_epoch, range(steps_per_epoch))
    assert all(0 < value <= recipe().peak_learning_rate * (1 + 8 * EPSILON32) for value in values)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"batch_size": -1},
        {"peak_learning_rate": 0.0},
        {"peak_learning_rate": float("nan")},
        {"schedule": "linear"},
    ],
)
def test_values_out_of_range(change):
    (name, value), *_ = change.items()
    with pytest.raises(ValueError, match=rf"`{name}` must be.*Received: .*{value}"):
        Recipe(**{"epochs": 1, "batch_size": 1, "peak_learning_rate": 1.0} | change)


def test_a_recipe_is_frozen():
    with pytest.raises(FrozenInstanceError):
        mmpose().epochs = 3
