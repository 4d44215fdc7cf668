import json
from contextlib import contextmanager

import keras
import numpy as np
import pytest
from keras import layers

from keras_shufflenet import synthetic_people
from keras_shufflenet.models import assign_guidance
from keras_shufflenet.models._model_data import attach_data


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """Twelve synthetic people: (json, folder of images)."""
    folder = tmp_path_factory.mktemp("people")
    return tuple(
        synthetic_people.create_dataset(folder, 12, image_size=(96, 96), workers=1, verbose=False)
    )


@pytest.fixture(scope="session")
def golden_losses(shared):
    """Losses and assignments of the reference, and its boxes with two rows of padding."""
    golden = json.loads((shared / "golden" / "detection" / "losses.json").read_text())
    boxes = np.zeros((3, 7, 4), np.float32)
    labels = np.full((3, 7), -1, np.int32)
    for image, (found, classes) in enumerate(
        zip(golden["boxes_xyxy"], golden["labels"], strict=True)
    ):
        if found:
            boxes[image, 1 : 1 + len(found)] = found
            labels[image, 1 : 1 + len(found)] = classes
    return golden, boxes, labels


def tiny_detector(classes=("person",), size=64):
    """As small as a detector with the outputs and the layer names of NanoDet-Plus can be."""
    image = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 255)(image)
    outputs, maps = [], []
    for level, strides in enumerate((8, 2, 2, 2)):
        x = layers.Conv2D(16, strides, strides, use_bias=False, name=f"stage{level}")(x)
        x = layers.ReLU()(layers.BatchNormalization(name=f"stage{level}_bn")(x))
        maps.append(x)
    for level, x in enumerate(maps):
        if level < 3:
            x = layers.Conv2D(16, 1, name=f"neck_reduce{level}")(x)
        x = layers.DepthwiseConv2D(1, name=f"tower{level}_conv0_dw")(x)
        x = layers.Conv2D(len(classes) + 32, 1, name=f"head_level{level}")(x)
        outputs.append(layers.Reshape((-1, len(classes) + 32))(x))
    x = attach_data(layers.Concatenate(axis=1)(outputs), "class_names", list(classes))
    return keras.Model(image, x, name="tiny")


@contextmanager
def tiny_guidance():
    """Build assign guidance modules with few layers, as a step of training runs one by one."""

    def neck(maps, channels, activation, prefix):
        x = [layers.Conv2D(channels, 1, name=f"{prefix}{i}")(each) for i, each in enumerate(maps)]
        return [*x, layers.AveragePooling2D(2, name=f"{prefix}extra")(x[-1])]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assign_guidance, "CONVOLUTIONS", 1)
        patch.setattr(assign_guidance, "ghost_path_aggregation", neck)
        yield
