"""What a `.tflite` file says about itself: small files that are zipped behind the model.

`labels.txt` has one class a line, `keypoints.txt` one joint a line; `pose.json` has everything that
is needed to cut people out and to read their joints from the heatmaps.
"""

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keras_shufflenet.keypoints.boxes import BBOX_PADDING
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import Skeleton

LABELS_FILE = "labels.txt"
JOINTS_FILE = "keypoints.txt"
POSE_FILE = "pose.json"
# The file format keeps the names of its first version.
CODEC_KEYS = {"blur_kernel_size": "blur_kernel", "keypoint_weights": "joint_weights"}
SKELETON_KEYS = {"keypoint_names": "joints", "keypoint_weights": "joint_weights"}
QUARTER_OFFSET = "quarter_offset", "default"  # the decoding here and in the file
AXIS_FILES = (LABELS_FILE, JOINTS_FILE)  # names of what stands along the output's last axis
LIMIT = 1 << 22  # bytes of one file; names of 20 000 classes are a tenth of it


@dataclass(frozen=True)
class ModelMetadata:
    """What is known of a model beyond its numbers.

    Attributes:
        labels: names of a classifier's classes; empty if not known.
        codec: of a pose estimator, else None.
        skeleton: of a pose estimator, else None.
    """

    labels: tuple[str, ...] = ()
    codec: HeatmapCodec | None = None
    skeleton: Skeleton | None = None

    def files(self) -> dict[str, str]:
        """The texts of the files by their names."""
        found = {}
        if self.labels:
            found[LABELS_FILE] = "\n".join(self.labels)
        if self.codec and self.skeleton:
            found[JOINTS_FILE] = "\n".join(self.skeleton.keypoint_names)
            found[POSE_FILE] = _pose_text(self.codec, self.skeleton)
        return found

    @classmethod
    def read(cls, path: Path) -> "ModelMetadata":
        """Read what a `.tflite` file says; nothing if it says nothing.

        Raises:
            ValueError: there are such files, but they do not hold what they should; or the model
                speaks of them and they are not there.
        """
        if not zipfile.is_zipfile(path):
            _check_whole(path)
            return cls()
        try:
            with zipfile.ZipFile(path) as archive:
                labels, pose = _text(archive, LABELS_FILE), _text(archive, POSE_FILE)
            codec, skeleton = _parse_pose(pose) if pose else (None, None)
        except (zipfile.BadZipFile, ValueError, TypeError, KeyError, NotImplementedError) as error:
            raise ValueError(
                f"The files zipped behind a model must be {LABELS_FILE}, {JOINTS_FILE} and "
                f"{POSE_FILE} as `export.litert` writes them ({error}). Received: {str(path)!r}"
            ) from error
        return cls(tuple(labels.splitlines()), codec, skeleton)


def _check_whole(path: Path) -> None:
    content = path.read_bytes()
    missing = [name for name in (LABELS_FILE, POSE_FILE) if name.encode() in content]
    if missing:
        raise ValueError(
            f"The file is cut off: {', '.join(missing)} should be zipped behind the model. "
            f"Received: {str(path)!r}"
        )


def _pose_text(codec: HeatmapCodec, skeleton: Skeleton) -> str:
    """As JSON; `stride` and `padding` are for other readers, here they follow from the rest."""
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


def _to_format(fields: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    """Fields of a dataclass by their names in the file."""
    if fields.get("decoding") == QUARTER_OFFSET[0]:
        fields["decoding"] = QUARTER_OFFSET[1]
    return {keys.get(name, name): value for name, value in fields.items()}


def _from_format(fields: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    """What the file says, as arguments of a dataclass."""
    names = {key: name for name, key in keys.items()}
    found = {names.get(key, key): _as_tuples(value) for key, value in fields.items()}
    if found.get("decoding") == QUARTER_OFFSET[1]:
        found["decoding"] = QUARTER_OFFSET[0]
    return found


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _text(archive: zipfile.ZipFile, name: str) -> str:
    """The text of a file, empty if it is missing."""
    if name not in archive.namelist():
        return ""
    with archive.open(name) as file:
        content = file.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise ValueError(f"{name} has more than {LIMIT} bytes")
    return content.decode()
