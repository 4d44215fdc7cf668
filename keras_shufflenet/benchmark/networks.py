"""The networks that are measured, with images to calibrate them on.

Without weights nothing must be downloaded: kernels are random, and batch normalizations get the
statistics of the images, so that ranges are like those of trained networks. With ranges that
vanish or explode int8 files would hold other operators. Biases let most numbers pass the ReLUs:
where half of them are cut, networks of forty blocks are chaotic and enlarge every rounding.
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
from keras_shufflenet.export.quantization import read_images
from keras_shufflenet.models.pose import PREFIX

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_shufflenet.data import SyntheticPeople

CALIBRATION_IMAGES = 8
BIAS = 1.0  # in standard deviations
REFERENCES = {"keras.applications.MobileNetV2": keras.applications.MobileNetV2}


def find(patterns: Sequence[str]) -> list[str]:
    """The networks whose names match shell patterns: the package's, and those of Keras' own.

    Raises:
        ValueError: if a pattern matches none.
    """
    known = [*ks.list_models(), *ks.list_models(task="pose")]
    known += [f"{name}_{head}" for name in ks.list_models(task="pose") for head in ("light", "fpn")]
    known += REFERENCES
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in known):
            raise ValueError(
                f"no model has such a name, see `keras-shufflenet models`. Received: {pattern}"
            )
    return [name for name in known if any(fnmatch(name, pattern) for pattern in patterns)]


def build(names: Sequence[str], weights: str | None, folder: Path) -> Iterator[Network]:
    """Build networks, one after the other.

    Args:
        names: of `find`.
        weights: what the builders take; None for kernels drawn at random.
        folder: gets a folder for each network's files, and one of drawn people.

    Yields:
        Each network with images.
    """
    people = ks.synthetic_people.create_dataset(
        folder / "people", CALIBRATION_IMAGES, progress=False
    )
    for name in names:
        model = REFERENCES.get(name, partial(ks.create_model, name))(weights=weights)
        dataset = calibration(model, people)
        images = read_images(dataset, model.input_shape[1:3], CALIBRATION_IMAGES)
        if weights is None:
            normalize(model, images)
        (folder / name).mkdir(exist_ok=True)
        yield Network(name, model, images, folder / name)


def normalize(model: keras.Model, images: np.ndarray) -> None:
    """Give a model's batch normalizations the statistics of images, and a bias."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
            if layer.center:
                layer.beta.assign(np.full(layer.beta.shape, BIAS, np.float32))
    model(images, training=True)


def calibration(model: keras.Model, people: "SyntheticPeople") -> "tf.data.Dataset":
    """Batches of images of a model's size, cut out of drawings."""
    if model.name.startswith(PREFIX):
        return ks.data.keypoints(*people, model=model, training=True)
    return ks.data.classification(people.images, crop_size=model.input_shape[1:3], batch_size=1)
