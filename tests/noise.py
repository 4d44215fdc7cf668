"""How far float32 networks are from their exact output: the unit of tolerances."""

import keras
import numpy as np

TOLERANCE = 20  # multiples of the noise, as for the golden outputs


def exact(model, images, training=False):
    """The output of a model in float64, and the largest error of float32 arithmetic.

    In training mode the model's moving statistics change.
    """
    precise = keras.models.model_from_json(model.to_json().replace('"float32"', '"float64"'))
    precise.set_weights(model.get_weights())
    output = keras.ops.convert_to_numpy(precise(images.astype("float64"), training=training))
    error = np.abs(keras.ops.convert_to_numpy(model(images, training=training)) - output).max()
    return output, max(error, np.finfo("float32").eps * np.abs(output).max())


def assert_exact(output, model, images, training=False):
    """Assert that an output is as close to the exact one as float32 arithmetic allows."""
    expected, noise = exact(model, images, training)
    assert output.shape == expected.shape
    assert np.abs(output - expected).max() <= TOLERANCE * noise
