"""Training a pose estimator with Keras' own fit, in a folder from which it can go on."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras

from keras_shufflenet import data, metrics
from keras_shufflenet._files import sweep, write_whole
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.training import callbacks
from keras_shufflenet.training.batch_norm import restore_statistics
from keras_shufflenet.training.fused import training_copy
from keras_shufflenet.training.losses import HeatmapPCK, KeypointMSELoss
from keras_shufflenet.training.recipes import Recipe

Source = tuple[str | Path, str | Path]

RUN = "run.json"
LOG = "log.csv"
FINAL = "model.keras"
BEST = "best.keras"
TENSORBOARD = "tensorboard"

MEASURED = 256  # people whose crops give folded batch normalizations their statistics


def train_pose(
    model: keras.Model,
    train_data: Sequence[Source],
    output_dir: str | Path,
    recipe: Recipe,
    *,
    val_data: Source | None = None,
    skeleton: str = "coco",
    seed: int = 0,
    resume: bool = True,
    val_interval: int = 10,
    checkpoint_minutes: float = 10.0,
    verbose: str | int = "auto",
) -> list[dict[str, float]]:
    """Train a pose estimator on people with annotated keypoints.

    The folder receives ``model.keras`` (at the end), ``best.keras`` (greatest AP), ``log.csv`` (a
    row per epoch), ``tensorboard/`` if tensorboard is installed, and the checkpoints. A training
    that was killed at any moment goes on from its last checkpoint when the same call is made
    again, and ends like one that was never killed.

    Args:
        model: From `PoseEstimator`. It receives the weights at the end and stays uncompiled, so
            that it is saved as a plain model.
        train_data: Pairs of a COCO keypoint json and the folder of its images.
        output_dir: Folder of the training.
        recipe: How to train.
        val_data: The pair on which AP is measured, with annotated boxes and flip test.
        skeleton: Name of the set of keypoints.
        seed: Of the order of the people and of their random views.
        resume: Whether to go on with the training that is in the folder; otherwise it is replaced.
        val_interval: Epochs between two measurements of AP; the last epoch is always measured.
        checkpoint_minutes: Greatest age of the checkpoint within an epoch.
        verbose: As for `fit`; "auto" is a bar on a terminal and a line per epoch elsewhere.

    Returns:
        The rows of the log.

    Raises:
        FileNotFoundError: If an annotation file or an image is missing.
        ValueError: If the folder holds another training (other model, recipe, people or seed), or
            an argument is out of range.
    """
    if val_interval < 1:
        raise ValueError(f"evaluate_every must be at least 1. Received: {val_interval}")
    output_dir = Path(output_dir)
    samples = _samples(train_data, skeleton)
    steps = samples.steps_per_epoch(recipe.batch_size)
    _open_folder(output_dir, _description(model, recipe, len(samples), seed), resume)
    codec = _codec(model, recipe)
    restore_statistics(model, data.person_instances(samples.select(slice(MEASURED)), codec))
    trainee = compile_pose_model(training_copy(model), recipe, steps)
    done = callbacks.restore(trainee, output_dir)
    while done < recipe.epochs * steps:
        # A begun epoch is ended by a fit of its own: fit has one number of steps for all epochs.
        epoch, offset = divmod(done, steps)
        epochs = epoch + 1 if offset else recipe.epochs
        trainee.fit(
            data.keypoints(
                samples,
                training=True,
                batch_size=recipe.batch_size,
                seed=seed,
                start_step=done,
                codec=codec,
                augmentation=recipe.augmentation,
            ),
            initial_epoch=epoch,
            epochs=epochs,
            steps_per_epoch=steps - offset,
            shuffle=False,  # the data set is in its own random order
            callbacks=[
                callbacks.StopAtNaN(),
                *_measuring(model, output_dir, recipe.epochs, val_data, skeleton, val_interval),
                *_logging(output_dir, epoch),
                callbacks.Checkpoint(output_dir, checkpoint_minutes),
            ],
            verbose=_verbosity(verbose),
        )
        done = epochs * steps
    callbacks.save_plain(model, trainee, output_dir / FINAL)
    return callbacks.read_log(output_dir / LOG)


def compile_pose_model(model: keras.Model, recipe: Recipe, steps_per_epoch: int) -> keras.Model:
    """Compile a pose estimator with the recipe's optimizer, `KeypointMSELoss` and `HeatmapPCK`.

    Args:
        model: Functional model with heatmaps (batch, height, width, joints) as output.
        recipe: How to train.
        steps_per_epoch: Batches per epoch, to which the recipe's schedule is scaled.

    Returns:
        The same model.
    """
    model.compile(
        recipe.optimizer(steps_per_epoch),
        loss=KeypointMSELoss(),
        weighted_metrics=[HeatmapPCK(num_keypoints=model.output_shape[-1])],
        jit_compile=_compiles_with_xla(),
    )
    return model


def _compiles_with_xla() -> bool | str:
    """Keras' choice, but not on a CPU with TensorFlow: XLA trains a ShuffleNet 4 times slower."""
    if keras.backend.backend() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return "auto" if tf.config.list_physical_devices("GPU") else False


def _verbosity(verbose: str | int) -> str | int:
    return 2 if verbose == "auto" and not sys.stdout.isatty() else verbose


def _samples(train: Sequence[Source], skeleton: str) -> data.KeypointDataset:
    if not train:
        raise ValueError(f"train must hold a pair of json and folder. Received: {train!r}")
    annotations, images = zip(*train, strict=True)
    return data.load_keypoint_dataset(list(annotations), list(images), skeleton=skeleton)


def _codec(model: keras.Model, recipe: Recipe) -> HeatmapCodec:
    codec = HeatmapCodec(model.input_shape[1:3], model.output_shape[1:3])
    return codec if recipe.sigma is None else replace(codec, sigma=recipe.sigma)


def _description(model: keras.Model, recipe: Recipe, people: int, seed: int) -> dict[str, object]:
    # Not the names: Keras numbers layers that were given none.
    layers = [(type(layer).__name__, [v.shape for v in layer.variables]) for layer in model.layers]
    return {
        "model": model.name,
        "network": hashlib.sha256(repr(layers).encode()).hexdigest()[:16],
        "recipe": asdict(recipe),
        "people": people,
        "seed": seed,
    }


def _open_folder(directory: Path, description: dict[str, object], resume: bool) -> None:
    """Make the folder, or check that the training in it is the same one."""
    directory.mkdir(parents=True, exist_ok=True)
    sweep(directory)
    path = directory / RUN
    if resume and path.exists():
        _check_same(path, description)
        return
    for name in (callbacks.LAST, callbacks.PREVIOUS, LOG, BEST, FINAL):
        (directory / name).unlink(missing_ok=True)
    text = json.dumps(description, indent=2) + "\n"
    write_whole(path, lambda beside: beside.write_text(text))


def _check_same(path: Path, description: dict[str, object]) -> None:
    before = json.loads(path.read_text())
    changed = _differences(before, description)
    if changed:
        raise ValueError(
            f"the folder holds another training: {', '.join(changed)}. Give the same arguments, "
            "another folder, or start anew without resuming (--no-resume). "
            f"Received: {path.parent}"
        )


def _differences(before: dict[str, Any], now: dict[str, Any], place: str = "") -> list[str]:
    """What is not as before, in words, one for each number that differs."""
    found = []
    for name, value in now.items():
        old, title = before.get(name), f"{place}{name}"
        if isinstance(value, dict) and isinstance(old, dict):
            found += _differences(old, value, f"{title}.")
        elif old != value:
            found.append(f"{title} was {old} and is {value}")
    return found


def _measuring(
    model: keras.Model,
    directory: Path,
    epochs: int,
    validation: Source | None,
    skeleton: str,
    every: int,
) -> list[keras.callbacks.Callback]:
    if validation is None:
        return []
    annotations, images = validation
    return [
        callbacks.AveragePrecision(
            lambda trainee: metrics.coco(
                trainee, annotations, images, skeleton=skeleton, progress=False
            ),
            lambda trainee: callbacks.save_plain(model, trainee, directory / BEST),
            every=every,
            epochs=epochs,
            best=callbacks.best_ap(directory / LOG),
        )
    ]


def _logging(directory: Path, first_epoch: int) -> list[keras.callbacks.Callback]:
    log: list[keras.callbacks.Callback] = [callbacks.EpochLog(directory / LOG, first_epoch)]
    if find_spec("tensorboard") and keras.backend.backend() != "torch":
        log.append(keras.callbacks.TensorBoard(directory / TENSORBOARD, write_graph=False))
    return log
