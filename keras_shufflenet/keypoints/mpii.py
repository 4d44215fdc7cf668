"""MPII Human Pose: reading the usual json list and scoring by PCKh. Source: mmpose v0.29."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_shufflenet.keypoints.annotations import PoseInstances
from keras_shufflenet.keypoints.boxes import PIXEL_STD
from keras_shufflenet.keypoints.json_files import Entry, as_entries, load
from keras_shufflenet.keypoints.skeletons import MPII

HEAD_SHARE = 0.6  # of the diagonal of the head's box, the length that errors are measured by

_GROUPS = {
    "Head": (9,),
    "Shoulder": (12, 13),
    "Elbow": (11, 14),
    "Wrist": (10, 15),
    "Hip": (2, 3),
    "Knee": (1, 4),
    "Ankle": (0, 5),
}
_EXCLUDED = [6, 7]  # pelvis and thorax do not enter the mean


def read_mpii(annotations: str | Path | list[dict[str, Any]]) -> PoseInstances:
    """Read a list of image, center, scale, joints and joints_vis.

    The file counts pixels from 1, the records from 0. A person's square box is the one that its
    center, moved down by 15 * scale, and its scale stand for.

    Args:
        annotations: a json file, or what one holds.

    Returns:
        The people in the file's order; every image has an id of its own in order of appearance,
        and its size is 0, since the file does not state it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file does not hold what it should, or nobody.
    """
    content, name = load(annotations, "annotations")
    entries = as_entries(content, name)
    if not entries:
        raise ValueError(f"{name} must hold at least one person. Received: an empty list")
    files = [entry.text("image") for entry in entries]
    numbers = {file: index for index, file in enumerate(dict.fromkeys(files))}
    joints = [entry.pairs("joints", len(MPII)) for entry in entries]
    visible = [entry.numbers("joints_vis", len(MPII)) for entry in entries]
    boxes = np.stack([_box(entry) for entry in entries])
    return PoseInstances(
        skeleton=MPII,
        image_id=np.array([numbers[file] for file in files], np.int64),
        file_name=np.array(files),
        image_size=np.zeros((len(files), 2), np.int64),
        bboxes=boxes,
        bbox_scores=np.ones(len(files)),
        keypoints=(np.array(joints, np.float64) - 1).astype(np.float32),
        keypoints_visible=(np.array(visible) > 0).astype(np.float32),
        areas=boxes[:, 2] * boxes[:, 3],
    )


def evaluate_pckh(
    predictions: np.ndarray, ground_truth: str | Path | dict[str, np.ndarray]
) -> dict[str, float]:
    """Score predictions: percentages of joints within half a head's length of the truth.

    Args:
        predictions: (N, 16, 2) or (N, 16, 3) as (x, y, ...) in 0-based pixels, in the order of the
            ground truth.
        ground_truth: `mpii_gt_val.mat`, or its arrays `jnt_missing` (16, N), `pos_gt_src`
            (16, 2, N), 1-based, and `headboxes_src` (2, 2, N).

    Returns:
        Head, Shoulder, Elbow, Wrist, Hip, Knee, Ankle (the mean of left and right), PCKh (the mean
        over all labeled joints but pelvis and thorax) and PCKh@0.1 (the same within a tenth of a
        head). NaN where no joint is labeled.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: arrays are missing or do not fit each other.
    """
    missing, positions, headboxes = _load_truth(ground_truth)
    predictions = np.asarray(predictions, np.float64)
    people = missing.shape[1]
    if predictions.shape[:2] != (people, len(MPII)) or predictions.shape[2:] not in [(2,), (3,)]:
        raise ValueError(
            f"Predictions have the shape ({people}, {len(MPII)}, 2 or 3), one for each person of "
            f"the ground truth. Received: {predictions.shape}"
        )
    heads = HEAD_SHARE * np.linalg.norm(headboxes[1] - headboxes[0], axis=0)
    distances = np.linalg.norm(predictions[..., :2].transpose(1, 2, 0) + 1 - positions, axis=1)
    errors, labeled = distances / heads, missing == 0
    joints = _percentages((errors <= 0.5) & labeled, labeled)
    # the reference keeps the parts of this figure in single precision
    strict = _percentages((errors <= 0.1) & labeled, labeled).astype(np.float32)
    groups = {name: float(np.mean(joints[list(group)])) for name, group in _GROUPS.items()}
    return groups | {"PCKh": _mean(joints, labeled), "PCKh@0.1": _mean(strict, labeled)}


def _box(entry: Entry) -> np.ndarray:
    """Return the square box (x, y, width, height) of an annotation, in 0-based pixels."""
    (x, y), scale = entry.numbers("center", 2), entry.number("scale")
    if x != -1:
        y += 15 * scale
    size = PIXEL_STD * scale
    return np.array([x - 1 - size / 2, y - 1 - size / 2, size, size])


def _load_truth(source: str | Path | dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return jnt_missing, pos_gt_src and headboxes_src."""
    arrays = source if isinstance(source, dict) else _load_mat(Path(source))
    names = ("jnt_missing", "pos_gt_src", "headboxes_src")
    if absent := [name for name in names if name not in arrays]:
        raise ValueError(f"The ground truth needs {absent}. Received: {sorted(arrays)}")
    missing, positions, headboxes = (np.asarray(arrays[name], np.float64) for name in names)
    people = missing.shape[-1]
    wanted = [(len(MPII), people), (len(MPII), 2, people), (2, 2, people)]
    received = [missing.shape, positions.shape, headboxes.shape]
    if received != wanted:
        raise ValueError(
            f"{names} have the shapes (16, N), (16, 2, N), (2, 2, N). Received: {received}"
        )
    return missing, positions, headboxes


def _load_mat(path: Path) -> dict[str, np.ndarray]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise FileNotFoundError(f"The ground truth must be a file that exists. Received: {path}")
    try:
        return loadmat(path)
    except (MatReadError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{path.name} must be a MATLAB file. Received: {error}") from error


def _percentages(correct: np.ndarray, labeled: np.ndarray) -> np.ndarray:
    """Return the percentage of each joint, NaN where it is never labeled."""
    count = labeled.sum(1)
    blank = np.full(len(count), np.nan)
    return np.divide(100.0 * correct.sum(1), count, out=blank, where=count > 0)


def _mean(joints: np.ndarray, labeled: np.ndarray) -> float:
    """Return the mean of the joints that count, each as often as it is labeled."""
    count = labeled.sum(1)
    count[_EXCLUDED] = 0
    counted = count > 0
    if not counted.any():
        return float("nan")
    return float((joints[counted] * (count[counted] / count.sum())).sum())
