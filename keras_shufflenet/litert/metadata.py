"""Metadata of a `.tflite` file: reading and writing.

Associated files are appended to the model as a zip archive: `labels.txt` has a class name per line,
`keypoints.txt` a keypoint name per line. `pose.json` has everything that is needed to crop persons
and to decode heatmaps, `detector.json` what is needed to fit images and to decode boxes.

TensorFlow Lite's own metadata, for MediaPipe Tasks, is a flatbuffer inside the model with names,
pixel normalization and the list of associated files. Its schema is `metadata_schema.fbs` of
MediaPipe, which alone has the generated classes; `flatbuffer_tables` writes it.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_shufflenet.detection.decoding import (
    PREDICTION_IOU_THRESHOLD,
    PREDICTION_SCORE_THRESHOLD,
)
from keras_shufflenet.detection.priors import BINS, Design
from keras_shufflenet.keypoints.boxes import BBOX_PADDING
from keras_shufflenet.keypoints.codec import DEFAULT_ENCODING, Encoding, HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton

LABELS_FILE = "labels.txt"
KEYPOINTS_FILE = "keypoints.txt"
POSE_FILE = "pose.json"
DETECTOR_FILE = "detector.json"
FILES = (LABELS_FILE, POSE_FILE, DETECTOR_FILE)  # those that are read
# Names of fields in pose.json where they differ from ours.
CODEC_KEYS = {"blur_kernel_size": "blur_kernel", "keypoint_weights": "joint_weights"}
SKELETON_KEYS = {"keypoint_names": "joints", "keypoint_weights": "joint_weights"}
QUARTER_OFFSET = "quarter_offset", "default"  # a decoding, here and in the file
# Names along the last axis of the output; that of a detector is longer than the list of classes.
AXIS_FILES = (LABELS_FILE, KEYPOINTS_FILE)
MAX_FILE_SIZE = 1 << 22  # bytes; names of 20 000 classes take a tenth of it


METADATA_ENTRY = "TFLITE_METADATA"
METADATA_IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"  # the first metadata parser with all of the fields below
AXIS_LABELS = 2  # AssociatedFileType: names along the last axis of the tensor
DESCRIPTIONS = 1
IMAGE_PROPERTIES = 2  # index in the union ContentProperties
NORMALIZATION = 1  # index in the union ProcessUnitOptions
RGB, GRAYSCALE = 1, 2  # ColorSpaceType
COLORS = {1: ("gray image", GRAYSCALE), 3: ("RGB image", RGB)}  # by the number of channels
Table = tuple[Any, ...]  # see `flatbuffer_tables`

EPOCH = (1980, 1, 1, 0, 0, 0)  # fixed, so that equal models give equal bytes
# The release that last changed what is written: equal models give equal bytes.
WRITER = "keras-shufflenet 0.1.0"


@dataclass(frozen=True)
class ModelMetadata:
    """Metadata of a model.

    Attributes:
        labels: Class names of a classifier or detector; empty if unknown.
        codec: Codec of a pose estimator, else None.
        skeleton: Keypoints of a pose estimator, else None.
        design: What the outputs of a detector mean, else None.
        anchors: (N, 4), of a detector whose boxes are decoded inside, for MediaPipe: center x and
            y, width and height in fractions of the image; else None. They are not read.
        encoding: Encoding of the heatmaps of a pose estimator without a codec: a Keras model,
            whose codec depends on its sizes.
    """

    labels: tuple[str, ...] = ()
    codec: HeatmapCodec | None = None
    skeleton: Skeleton | None = None
    design: Design | None = None
    anchors: NDArray[np.float64] | None = field(default=None, compare=False)
    encoding: Encoding = DEFAULT_ENCODING

    def files(self) -> dict[str, str]:
        """Return the contents of the associated files by name."""
        found = {}
        if self.labels:
            found[LABELS_FILE] = "\n".join(self.labels)
        if self.codec and self.skeleton:
            found[KEYPOINTS_FILE] = "\n".join(self.skeleton.keypoint_names)
            found[POSE_FILE] = _pose_text(self.codec, self.skeleton)
        if self.design:
            found[DETECTOR_FILE] = _detector_text(self.design)
        return found

    @classmethod
    def read(cls, path: Path) -> "ModelMetadata":
        """Read the metadata of a `.tflite` file; empty if it has none.

        Raises:
            ValueError: If the associated files are malformed, or the model refers to files that
                are missing.
        """
        if not zipfile.is_zipfile(path):
            _check_whole(path)
            return cls()
        try:
            with zipfile.ZipFile(path) as archive:
                return cls.from_files({name: _text(archive, name) for name in FILES})
        except (zipfile.BadZipFile, ValueError, TypeError, KeyError, NotImplementedError) as error:
            raise ValueError(
                f"The associated files of a model must be {LABELS_FILE}, {KEYPOINTS_FILE}, "
                f"{POSE_FILE} and {DETECTOR_FILE} as `export.litert` writes them ({error}). "
                f"Received: {str(path)!r}"
            ) from error

    @classmethod
    def from_files(cls, files: Mapping[str, str]) -> "ModelMetadata":
        """Return the metadata of what `files` returned.

        Raises:
            KeyError, TypeError, ValueError: If a file is malformed.
        """
        labels, pose, detector = (files.get(name, "") for name in FILES)
        codec, skeleton = _parse_pose(pose) if pose else (None, None)
        return cls(
            tuple(labels.splitlines()),
            codec,
            skeleton,
            _parse_detector(detector) if detector else None,
        )


def _check_whole(path: Path) -> None:
    content = path.read_bytes()
    missing = [name for name in FILES if name.encode() in content]
    if missing:
        raise ValueError(
            f"The file must end in its associated files {', '.join(missing)}; it is truncated. "
            f"Received: {str(path)!r}"
        )


def _pose_text(codec: HeatmapCodec, skeleton: Skeleton) -> str:
    """Return pose.json; its redundant `stride` and `padding` are for other readers."""
    x, y = map(float, codec.stride)
    facts = {
        "padding": BBOX_PADDING,
        "stride": (y, x),
        "codec": _to_format(asdict(codec), CODEC_KEYS),
        "skeleton": _to_format(asdict(skeleton), SKELETON_KEYS),
    }
    return json.dumps(facts, indent=1)


def _parse_pose(text: str) -> tuple[HeatmapCodec, Skeleton]:
    facts = json.loads(text)
    codec = _from_format(facts["codec"], CODEC_KEYS)
    skeleton = _from_format(facts["skeleton"], SKELETON_KEYS)
    return HeatmapCodec(**codec), Skeleton(**skeleton)


def _detector_text(design: Design) -> str:
    """Return detector.json; its `bins` and thresholds are for other readers."""
    facts: dict[str, Any] = asdict(design)
    if design.box_code == "distances":
        facts["bins"] = BINS
    facts["score_threshold"] = PREDICTION_SCORE_THRESHOLD
    facts["iou_threshold"] = PREDICTION_IOU_THRESHOLD
    return json.dumps(facts, indent=1)


def _parse_detector(text: str) -> Design:
    facts = json.loads(text)
    return Design(**{each.name: _as_tuples(facts[each.name]) for each in fields(Design)})


def _to_format(found: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    """Rename the fields of a dataclass to those of the file."""
    if found.get("decoding") == QUARTER_OFFSET[0]:
        found["decoding"] = QUARTER_OFFSET[1]
    return {keys.get(name, name): value for name, value in found.items()}


def _from_format(facts: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    """Rename the fields of the file to those of a dataclass."""
    if not isinstance(facts, dict):
        raise TypeError(f"{facts!r} instead of an object")
    names = {key: name for name, key in keys.items()}
    found = {names.get(key, key): _as_tuples(value) for key, value in facts.items()}
    if found.get("decoding") == QUARTER_OFFSET[1]:
        found["decoding"] = QUARTER_OFFSET[0]
    return found


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _text(archive: zipfile.ZipFile, name: str) -> str:
    """Return the text of a file, empty if it is missing."""
    if name not in archive.namelist():
        return ""
    with archive.open(name) as file:
        content = file.read(MAX_FILE_SIZE + 1)
    if len(content) > MAX_FILE_SIZE:
        raise ValueError(f"{name} has more than {MAX_FILE_SIZE} bytes")
    return content.decode()


def attach(
    content: bytes,
    name: str,
    metadata: ModelMetadata,
    takes_pixels: bool = True,
    channels: int = 3,
    outputs: Sequence[str] = ("output",),
) -> bytes:
    """Write metadata and associated files into a `.tflite` file.

    Args:
        content: Bytes of the file, with one input of images.
        name: Name of the model.
        metadata: What to write.
        takes_pixels: Whether float inputs are 0..255; otherwise the metadata do not tell how to
            normalize, and MediaPipe refuses the file rather than pass pixels to it.
        channels: Number of channels of the images.
        outputs: Names of the outputs, in the order of the file.
    """
    # Reading metadata requires none of them.
    from keras_shufflenet.litert.flatbuffer_tables import to_flatbuffer
    from keras_shufflenet.litert.schema import add_metadata

    table = _metadata(name, metadata, takes_pixels, channels, outputs)
    written = to_flatbuffer(table, METADATA_IDENTIFIER)
    return _append(add_metadata(content, METADATA_ENTRY, written), metadata.files())


def _append(content: bytes, files: dict[str, str]) -> bytes:
    """Append files as an uncompressed zip archive, so that phones can map them into memory."""
    whole = io.BytesIO(content)
    with zipfile.ZipFile(whole, "a") as archive:
        for file, text in files.items():
            archive.writestr(zipfile.ZipInfo(file, EPOCH), text)
    return whole.getvalue() if files else content


def _metadata(
    name: str,
    metadata: ModelMetadata,
    takes_pixels: bool,
    channels: int,
    outputs: Sequence[str],
) -> Table:
    """Return the schema's table `ModelMetadata`."""
    files, axis_files = metadata.files(), () if metadata.design else AXIS_FILES
    axis = [(file, None, AXIS_LABELS) for file in files if file in axis_files]
    others = [(file, None, DESCRIPTIONS) for file in files if file not in axis_files]
    pixels = [(NORMALIZATION, ([0.0], [1.0]))] if takes_pixels else []
    description, color = COLORS.get(channels, (f"image with {channels} channels", None))
    content = None if color is None else (IMAGE_PROPERTIES, (color,))
    image = ("images", description, None, content, pixels)
    tables: list[Table] = [(output, None, None, None, None, None, axis) for output in outputs]
    graph: Table = (None, None, [image], tables)
    if metadata.anchors is not None:
        from keras_shufflenet.litert.object_detector import ENTRY, LOCATION, detector_options

        options = detector_options(metadata.anchors, len(metadata.labels))
        tables[0] = (outputs[0], None, None, LOCATION)
        graph = (*graph, None, None, None, None, None, [(ENTRY, options)])
    return (name, WRITER, None, [graph], None, None, others, PARSER_VERSION)
