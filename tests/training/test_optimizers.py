import keras
import numpy as np
import pytest

from keras_shufflenet.training.optimizers import BackboneAdam
from tests.rounding import EPSILON32, rounding_error

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
    np.testing.assert_allclose(found, expected, rtol=0, atol=rounding_error(2, 2, EPSILON32))


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
