"""What exports need of TensorFlow's private interface: a failure here follows an upgrade."""

import inspect

import pytest
import tensorflow as tf

from keras_shufflenet.export import _tensorflow_private as private


@pytest.fixture
def converter():
    function = tf.function(lambda x: x + 1, input_signature=[tf.TensorSpec((1, 2))])
    return tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])


@pytest.mark.parametrize("change", [private.only_calibrate, private.use_per_tensor_weights])
def test_the_converter_has_the_attributes(converter, change):
    change(converter)


def test_a_missing_attribute_is_named(converter):
    with pytest.raises(AttributeError, match=r"has no `TFLiteConverter._gone` any more"):
        private._set(converter, "_gone", True)


def test_quantize_takes_the_arguments():
    parameters = inspect.signature(private.mlir_quantize).parameters
    assert {"disable_per_channel", "input_data_type", "output_data_type"} <= set(parameters)
