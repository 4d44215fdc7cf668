"""What an exported file says about itself, for MediaPipe Tasks and for `inference`.

TensorFlow Lite's metadata: a flatbuffer of names, pixel normalization and associated files inside
of the model, the associated files zipped behind it. Schema: `metadata_schema.fbs` of MediaPipe,
which alone has the generated classes; here a table of the schema is a tuple of its fields in their
order: None where a field is left out, an integer for a byte (unions are preceded by their type).
"""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np

from keras_shufflenet.inference.pose import PosePredictor, knows_joints
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton
from keras_shufflenet.litert.metadata import AXIS_FILES, ModelMetadata
from keras_shufflenet.litert.schema import add_metadata
from keras_shufflenet.version import __version__

ENTRY = "TFLITE_METADATA"
FILE_IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"  # of the first metadata parser that knows all of the fields below
AXIS_LABELS = 2  # AssociatedFileType: names of what stands along the tensor's last axis
DESCRIPTIONS = 1
IMAGE_PROPERTIES = 2  # index in the union ContentProperties
NORMALIZATION = 1  # index in the union ProcessUnitOptions
RGB = 1
Table = tuple[Any, ...]

EPOCH = (1980, 1, 1, 0, 0, 0)  # of a zip file: exports of the same network are the same bytes


def describe(
    predictor: Predictor,
    labels: Sequence[str] | None = None,
    codec: HeatmapCodec | None = None,
    skeleton: str | Skeleton | None = None,
) -> ModelMetadata:
    """Find out what a file of the model should say about itself.

    Args:
        predictor: of the model, with the input size of the file.
        labels: names of a classifier's classes; by default those that the model is known to have.
        codec: of a pose estimator; by default the `"msra"` codec of the model's sizes.
        skeleton: of a pose estimator; by default COCO's for 17 heatmaps and MPII's for 16.

    Returns:
        The description; empty for a model that is neither of the two.

    Raises:
        ValueError: the arguments contradict the model.
    """
    shape = predictor.find_output_shape()
    undecided = codec is None and skeleton is None
    if labels is not None or (len(shape) == 1 and undecided):
        return ModelMetadata(labels=_labels(labels, shape) or predictor.metadata.labels)
    if undecided and not knows_joints(shape):
        return ModelMetadata()
    estimator = PosePredictor.load(predictor, codec=codec, skeleton=skeleton)
    return ModelMetadata(codec=estimator.codec, skeleton=estimator.skeleton)


def _labels(labels: Sequence[str] | None, shape: tuple[int, ...]) -> tuple[str, ...]:
    if labels is None:
        return ()
    if isinstance(labels, str) or not isinstance(labels, (Sequence, np.ndarray)):
        raise ValueError(
            "`labels` must be a list with one name for each class of a classifier. "
            f"Received: {labels!r}"
        )
    if len(shape) != 1 or len(labels) != shape[0]:
        raise ValueError(
            "`labels` must be a list with one name for each class of a classifier. "
            f"Received: {len(labels)} names for an output of shape {shape}"
        )
    wrong = [label for label in labels if not isinstance(label, str) or not label.strip()]
    wrong += [label for label in labels if isinstance(label, str) and len(label.splitlines()) > 1]
    if wrong:
        raise ValueError(f"Labels must be lines of text, not empty. Received: {wrong[0]!r}")
    return tuple(labels)


def attach(
    content: bytes, name: str, description: ModelMetadata, takes_pixels: bool = True
) -> bytes:
    """Write the metadata and the associated files into a `.tflite` file.

    Args:
        content: of the file, with one input of images and one output.
        name: of the model.
        description: what to write.
        takes_pixels: whether real-valued inputs are 0..255; otherwise the metadata do not say how
            to normalize, and MediaPipe refuses the file rather than feed it pixels.
    """
    files = description.files()
    builder = flatbuffers.Builder()
    builder.Finish(_write(builder, _metadata(name, list(files), takes_pixels)), FILE_IDENTIFIER)
    return _append(add_metadata(content, ENTRY, bytes(builder.Output())), files)


def _append(content: bytes, files: dict[str, str]) -> bytes:
    """Zip files behind a model, uncompressed, so that phones read them where they lie."""
    whole = io.BytesIO(content)
    with zipfile.ZipFile(whole, "a") as archive:
        for file, text in files.items():
            archive.writestr(zipfile.ZipInfo(file, EPOCH), text)
    return whole.getvalue() if files else content


def _metadata(name: str, files: list[str], takes_pixels: bool) -> Table:
    """The schema's table `ModelMetadata`."""
    axis = [(file, None, AXIS_LABELS) for file in files if file in AXIS_FILES]
    others = [(file, None, DESCRIPTIONS) for file in files if file not in AXIS_FILES]
    pixels = [(NORMALIZATION, ([0.0], [1.0]))] if takes_pixels else []
    image = ("images", "RGB image", None, (IMAGE_PROPERTIES, (RGB,)), pixels)
    output = ("output", None, None, None, None, None, axis)
    graph = (None, None, [image], [output])
    made_by = f"keras-shufflenet {__version__}"
    return (name, made_by, None, [graph], None, None, others, PARSER_VERSION)


def _write(builder: flatbuffers.Builder, value: str | list[Any] | Table) -> int:
    """Write a text, a vector or a table and what is in it; returns its offset."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        return _write_vector(builder, value)
    offsets = [
        _write(builder, slot) if isinstance(slot, (str, list, tuple)) else 0 for slot in value
    ]
    builder.StartObject(len(value))
    for index, (slot, offset) in enumerate(zip(value, offsets, strict=True)):
        if isinstance(slot, int):
            builder.PrependInt8Slot(index, slot, 0)
        elif slot is not None:
            builder.PrependUOffsetTRelativeSlot(index, offset, 0)
    return builder.EndObject()


def _write_vector(builder: flatbuffers.Builder, values: list[Any]) -> int:
    if values and isinstance(values[0], float):
        return builder.CreateNumpyVector(np.array(values, np.float32))
    offsets = [_write(builder, value) for value in values]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
