"""The networks to measure, with calibration images.

By default weights are random, which needs no download. BatchNormalization layers then
get the statistics of the calibration images: activation ranges are like those of trained networks,
and int8 files hold the same operators. A positive bias lets most activations pass the ReLUs; if
half of them were clipped to zero, networks of forty blocks would be chaotic and amplify every
rounding error.
"""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

import keras_shufflenet as ks
from keras_shufflenet.benchmark.engines import Network
from keras_shufflenet.export.representative import read_images
from keras_shufflenet.export.source import BYTES_PER_PARAMETER
from keras_shufflenet.models._registry import is_architecture
from keras_shufflenet.models.pose import DEFAULT_HEAD, HEADS, PREFIX

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_shufflenet.synthetic_people import SyntheticPeople

CALIBRATION_IMAGES = 8
BIAS = 1.0  # in standard deviations
REFERENCE_SIZE = "mobilenet_v2_x1_0"  # networks that are not ours are of about its size
REFERENCES = {"keras.applications.MobileNetV2": keras.applications.MobileNetV2}


def find(patterns: Sequence[str]) -> list[str]:
    """Return the names that match shell patterns: this package's models and Keras' MobileNetV2.

    Names with an architecture, such as "one_shot:0031…", are no patterns.

    Raises:
        ValueError: If a pattern matches no name.
    """
    known = [*ks.list_models(), *ks.list_models(task="pose")]
    known += [
        f"{name}_{head}"
        for name in ks.list_models(task="pose")
        for head in HEADS
        if head != DEFAULT_HEAD
    ]
    known += [*ks.list_models(task="detection"), *REFERENCES]
    known += [
        name for name in dict.fromkeys(patterns) if is_architecture(name.removeprefix(PREFIX))
    ]
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in known):
            raise ValueError(
                "`models` must be names or shell patterns of `keras-shufflenet models`. "
                f"Received: {pattern}"
            )
    return [name for name in known if any(fnmatch(name, pattern) for pattern in patterns)]


def file_size(name: str) -> int:
    """Return the approximate size in bytes of the largest file of a network from `find`."""
    stats = ks.models.MODEL_STATS
    known = name if name in stats else next((each for each in stats if name.startswith(each)), "")
    return BYTES_PER_PARAMETER * stats[known or REFERENCE_SIZE].params


def build(names: Sequence[str], weights: str | None, folder: Path) -> Iterator[Network]:
    """Build networks, one after the other.

    Args:
        names: Names from `find`.
        weights: The argument of the builders; None for random weights.
        folder: Gets a folder for the files of each network, and one of synthetic people.

    Yields:
        Each network with its calibration images.
    """
    people = ks.synthetic_people.create_dataset(
        folder / "people", CALIBRATION_IMAGES, verbose=False
    )
    for name in names:
        model = REFERENCES.get(name, partial(ks.create_model, name))(weights=weights)
        dataset = calibration(model, people)
        images = read_images(dataset, model.input_shape[1:], CALIBRATION_IMAGES)
        if weights is None:
            normalize(model, images)
        (folder / name).mkdir(exist_ok=True)
        yield Network(name, model, images, folder / name)


def normalize(model: keras.Model, images: np.ndarray) -> None:
    """Give a model's BatchNormalization layers the statistics of images, and a positive bias."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            if layer.center:
                layer.beta.assign(np.full(layer.beta.shape, BIAS, np.float32))
    model(images, training=True)


def calibration(model: keras.Model, people: "SyntheticPeople") -> "tf.data.Dataset":
    """Return batches of synthetic people in the input size of a model."""
    if model.name.startswith(PREFIX):
        return ks.data.keypoints(*people, model=model, training=True)
    return ks.data.classification(people.image_dir, crop_size=model.input_shape[1:3], batch_size=1)
