"""Mutate COCO files and see what becomes of them: read in full, reported, refused, or worse.

    python tools/fuzz_annotations.py --files 300 --results-csv results/fuzz_annotations.csv

Every file has one to three random changes. The reader and the evaluator get it, and the command
line: `evaluate coco --results` for every file, and `evaluate coco` with a network for some.
"""

import copy
import gzip
import json
import logging
import math
import random
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from PIL import Image
from rich.progress import track

from fuzzing import report, run_command
from keras_shufflenet._read_report import LOGGER
from keras_shufflenet.keypoints import COCO, PoseInstances, Skeleton, evaluate_keypoints, read_coco
from keras_shufflenet.keypoints.annotations import MAX_COORDINATE

PROGRAM = "python tools/fuzz_annotations.py"
GOOD = ("read in full", "read, with a report of what is missing", "refused with a clear error")
BAD = ("silent loss", "absurd coordinates", "disagreement", "unclear error", "traceback")
FILE = "mutated.json"
IMAGES, PERSONS, SIZE = 4, 8, (120, 160)  # height, width

Content = dict[str, Any]
PoseKey = tuple[int, bytes]  # image and keypoints

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 2**31, 2**63, 2**70, 1e5, 1e6, 1e20, 1e300, -1e20, 0.5, -0.0,
    math.nan, math.inf, -math.inf, "", "1", "1.0", "7", "x", "NaN", "1e400", "\0", "\ud800", "ü",
    [], [1], [[1, 2]], {}, {"id": 1}, [math.nan] * 51, [0] * 51, [30, 30, 2] * 17, [1, 2, 3, 4],
    "images\\0.png", "%30.png", "/tmp/0.png", "../0.png", "x" * 3000,
)  # fmt: skip


class Outcome(NamedTuple):
    """What a function did with a file: its result, or its error."""

    result: Any
    error: Exception | None

    @property
    def is_refused(self) -> bool:
        """Whether the file was refused as a user's mistake."""
        return isinstance(self.error, ValueError | OSError)


def valid_content() -> Content:
    """Return a COCO file with labeled persons, a crowd and a person without keypoints."""
    rng = np.random.default_rng(0)
    annotations = []
    for number in range(PERSONS):
        x, y = rng.uniform(5, 40), rng.uniform(5, 30)
        points = rng.uniform((x, y), (x + 70, y + 60), (17, 2)).round(2)
        visible = rng.choice([0, 1, 2], (17, 1), p=[0.2, 0.2, 0.6])
        annotations.append(
            {
                "id": 10 + number,
                "image_id": 1 + number % IMAGES,
                "category_id": 1,
                "bbox": [round(x, 2), round(y, 2), 70.0, 60.0],
                "area": 2500.0 + number,
                "iscrowd": 0,
                "num_keypoints": int((visible > 0).sum()),
                "keypoints": np.hstack([points * (visible > 0), visible]).ravel().tolist(),
            }
        )
    empty = {"keypoints": [0] * 51, "num_keypoints": 0}
    annotations.append(annotations[0] | empty | {"id": 90, "iscrowd": 1})
    annotations.append(annotations[1] | empty | {"id": 91})
    height, width = SIZE
    return {
        "images": [
            {"id": 1 + n, "file_name": f"{n}.png", "height": height, "width": width}
            for n in range(IMAGES)
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO.keypoint_names)}],
    }


def mutate(content: Content, rng: random.Random) -> tuple[Content, str]:
    """Return a copy with one random change, and what it is."""
    content = copy.deepcopy(content)
    change = rng.choice((_replace, _replace, _replace, _delete, _duplicate, _rearrange, _rescale))
    return content, change(content, rng)


def _container(content: Content, rng: random.Random) -> tuple[Any, Any, str]:
    """Return a list or an object of the file, a key in it, and its place."""
    if not isinstance(content, dict) or not content:
        return content, None, "root"
    name = rng.choice(sorted(content))
    entries = content[name]
    if rng.random() < 0.1 or not isinstance(entries, list) or not entries:
        return content, name, name
    index = rng.randrange(len(entries))
    entry = entries[index]
    if rng.random() < 0.1 or not isinstance(entry, dict) or not entry:
        return entries, index, f"{name}[{index}]"
    field = rng.choice(sorted(entry))
    if isinstance(entry[field], list) and entry[field] and rng.random() < 0.4:
        item = rng.randrange(len(entry[field]))
        return entry[field], item, f"{name}[{index}].{field}[{item}]"
    return entry, field, f"{name}[{index}].{field}"


def _replace(content: Content, rng: random.Random) -> str:
    container, key, place = _container(content, rng)
    if key is not None:
        container[key] = copy.deepcopy(rng.choice(ODD_VALUES))
    return f"{place} replaced"


def _delete(content: Content, rng: random.Random) -> str:
    container, key, place = _container(content, rng)
    if key is not None:
        del container[key]
    return f"{place} deleted"


def _duplicate(content: Content, rng: random.Random) -> str:
    name = rng.choice(("images", "annotations", "categories"))
    entries = content.get(name)
    if isinstance(entries, list) and entries:
        entry = copy.deepcopy(rng.choice(entries))
        if isinstance(entry, dict) and rng.random() < 0.4:
            entry["id"] = rng.choice((1000, "1000", None, entry.get("id")))
        entries.insert(rng.randrange(len(entries) + 1), entry)
    return f"entry of {name} duplicated"


def _rearrange(content: Content, rng: random.Random) -> str:
    container, key, place = _container(content, rng)
    value = container[key] if key is not None else None
    if isinstance(value, list):
        rng.shuffle(value)
    elif isinstance(value, int | float):
        container[key] = str(value)
    return f"{place} shuffled or made a text"


def _rescale(content: Content, rng: random.Random) -> str:
    container, key, place = _container(content, rng)
    value = container[key] if key is not None else None
    factor = rng.choice((-1, 0, 1e-6, 10, 1e3, 1e30))
    if isinstance(value, list) and all(isinstance(v, int | float) for v in value):
        container[key] = [v * factor for v in value]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        container[key] = value * factor
    return f"{place} times {factor}"


def encode(content: Content, rng: random.Random) -> bytes:
    """Return the bytes of a file: mostly plain, else compressed, in other encodings, or damaged."""
    data = json.dumps(content).encode()
    kind = rng.choices(("plain", "bom", "utf-16", "gzip", "cut", "flip"), (88, 2, 2, 2, 3, 3))[0]
    if kind == "bom":
        return b"\xef\xbb\xbf" + data
    if kind == "utf-16":
        return data.decode().encode("utf-16")
    if kind == "gzip":
        return gzip.compress(data)
    if kind == "cut":
        return data[: rng.randrange(len(data))]
    if kind == "flip":
        position = rng.randrange(len(data))
        return (
            data[:position] + bytes([data[position] ^ 1 << rng.randrange(8)]) + data[position + 1 :]
        )
    return data


def attempt(function: Callable[..., Any], *arguments: Any) -> Outcome:
    """Call a function."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return Outcome(function(*arguments), None)
    except Exception as error:  # every kind is a finding
        return Outcome(None, error)


def judge(data: bytes, valid: Content, read: Outcome, evaluated: Outcome) -> str:
    """Return the verdict on what reader and evaluator did with a file.

    A loss is silent if the report does not account for every annotation of the file, or if an
    instance has keypoints that no annotation has.
    """
    for outcome in (read, evaluated):
        if outcome.error is not None and not outcome.is_refused:
            return "traceback"
        message = str(outcome.error)
        if outcome.is_refused and not (FILE in message and "Received: " in message):
            return "unclear error"
    if read.is_refused != evaluated.is_refused:
        return "disagreement"
    if read.is_refused:
        return "refused with a clear error"
    if not all(-1 <= value <= 1 for value in evaluated.result.values()):
        return "absurd coordinates"
    instances: PoseInstances = read.result
    columns = (instances.bboxes, instances.keypoints, instances.areas**0.5)
    if not all((np.abs(column) <= MAX_COORDINATE).all() for column in columns):
        return "absurd coordinates"
    return _judge_instances(_decode(data), valid, instances)


def _decode(data: bytes) -> Content:
    return json.loads(gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data)


def _judge_instances(content: Content, valid: Content, instances: PoseInstances) -> str:
    """Compare instances with the annotations in a file and with those before its changes."""
    report = instances.report
    given = len(content["annotations"])
    if report.total != given or report.read != len(instances):
        return "silent loss"
    found = Counter(_key(i, p) for i, p in zip(instances.image_id, _poses(instances), strict=True))
    order = _order(content, instances.skeleton)
    keys = [_annotation_key(entry, order) for entry in content["annotations"]]
    listed: Counter[PoseKey | None] = Counter(keys)
    if any(count > listed[pose] for pose, count in found.items()):
        return "silent loss"  # a pose that no annotation has; hence every other one is left out
    readable = [a for a in valid["annotations"] if not a["iscrowd"] and a["num_keypoints"]]
    unchanged = [entry for entry in readable if entry in content["annotations"]]
    is_missing = any(_annotation_key(entry, order) not in found for entry in unchanged)
    return GOOD[1] if is_missing or report.remarks != _remarks_of_valid() else GOOD[0]


def _remarks_of_valid() -> str:
    return "; left out: 1 crowd, 1 without keypoints"


def _poses(instances: PoseInstances) -> np.ndarray:
    visible = instances.keypoints_visible[..., None] > 0
    return np.where(visible, instances.keypoints, 0)


def _key(image_id: int, points: np.ndarray) -> PoseKey:
    return int(image_id), np.asarray(points, np.float32).tobytes()


def _annotation_key(entry: Content, order: np.ndarray | None) -> PoseKey | None:
    try:
        numbers = np.array(entry["keypoints"], np.float64).reshape(-1, 3)
        numbers = numbers if order is None else numbers[order]
        return _key(int(entry["image_id"]), np.where(numbers[:, 2:] > 0, numbers[:, :2], 0))
    except (KeyError, TypeError, ValueError, OverflowError, IndexError):
        return None  # an entry without keypoints


def _order(content: Content, skeleton: Skeleton) -> np.ndarray | None:
    """Return the indices of a skeleton's keypoints in the names of the file, if it has them."""
    names = [c.get("keypoints") for c in content.get("categories") or [] if c.get("id") in (1, "1")]
    if not names or not names[0]:
        return None
    lower = [name.lower() for name in names[0]]
    return np.array([lower.index(name.lower()) for name in skeleton.keypoint_names])


def perfect_results(content: Content) -> list[Content]:
    """Return the labeled keypoints of a valid file as results."""
    return [
        {key: entry[key] for key in ("image_id", "category_id", "keypoints")} | {"score": 0.9}
        for entry in content["annotations"]
    ]


def fuzz(
    files: int, seed: int, folder: Path, networks: int = 0
) -> tuple[Counter[str], Counter[str], list[str]]:
    """Mutate files: the verdicts, how commands ended, and the changes with a bad verdict.

    Args:
        files: Number of files.
        seed: Seed of the changes.
        folder: Where files are written.
        networks: Number of files that are evaluated with a network, too.
    """
    valid, path, poses = valid_content(), folder / FILE, folder / "poses.json"
    poses.write_text(json.dumps(perfect_results(valid)))
    for number in range(IMAGES):
        Image.new("RGB", SIZE[::-1]).save(folder / f"{number}.png")
    network = _network(folder) if networks else None
    verdicts: Counter[str] = Counter()
    commands: Counter[str] = Counter()
    findings = []
    for number in track(range(files), "Files", disable=files < 100):
        rng = random.Random(f"{seed}-{number}")
        content, changes = valid, []
        for _ in range(rng.randint(1, 3)):
            content, change = mutate(content, rng)
            changes.append(change)
        path.write_bytes(data := encode(content, rng))
        read = attempt(read_coco, path)
        verdict = judge(data, valid, read, attempt(evaluate_keypoints, path, poses))
        words = ["evaluate", "coco", "--annotations", str(path)]
        ends = [run_command(*words, "--results", str(poses))]
        if network is not None and number < networks:
            ends.append(run_command(*words, str(network), "--image-dir", str(folder)))
        verdicts[verdict] += 1
        commands.update(ends)
        if verdict in BAD or not {"done", "refused"}.issuperset(ends):
            findings.append(f"{number}: {verdict}, {', '.join(ends)}: {'; '.join(changes)}")
    return verdicts, commands, findings


def _network(folder: Path) -> Path:
    """Save a network of one convolution."""
    import keras

    inputs = keras.Input((64, 48, 3))
    heatmaps = keras.layers.Conv2D(17, 4, strides=4)(inputs)
    path = folder / "network.keras"
    keras.Model(inputs, heatmaps).save(path)
    return path


def main(
    files: Annotated[int, typer.Option(min=1, help="Number of mutated files.")] = 300,
    networks: Annotated[int, typer.Option(min=0, help="Files evaluated with a network.")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the mutations.")] = 0,
    results_csv: Annotated[Path | None, typer.Option(help="csv file to append to.")] = None,
) -> None:
    """Mutate COCO files, print the verdicts, and append them to a csv file."""
    LOGGER.setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        verdicts, commands, findings = fuzz(files, seed, Path(folder), networks)
    subject = {"seed": str(seed), "files": str(files)}
    report(PROGRAM, subject, (*GOOD, *BAD), verdicts, commands, findings, results_csv)


if __name__ == "__main__":
    typer.run(main)
