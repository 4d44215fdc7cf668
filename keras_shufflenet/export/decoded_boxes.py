"""A detector with the decoding of its boxes inside, for MediaPipe's ObjectDetector."""

from dataclasses import replace

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from keras_shufflenet.detection.priors import BINS, BOX_CHANNELS, Design, make_priors
from keras_shufflenet.export.source import ExportSource
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.litert.metadata import ModelMetadata
from keras_shufflenet.litert.object_detector import OUTPUTS, point_anchors

PREFIX = "decode_"  # of the names of layers, which stay in float
SIDES = 4


def check_decodable(source: ExportSource) -> Design:
    """Return the design of a detector whose boxes can be decoded inside.

    Raises:
        ValueError: If it is another model.
    """
    design = source.metadata.design
    if design is None or design.box_code != "distances":
        raise ValueError(
            "`target` must be None but for NanoDet and NanoDet-Plus, whose boxes can be decoded "
            f"for MediaPipe. Received: target='mediapipe' for {source.predictor.name}"
        )
    return design


def with_decoded_boxes(network: keras.Model, design: Design, size: tuple[int, int]) -> keras.Model:
    """Return a network that also decodes its boxes.

    Args:
        network: Maps images to raw outputs (N, priors, classes + 32) of NanoDet.
        design: What they mean.
        size: (height, width) of the images, to which boxes are clipped.

    Returns:
        A model with the outputs "location" (N, priors, 4), the center of the box relative to the
        point, y and x, its height and its width, in strides; and "score" (N, priors, classes),
        logits.
    """
    raw = network.outputs[0]
    rows, columns = raw.shape[1:]
    scores = raw[..., : columns - BOX_CHANNELS]
    x = layers.Reshape((rows * SIDES, BINS), name=f"{PREFIX}bins")(raw[..., -BOX_CHANNELS:])
    x = layers.Softmax(name=f"{PREFIX}softmax")(x)
    x = layers.Reshape((rows, BOX_CHANNELS), name=f"{PREFIX}sides")(x)
    x = _multiplied(x, _EXPECTATION, "distances")
    x = keras.ops.minimum(x, _limits(design, size))
    locations = _multiplied(x, _CENTER_AND_SIZE, "location")
    outputs = dict(zip(OUTPUTS, (locations, scores), strict=True))
    return keras.Model(network.inputs[0], outputs, name=network.name)


def decoded(source: ExportSource) -> ExportSource:
    """Return what is exported with the boxes decoded; `check_decodable` comes first."""
    design = check_decodable(source)
    size = source.predictor.input_size
    model = with_decoded_boxes(source.model, design, size)
    labels = source.metadata.labels
    return replace(
        source,
        model=model,
        output_names=OUTPUTS,
        predictor=Predictor.load(model, size),
        metadata=ModelMetadata(labels=labels, anchors=point_anchors(design, size)),
    )


# From the distributions of the distances to the left, top, right and bottom to these (32, 4), and
# from these to the center, y and x, height and width (4, 4).
_EXPECTATION = np.kron(np.eye(SIDES), np.arange(BINS)[:, np.newaxis]).astype(np.float32)
_CENTER_AND_SIZE = np.array(
    [[0, -0.5, 0, 1], [-0.5, 0, 1, 0], [0, 0.5, 0, 1], [0.5, 0, 1, 0]], np.float32
)


def _multiplied(x: keras.KerasTensor, kernel: NDArray[np.float32], name: str) -> keras.KerasTensor:
    layer = layers.Dense(kernel.shape[1], name=f"{PREFIX}{name}")
    y = layer(x)
    layer.set_weights([kernel, np.zeros(kernel.shape[1], np.float32)])
    return y


def _limits(design: Design, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the greatest distances (1, priors, 4) within the image, in strides."""
    x, y, stride = make_priors(design, size).T
    height, width = size
    limits = np.stack([x, y, width - x, height - y], axis=-1) / stride[:, np.newaxis]
    return limits[np.newaxis].astype(np.float32)
