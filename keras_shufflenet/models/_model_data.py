"""Data that a model carries into its files: names of classes, keypoints, encoding of heatmaps.

Models consist of Keras' own layers, so that their files open without this package, and none of
these has a place for data in its config. What comes nearest is `Dropout`: with a rate of 0 it has
no effect and needs no seed, and Keras saves, copies and loads the seed as it is, whatever JSON it
is.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import keras
from keras import layers

from keras_shufflenet._checks import is_line
from keras_shufflenet._layer_names import CLASS_NAMES, ENCODING, KEYPOINTS
from keras_shufflenet.detection.priors import DESIGNS
from keras_shufflenet.keypoints import skeletons
from keras_shufflenet.keypoints.codec import DEFAULT_ENCODING, GaussianEncoding
from keras_shufflenet.keypoints.skeleton_files import read_skeleton, to_json
from keras_shufflenet.keypoints.skeletons import Skeleton
from keras_shufflenet.weights.keras_archive import read_config


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


def find_saved_data(path: Path, name: str) -> Any:
    """Return the data of the model in a file; None if there is none.

    Args:
        path: Path of a `.keras` file.
        name: Name of the layer that holds the data.

    Raises:
        CheckpointError: If the file is damaged.
        FileNotFoundError: If it is missing.
    """
    things: list[Any] = [read_config(path)]
    while things:
        thing = things.pop()
        if isinstance(thing, dict):
            config = thing.get("config") if thing.get("class_name") == "Dropout" else None
            if config and (config["name"], config["rate"]) == (name, 0):
                return config["seed"]
            things.extend(thing.values())
        elif isinstance(thing, list):
            things.extend(thing)
    return None


def class_names(model: keras.Model) -> tuple[str, ...]:
    """Return the names of the classes of a classifier or detector.

    Args:
        model: Any Keras model.

    Returns:
        The names that the model was built with (`classes=[...]`), in the order of its outputs;
        empty if it has none.
    """
    names = find_data(model, CLASS_NAMES)
    if not isinstance(names, list) or not all(map(is_line, names)):
        return ()
    detects = len(model.output_shape) == 3
    others = {design.box_channels for design in DESIGNS} if detects else {0}
    fits = any(model.output_shape[-1:] == (len(names) + count,) for count in others)
    return tuple(names) if fits else ()


def attach_skeleton(x: keras.KerasTensor, skeleton: Skeleton) -> keras.KerasTensor:
    """Return an equal tensor that carries the skeleton, unless it is COCO's or MPII's.

    These two are known by the number of heatmaps, and the layers of their networks stay the same.
    """
    if skeletons.is_published(skeleton):
        return x
    return attach_data(x, KEYPOINTS, to_json(skeleton))


def model_skeleton(model: keras.Model) -> Skeleton | None:
    """Return the skeleton of a pose estimator.

    Args:
        model: Any functional model.

    Returns:
        The skeleton that the model was built with (`keypoints=...`); else COCO's for 17 heatmaps
        and MPII's for 16; None for models that do not output heatmaps of these.
    """
    shape = model.output_shape
    if not isinstance(shape, tuple) or len(shape) != 4:
        return None
    try:
        data = find_data(model, KEYPOINTS)
        found = None if data is None else read_skeleton(data)
    except ValueError:  # the data of another layer of this name
        found = None
    return found or skeletons.of_count(shape[-1])


def attach_encoding(x: keras.KerasTensor, encoding: GaussianEncoding) -> keras.KerasTensor:
    """Return an equal tensor that carries the encoding of heatmaps, unless it is the default."""
    return x if encoding == DEFAULT_ENCODING else attach_data(x, ENCODING, encoding)


def model_encoding(model: keras.Model) -> GaussianEncoding:
    """Return the encoding of a pose estimator's heatmaps, as for `keypoints.HeatmapCodec`.

    Args:
        model: Any functional model.

    Returns:
        The encoding that the model was built with (`encoding=...`); `"msra"` for other models.
    """
    data = find_data(model, ENCODING)
    return next((each for each in get_args(GaussianEncoding) if each == data), DEFAULT_ENCODING)


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield the layers of a model and of those inside of it, the last one first."""
    for layer in reversed(model.layers):
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer
