"""The folder of a training: the names of its files, and what it was begun with."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_shufflenet._files import atomic_write, remove_partial_files
from keras_shufflenet.training.callbacks import LAST, PREVIOUS

RUN = "run.json"
LOG = "log.csv"
FINAL = "model.keras"
BEST = "best.keras"
CURVES = "curves.png"
CORRUPT = "corrupt_images.csv"
DATA = "data"  # the fingerprint, which folders of earlier versions do not have


def open_folder(
    directory: Path, model: keras.Model, task: dict[str, Any], precision: str, resume: bool
) -> None:
    """Create the folder, or check that the training in it is the same one.

    Args:
        directory: The folder.
        model: What is trained.
        task: Description of the task, as JSON.
        precision: In which the model is trained.
        resume: Whether the training in the folder is to be resumed; otherwise it is replaced.

    Raises:
        ValueError: If the folder holds another training.
    """
    own = {} if precision == "float32" else {"precision": precision}
    description = {**_describe_model(model), **task, **own}
    files = (LAST, PREVIOUS, LOG, CURVES, CORRUPT, BEST, FINAL)
    open_run(directory, "training", description, files, resume)


def open_run(
    directory: Path, what: str, description: dict[str, Any], files: Sequence[str], resume: bool
) -> None:
    """Create the folder of a long run, or check that the run in it is the same one.

    Args:
        directory: The folder.
        what: What is run, for messages, such as "training".
        description: What the outcome depends on, as JSON.
        files: Names of the files of a run, which are removed before a new one.
        resume: Whether the run in the folder is to be resumed; otherwise it is replaced.

    Raises:
        ValueError: If the folder holds another run.
    """
    directory.mkdir(parents=True, exist_ok=True)
    remove_partial_files(directory)
    path = directory / RUN
    text = json.dumps(description, indent=2) + "\n"
    # What ended before its first file, by an error in its data for example, is none to be resumed.
    if resume and path.exists() and any((directory / name).exists() for name in files):
        _check_same(path, what, json.loads(text))
        return
    for name in files:
        (directory / name).unlink(missing_ok=True)
    atomic_write(path, lambda beside: beside.write_text(text))


def _describe_model(model: keras.Model) -> dict[str, str]:
    # Without layer names: Keras numbers the layers that were given none.
    layers = [(type(layer).__name__, [v.shape for v in layer.variables]) for layer in model.layers]
    return {
        "model": model.name,
        "network": hashlib.sha256(repr(layers).encode()).hexdigest()[:16],
    }


def _check_same(path: Path, what: str, description: dict[str, Any]) -> None:
    before = json.loads(path.read_text())
    changed = _differences(before, description if DATA in before else _without_data(description))
    if changed:
        raise ValueError(
            f"`output_dir` holds another {what}: {', '.join(changed)}. Pass the same arguments, "
            f"another folder, or replace the {what} with resume=False (--no-resume). "
            f"Received: {path.parent}"
        )


def _without_data(description: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in description.items() if name != DATA}


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Describe the values that have changed."""
    found = []
    for name in dict.fromkeys([*before, *now]):
        old, new, title = before.get(name), now.get(name), f"{prefix}{name}"
        if isinstance(new, dict) and isinstance(old, dict):
            found += _differences(old, new, f"{title}.")
        elif old != new:
            found.append(f"{title} was {old} and is {new}")
    return found
