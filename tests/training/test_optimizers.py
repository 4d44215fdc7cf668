import keras
import numpy as np
import pytest

from keras_shufflenet.training import WarmupMultiStepDecay
from keras_shufflenet.training.optimizers import AdamW, BackboneAdam
from tests.rounding import EPSILON32

BETA_2_ERROR = EPSILON32 / 0.001  # relative: Adam computes 1 - 0.999 in float32


def step(optimizer):
    """What one step with gradient 1 takes off the kernels of a backbone and a head."""
    image = keras.Input((1,))
    middle = keras.layers.Dense(1, use_bias=False, name="stage2")(image)
    model = keras.Model(image, keras.layers.Dense(1, use_bias=False, name="head_final")(middle))
    before = [kernel.numpy() for kernel in model.trainable_variables]
    optimizer.apply([keras.ops.ones((1, 1))] * 2, model.trainable_variables)
    after = [kernel.numpy() for kernel in model.trainable_variables]
    return [float((b - a)[0, 0]) for b, a in zip(before, after, strict=True)]


def test_the_backbone_moves_at_a_share_of_the_rate():
    backbone, head = step(BackboneAdam(0.5, backbone_lr_multiplier=0.1))
    np.testing.assert_allclose([backbone, head], [0.05, 0.5], rtol=BETA_2_ERROR)


def test_without_a_share_it_is_adam():
    found, expected = step(BackboneAdam(0.5)), step(keras.optimizers.Adam(0.5))
    np.testing.assert_allclose(found, expected, rtol=BETA_2_ERROR)


def test_it_counts_a_step_once():
    optimizer = BackboneAdam(0.5, backbone_lr_multiplier=0.1)
    step(optimizer)
    assert int(optimizer.iterations) == 1


def test_it_is_saved_with_its_share():
    optimizer = BackboneAdam(0.5, backbone_lr_multiplier=0.1)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.backbone_lr_multiplier == 0.1


def test_no_negative_share():
    with pytest.raises(
        ValueError, match=r"must not be negative. Received: backbone_lr_multiplier=-1"
    ):
        BackboneAdam(backbone_lr_multiplier=-1)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_adamw_is_that_of_keras(clip):
    """By a schedule, with averages, and with a variable that does not decay."""
    random = np.random.default_rng(0)
    shapes = ((3, 4), (4,), (1, 1, 4, 2))
    start = [random.normal(0, 1, shape).astype("float32") for shape in shapes]
    found = []
    for kind in (AdamW, keras.optimizers.AdamW):
        variables = [keras.Variable(value) for value in start]
        rate = WarmupMultiStepDecay(0.1, [3, 6], warmup_steps=2)
        optimizer = kind(
            rate, 0.1, epsilon=1e-8, global_clipnorm=clip, use_ema=True, ema_momentum=0.5
        )
        optimizer.exclude_from_weight_decay(var_list=[variables[1]])
        gradients = np.random.default_rng(1)
        for _ in range(8):
            values = [gradients.normal(0, 1, shape).astype("float32") for shape in shapes]
            optimizer.apply([keras.ops.convert_to_tensor(v) for v in values], variables)
        assert int(optimizer.iterations) == 8
        found.append([v.numpy() for v in (*variables, *optimizer.variables[1:])])
    for got, expected in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=BETA_2_ERROR, atol=8 * EPSILON32)
    moved = [np.abs(a - b).max() for a, b in zip(found[0], start, strict=False)]
    assert min(moved) > 0.05


def test_adamw_is_loaded():
    optimizer = AdamW(0.5, weight_decay=0.1)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.weight_decay == 0.1
