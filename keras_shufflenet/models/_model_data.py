"""Data that a model carries into every file that is saved of it, such as its class names.

Models consist of Keras' own layers, so that their files open without this package, and none of
these has a place for data in its config. What comes nearest is `Dropout`: with a rate of 0 it has
no effect and needs no seed, and Keras saves, copies and loads the seed as it is, whatever JSON it
is.
"""

from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from keras_shufflenet._checks import is_line
from keras_shufflenet._layer_names import CLASS_NAMES


def attach_data(x: keras.KerasTensor, name: str, value: Any) -> keras.KerasTensor:
    """Return an equal tensor from a layer that holds the data.

    Args:
        x: A tensor of a functional model, for example the input of its last layer.
        name: Name of the layer.
        value: Any JSON.
    """
    return layers.Dropout(0.0, seed=value, name=name)(x)


def find_data(model: keras.Model, name: str) -> Any:
    """Return the data of a model, or of a model inside of it; None if there is none.

    Args:
        model: Any model.
        name: Name of the layer that holds the data.
    """
    for layer in _layers(model):
        if isinstance(layer, layers.Dropout) and layer.name == name and layer.rate == 0:
            return layer.seed
    return None


def class_names(model: keras.Model) -> tuple[str, ...]:
    """Return the names of the classes of a classifier.

    Args:
        model: Any Keras model.

    Returns:
        The names that the model was built with (`classes=[...]`), in the order of its outputs;
        empty if it has none.
    """
    names = find_data(model, CLASS_NAMES)
    is_valid = isinstance(names, list) and all(map(is_line, names))
    return tuple(names) if is_valid and model.output_shape[-1:] == (len(names),) else ()


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a model and of those inside of it, the last one first."""
    for layer in reversed(model.layers):
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer
