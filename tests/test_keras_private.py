"""What the package needs of Keras' private interface: a failure here follows an upgrade."""

import keras
import numpy as np
import pytest

from keras_shufflenet import _keras_private as private
from tests.rounding import EPSILON32


@pytest.fixture
def model():
    inputs = keras.Input((2,), name="in")
    x = keras.layers.Dense(3, name="a")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, name="b")(x))


def test_the_graph_of_a_functional_model(model):
    assert private.functional(model) is model
    assert private.functional(keras.layers.Dense(1)) is None
    assert [call.operation.name for call in private.calls(model)] == ["a", "b"]
    assert [operation.name for operation in private.operations(model)] == ["in", "a", "b"]
    assert private.output_shapes(model, 1) == [("a", (None, 3)), ("b", (None, 1))]
    first, last = model.get_layer("a"), model.get_layer("b")
    assert private.inbound_call(last).input_tensors[0] is first.output
    assert private.reading_operations(first) == [last]
    assert private.operation_of(first.output) is first


def test_the_functional_model_of_a_sequential_one():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert len(list(private.calls(private.functional(model)))) == 1


def test_an_overflow_is_a_step(model):
    model.compile(private.LossScaling(keras.optimizers.SGD(0.1)), "mse")
    model.train_on_batch(np.ones((1, 2)), np.full((1, 1), np.inf))
    assert int(model.optimizer.iterations) == 1


def test_a_file_of_weights_can_be_loaded(model, tmp_path):
    path = tmp_path / "saved.weights.h5"
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((1, 2)), np.ones((1, 1)))
    path.write_bytes(private.weights_file(model))
    wanted = model.get_weights(), [v.numpy() for v in model.optimizer.variables]
    model.train_on_batch(np.ones((1, 2)), np.ones((1, 1)))
    model.load_weights(path)
    found = model.get_weights(), [v.numpy() for v in model.optimizer.variables]
    for got, expected in zip([*found[0], *found[1]], [*wanted[0], *wanted[1]], strict=True):
        np.testing.assert_array_equal(got, expected)


def test_each_variable_has_its_own_rate(model):
    class Halved(private.VariableRateAdam):
        def rate_factor(self, variable):
            return 0.5 if variable.path.startswith("a/") else 1.0

    model.compile(Halved(0.1), loss="mse")
    before = model.get_weights()
    model.fit(np.ones((4, 2)), np.full((4, 1), 100.0), batch_size=4, verbose=0)
    moved = [np.abs(new - old).max() for new, old in zip(model.get_weights(), before, strict=True)]
    # The first step of Adam is the learning rate, but it computes 1 - 0.999 in float32.
    np.testing.assert_allclose(moved, [0.05, 0.05, 0.1, 0.1], rtol=EPSILON32 / 0.001)


def test_an_optimizer_knows_its_variables(model):
    optimizer = keras.optimizers.SGD()
    first, *others = model.trainable_variables
    optimizer.exclude_from_weight_decay(var_list=[first])
    optimizer.build(model.trainable_variables)
    assert private.variable_index(optimizer, others[0]) == 1
    decays = [private.has_weight_decay(optimizer, v) for v in model.trainable_variables]
    assert decays == [False, True, True, True]
