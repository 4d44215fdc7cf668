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
MODEL = "model"  # what a training has in its description, and a search has not
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
        ValueError: If the folder holds another run. One of another kind is not replaced either.
    """
    directory.mkdir(parents=True, exist_ok=True)
    remove_partial_files(directory)
    path = directory / RUN
    text = json.dumps(description, indent=2) + "\n"
    before = _read(path)
    if before and (MODEL in before) != (MODEL in description):
        raise ValueError(
            f"`output_dir` must be a folder of its own, as a {what} does not replace other runs. "
            f"Received: {directory}, which holds a {'training' if MODEL in before else 'search'}"
        )
    found = [name for name in files if (directory / name).exists()]
    if resume and found and not before:
        raise ValueError(
            f"`output_dir` must be a new or empty folder, or that of a {what}; resume=False "
            f"(--no-resume) replaces what is in it. Received: {directory / found[0]} without {RUN}"
        )
    # What ended before its first file, by an error in its data for example, is none to be resumed.
    if resume and found:
        _check_same(path, before, what, json.loads(text))
        return
    for name in files:
        (directory / name).unlink(missing_ok=True)
    atomic_write(path, lambda beside: beside.write_text(text))


def _describe_model(model: keras.Model) -> dict[str, str]:
    # Without layer names: Keras numbers the layers that were given none.
    layers = [(type(layer).__name__, [v.shape for v in layer.variables]) for layer in model.layers]
    return {
        MODEL: model.name,
        "network": hashlib.sha256(repr(layers).encode()).hexdigest()[:16],
    }


def _read(path: Path) -> dict[str, Any]:
    """Return what a run was begun with; empty if there is no file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ValueError(
            f"The description of a run is damaged ({error}). Pass another folder. Received: {path}"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(f"The description of a run must be a JSON object. Received: {path}")
    return found


def _check_same(path: Path, before: dict[str, Any], what: str, description: dict[str, Any]) -> None:
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
            old, new = ("the default" if value is None else value for value in (old, new))
            found.append(f"{title} was {old} and is {new}")
    return found
