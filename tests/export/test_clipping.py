"""Ranges of int8 activations around leaky ReLUs and concatenations."""

import keras
import numpy as np
import pytest

import keras_shufflenet as ks
from keras_shufflenet.litert.activation_ranges import BINS, Histogram
from keras_shufflenet.litert.schema import read_operators

SLOPE = 0.1
LOWEST, HIGHEST = -4.0, 1.0  # of the first convolution


def bright(count: int) -> np.ndarray:
    """Images of bright rows with a black pixel."""
    rows = np.linspace(204, 255, 64, dtype="float32").reshape(1, 64, 1, 1)
    images = np.tile(rows, (count, 1, 64, 3))
    images[:, -1, -1] = 0
    return images


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """The operators of a file: two leaky ReLUs of other ranges are concatenated."""
    inputs = keras.Input((64, 64, 3))
    parts = []
    for index, scale in enumerate((1.0, 0.5)):
        x = keras.layers.Conv2D(4, 1, name=f"conv{index}")(inputs)
        kernel = np.full((1, 1, 3, 4), scale * (HIGHEST - LOWEST) / 255 / 3)
        parts.append(keras.layers.LeakyReLU(SLOPE, name=f"leaky{index}")(x))
        x._keras_history.operation.set_weights([kernel, np.full(4, scale * LOWEST)])
    x = keras.layers.Concatenate(name="concat")(parts)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, name="reader")(x))
    path = tmp_path_factory.mktemp("joined") / "a.tflite"
    report = ks.export.litert(model, path, "int8", [bright(2)])
    assert report.delegate_partitions == 1
    assert report.error.correlation > 0.999
    return read_operators(path.read_bytes())


def limits(tensor) -> tuple[float, float]:
    (scale,), (zero_point,) = tensor.quantization
    return (-128 - zero_point) * scale, (127 - zero_point) * scale


def test_the_negative_half_of_a_leaky_input_gets_few_steps(joined):
    leaky = [operator for operator in joined if operator.name == "LEAKY_RELU"]
    for operator, scale in zip(leaky, (1.0, 0.5), strict=True):
        low, high = limits(operator.inputs[0])
        assert scale * LOWEST < low < 0
        assert high == pytest.approx(scale * HIGHEST, abs=(high - low) / 255)


def test_what_is_concatenated_has_one_range(joined):
    assert not any(operator.requantizes for operator in joined)
    (concat,) = [operator for operator in joined if operator.name == "CONCATENATION"]
    assert {tensor.quantization for tensor in concat.inputs} == {concat.outputs[0].quantization}
    assert limits(concat.outputs[0])[1] == pytest.approx(HIGHEST, abs=0.01)


def test_errors_of_a_range():
    counts = np.zeros(BINS, np.int64)
    counts[0] = counts[-1] = 2  # values of almost -2 and 6
    histogram = Histogram((-2.0, 6.0), counts)
    rounding = (4.0 / 255) ** 2 / 12
    assert histogram.error((-1.0, 3.0), 1.0) == pytest.approx(2 * (1 + 9 + 2 * rounding), rel=1e-2)
    assert histogram.error((-1.0, 3.0), 0.0) == pytest.approx(2 * (9 + rounding), rel=1e-2)
