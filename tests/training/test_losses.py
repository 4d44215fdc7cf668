import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_shufflenet.training.losses import HeatmapPCK, KeypointMSELoss
from tests.rounding import EPSILON32, rounding_error


def channels_last(maps):
    return np.moveaxis(maps, 1, -1)


def sample_weight(weights):
    return weights[:, None, None, :, 0]


def loss_and_gradient(golden, weight):
    target = channels_last(golden["in/target"])
    output = tf.Variable(channels_last(golden["in/output"]))
    weights = None if weight is None else sample_weight(golden[f"in/{weight}"])
    with tf.GradientTape() as tape:
        loss = KeypointMSELoss()(target, output, sample_weight=weights)
    return float(loss), np.moveaxis(tape.gradient(loss, output).numpy(), -1, 1)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [("weight", "weighted"), ("weight_joint", "joint_weighted"), (None, "plain")],
)
def test_loss_and_gradient_equal_the_reference(golden_pose, weight, expected):
    golden = golden_pose("loss")
    loss, gradient = loss_and_gradient(golden, weight)
    assert loss == pytest.approx(float(golden[f"v029/{expected}_loss"]), rel=8 * EPSILON32)
    expected_gradient = golden[f"v029/{expected}_gradient"]
    tolerance = rounding_error(expected_gradient, 4, EPSILON32)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=tolerance)


def test_fit_reports_the_weighted_loss():
    maps = np.random.default_rng(0).random((4, 8, 6, 3), dtype="float32")
    weights = np.array([1, 0, 1], "float32").reshape(1, 1, 1, 3).repeat(4, axis=0)
    inputs = keras.Input((8, 6, 3))
    model = keras.Model(inputs, keras.layers.Rescaling(0.0)(inputs))
    model.compile(loss=KeypointMSELoss())
    loss = model.evaluate(maps, maps, sample_weight=weights, verbose=0)
    assert loss == pytest.approx((maps**2 * weights).mean(), rel=8 * EPSILON32)


def test_pck_equals_the_reference(golden_pose):
    golden = golden_pose("accuracy")
    metric = HeatmapPCK(num_keypoints=17)
    metric.update_state(
        channels_last(golden["in/target"]),
        channels_last(golden["in/output"]),
        sample_weight(golden["in/weight"]),
    )
    assert float(metric.result()) == pytest.approx(float(golden["v029/mean"]), rel=17 * EPSILON32)
    shares = np.asarray(metric.correct) / np.maximum(np.asarray(metric.count), 1)
    expected = np.maximum(golden["v029/per_joint"], 0)  # the reference marks unseen keypoints by -1
    np.testing.assert_allclose(shares, expected, rtol=EPSILON32)


def test_pck_adds_up_over_batches_and_starts_again():
    right = np.zeros((1, 20, 20, 1), "float32")
    right[0, 10, 10] = 1
    wrong = np.roll(right, 5, axis=2)
    metric = HeatmapPCK(num_keypoints=1)
    metric.update_state(right, right)
    metric.update_state(right, wrong)
    assert float(metric.result()) == 0.5
    metric.reset_state()
    assert float(metric.result()) == 0


def test_pck_counts_an_empty_map_as_wrong():
    target = np.zeros((1, 20, 20, 1), "float32")
    target[0, 0, 0] = 1
    metric = HeatmapPCK(num_keypoints=1)
    metric.update_state(target, np.zeros_like(target))
    assert float(metric.result()) == 0


@pytest.mark.parametrize("thing", [KeypointMSELoss(), HeatmapPCK(num_keypoints=3, threshold=0.1)])
def test_serialization(thing):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(thing))
    assert type(copy) is type(thing)
    assert copy.get_config() == thing.get_config()


def test_heatmaps_of_another_shape():
    with pytest.raises(ValueError, match=r"\(2, 8, 6, 17\). Received: shape \(2, 8, 6, 16\)"):
        KeypointMSELoss()(np.zeros((2, 8, 6, 16)), np.zeros((2, 8, 6, 17)))
