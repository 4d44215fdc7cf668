"""MPII Human Pose: reading annotations in mmpose's JSON format, and PCKh.

Source: mmpose v0.29.
"""

import codecs
import io
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_shufflenet._read_report import ReadReport
from keras_shufflenet.keypoints.annotations import (
    MAX_COORDINATE,
    JSONObject,
    PoseInstances,
    as_objects,
    read_json,
)
from keras_shufflenet.keypoints.boxes import PIXEL_STD
from keras_shufflenet.keypoints.skeletons import MPII
from keras_shufflenet.weights.errors import MALFORMED

HEAD_FACTOR = 0.6  # head size = factor * diagonal of the head box

_GROUPS = {
    "Head": (9,),
    "Shoulder": (12, 13),
    "Elbow": (11, 14),
    "Wrist": (10, 15),
    "Hip": (2, 3),
    "Knee": (1, 4),
    "Ankle": (0, 5),
}
_EXCLUDED = [6, 7]  # pelvis and thorax are not part of the mean


def is_mpii_json(annotations: Any) -> bool:
    """Return whether the path is that of a JSON list, which a COCO file is not."""
    if not isinstance(annotations, str | Path) or not Path(annotations).is_file():
        return False
    with Path(annotations).open("rb") as file:
        return file.read(64).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")


def read_mpii(annotations: str | Path | list[dict[str, Any]]) -> PoseInstances:
    """Read a list of objects with image, center, scale, joints and joints_vis.

    Pixels are 1-based in the file and 0-based in the instances. A person's square bounding box
    follows from its scale and its center, shifted down by 15 * scale.

    Every entry is read. `read_coco` leaves out persons without labeled keypoints; here they stay,
    as `evaluate_pckh` needs a row for each person of the ground truth.

    Args:
        annotations: Path of a JSON file, or its content.

    Returns:
        The instances in the order of the file. Image ids number the images in order of appearance.
        Image sizes are 0, as the file does not state them.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is malformed or empty, or coordinates exceed 100000 pixels.
    """
    content, name = read_json(annotations, "annotations")
    entries = as_objects(content, name)
    if not entries:
        raise ValueError(f"{name} must contain at least one person. Received: an empty list")
    files = [entry.text("image") for entry in entries]
    image_ids = {file: index for index, file in enumerate(dict.fromkeys(files))}
    keypoints = [entry.pairs("joints", len(MPII), MAX_COORDINATE) for entry in entries]
    visible = [_visible(entry) for entry in entries]
    boxes = np.stack([_box(entry) for entry in entries])
    report = ReadReport(name, len(entries))
    report.log()
    return PoseInstances(
        skeleton=MPII,
        image_id=np.array([image_ids[file] for file in files], np.int64),
        file_name=np.array(files),
        image_size=np.zeros((len(files), 2), np.int64),
        bboxes=boxes,
        bbox_scores=np.ones(len(files)),
        keypoints=(np.array(keypoints, np.float64) - 1).astype(np.float32),
        keypoints_visible=np.array(visible, np.float32),
        areas=boxes[:, 2] * boxes[:, 3],
        report=report,
    )


def evaluate_pckh(
    predictions: np.ndarray, ground_truth: "str | Path | dict[str, np.ndarray] | GroundTruth"
) -> dict[str, float]:
    """Compute PCKh: the fraction of keypoints within half a head size of the ground truth.

    Args:
        predictions: (N, 16, 2) or (N, 16, 3) as (x, y, ...) in 0-based pixels, in the order of the
            ground truth.
        ground_truth: Path of `mpii_gt_val.mat`, or its arrays `jnt_missing` (16, N), `pos_gt_src`
            (16, 2, N), 1-based, and `headboxes_src` (2, 2, N), or what `load_truth` returns.

    Returns:
        Head, Shoulder, Elbow, Wrist, Hip, Knee, Ankle (means of left and right), PCKh (mean over
        all labeled keypoints except pelvis and thorax) and PCKh@0.1 (the same within a tenth of
        the head size), between 0 and 1. NaN where no keypoint is labeled.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If arrays are missing, their shapes do not match, or numbers are not finite.
    """
    truth = ground_truth if isinstance(ground_truth, GroundTruth) else load_truth(ground_truth)
    missing, positions, headboxes = truth
    predictions = np.asarray(predictions, np.float64)
    count = missing.shape[1]
    if predictions.shape[:2] != (count, len(MPII)) or predictions.shape[2:] not in [(2,), (3,)]:
        raise ValueError(
            f"`predictions` must have shape ({count}, {len(MPII)}, 2 or 3), with one row for each "
            f"person of the ground truth. Received: shape {predictions.shape}"
        )
    if not np.isfinite(predictions).all():
        raise ValueError(
            "`predictions` must be finite. Received: "
            f"{np.count_nonzero(~np.isfinite(predictions))} numbers that are not"
        )
    head_sizes = HEAD_FACTOR * np.linalg.norm(headboxes[1] - headboxes[0], axis=0)
    distances = np.linalg.norm(predictions[..., :2].transpose(1, 2, 0) + 1 - positions, axis=1)
    errors, labeled = distances / head_sizes, missing == 0
    loose = _percentages((errors <= 0.5) & labeled, labeled)
    # the reference rounds the per-keypoint values of this metric to single precision
    strict = _percentages((errors <= 0.1) & labeled, labeled).astype(np.float32)
    percentages = {name: float(np.mean(loose[list(group)])) for name, group in _GROUPS.items()}
    percentages |= {"PCKh": _mean(loose, labeled), "PCKh@0.1": _mean(strict, labeled)}
    return {name: percentage / 100 for name, percentage in percentages.items()}


def check_order(instances: PoseInstances, truth: "GroundTruth") -> None:
    """Check that annotations are those of the ground truth, in its order.

    Raises:
        ValueError: If their numbers differ, or most labeled keypoints of a person are at other
            places.
    """
    count = truth.missing.shape[1]
    if len(instances) != count:
        raise ValueError(
            f"`ground_truth` must have the persons of the annotations. Received: {count} persons, "
            f"{len(instances)} annotations"
        )
    labeled = (truth.missing.T == 0) & (instances.keypoints_visible > 0)
    distances = np.linalg.norm(
        instances.keypoints + 1 - truth.positions.transpose(2, 0, 1), axis=-1
    )
    elsewhere = (labeled & (distances > 1)).sum(axis=1)
    wrong = np.flatnonzero(2 * elsewhere > labeled.sum(axis=1))
    if len(wrong):
        raise ValueError(
            "`ground_truth` must have the persons of the annotations in the same order. Received: "
            f"{len(wrong)} of {count} persons with keypoints at other places, the first is "
            f"annotation {wrong[0]} ({instances.file_name[wrong[0]]})"
        )


def _visible(entry: JSONObject) -> list[float]:
    value = entry.get("joints_vis")
    if isinstance(value, list):  # booleans are 0 and 1 here
        value = [int(item) if isinstance(item, bool) else item for item in value]
    flags = JSONObject({"joints_vis": value}, entry.place)
    visible = flags.numbers("joints_vis", len(MPII))
    if not set(visible) <= {0, 1}:
        raise entry.error("joints_vis", f"a list of {len(MPII)} numbers 0 or 1")
    return visible


def _box(entry: JSONObject) -> np.ndarray:
    """Return the square bounding box (x, y, width, height) of a person in 0-based pixels."""
    x, y = entry.numbers("center", 2, MAX_COORDINATE)
    scale = entry.number("scale", MAX_COORDINATE / PIXEL_STD)
    if scale <= 0:
        raise entry.error("scale", "a positive number")
    if x != -1:
        y += 15 * scale
    size = PIXEL_STD * scale
    return np.array([x - 1 - size / 2, y - 1 - size / 2, size, size])


class GroundTruth(NamedTuple):
    """Ground truth of N persons.

    Attributes:
        missing: (16, N) float64, 0 for labeled keypoints, else 1.
        positions: (16, 2, N) float64, 1-based pixels.
        headboxes: (2, 2, N) float64, two corners of the head.
    """

    missing: np.ndarray
    positions: np.ndarray
    headboxes: np.ndarray


def load_truth(source: str | Path | dict[str, np.ndarray]) -> GroundTruth:
    """Load the ground truth for `evaluate_pckh`.

    Args:
        source: Path of `mpii_gt_val.mat`, or its arrays.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If arrays are missing, their shapes do not match, numbers are not finite, or a
            head has no size.
    """
    arrays = source if isinstance(source, dict) else _load_mat(Path(source))
    names = ("jnt_missing", "pos_gt_src", "headboxes_src")
    if absent := [name for name in names if name not in arrays]:
        raise ValueError(
            f"`ground_truth` must contain the arrays {absent}. Received: {sorted(arrays)}"
        )
    missing, positions, headboxes = (_numbers(name, arrays[name]) for name in names)
    count = missing.shape[-1] if missing.ndim else 0
    expected = [(len(MPII), count), (len(MPII), 2, count), (2, 2, count)]
    received = [missing.shape, positions.shape, headboxes.shape]
    if received != expected or not count:
        raise ValueError(
            f"{names} must have the shapes (16, N), (16, 2, N), (2, 2, N). Received: {received}"
        )
    if not np.isin(missing, (0, 1)).all():
        raise ValueError(
            "'jnt_missing' must be 0 or 1. "
            f"Received: {missing[~np.isin(missing, (0, 1))][0]:g} among them"
        )
    sizes = np.linalg.norm(headboxes[1] - headboxes[0], axis=0)
    if sizes.min() <= 0:
        raise ValueError(
            "'headboxes_src' must be two different corners for each person. Received: a head of "
            f"size 0 of person number {sizes.argmin()}"
        )
    return GroundTruth(missing, positions, headboxes)


def _numbers(name: str, array: Any) -> np.ndarray:
    try:
        numbers = np.asarray(array, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name!r} must be an array of numbers. Received: {error}") from error
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"{name!r} must be finite. Received: "
            f"{np.count_nonzero(~np.isfinite(numbers))} numbers that are not"
        )
    return numbers


def _load_mat(path: Path) -> dict[str, np.ndarray]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise FileNotFoundError(f"`ground_truth` must be an existing file. Received: {path}")
    content = io.BytesIO(path.read_bytes())
    try:
        return loadmat(content)
    except (*MALFORMED, MatReadError, OSError, zlib.error) as error:
        raise ValueError(f"{path.name} must be a MATLAB file. Received: {error}") from error


def _percentages(correct: np.ndarray, labeled: np.ndarray) -> np.ndarray:
    """Return the percentage of each keypoint, NaN where it is never labeled."""
    count = labeled.sum(1)
    undefined = np.full(len(count), np.nan)
    return np.divide(100.0 * correct.sum(1), count, out=undefined, where=count > 0)


def _mean(percentages: np.ndarray, labeled: np.ndarray) -> float:
    """Return the mean over keypoints, weighted by how often each is labeled."""
    count = labeled.sum(1)
    count[_EXCLUDED] = 0
    counted = count > 0
    if not counted.any():
        return float("nan")
    weighted = percentages[counted] * count[counted]
    return float(weighted.sum() / count.sum())  # divided last: 100 % of all are exactly 100 %
