"""Networks in both data formats, with the same weights, on the backend of the day."""

import keras
import numpy as np

import keras_shufflenet as ks
from tests.noise import exact

SIZE = 64
CLASSES = 7


def difference(name: str) -> float:
    """The largest difference of the probabilities, in multiples of float32 noise."""
    x = np.random.default_rng(0).uniform(0, 255, (1, SIZE, SIZE, 3)).astype("float32")
    last = ks.create_model(name, classes=CLASSES, input_shape=(SIZE, SIZE, 3))
    expected, noise = exact(last, x)
    keras.config.set_image_data_format("channels_first")
    try:
        first = ks.create_model(name, classes=CLASSES, input_shape=(3, SIZE, SIZE))
        assert first.get_layer("stem_conv").data_format == "channels_first"
        first.set_weights(last.get_weights())
        found = keras.ops.convert_to_numpy(first(x.transpose(0, 3, 1, 2)))
    finally:
        keras.config.set_image_data_format("channels_last")
    return float(np.abs(found - expected).max() / noise)
