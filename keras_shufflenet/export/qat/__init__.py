"""Quantization-aware training: the one call."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
from rich.progress import Progress

from keras_shufflenet.export.bias_correction import correct_biases
from keras_shufflenet.export.converter import ExportError
from keras_shufflenet.export.graph import output_name
from keras_shufflenet.export.job import Evaluate, prepare
from keras_shufflenet.export.optimization import (
    GraphOptimizationError,
    is_worth_it,
    optimize_for_inference,
)
from keras_shufflenet.export.qat.batches import Loss, Targets, training_batches
from keras_shufflenet.export.qat.plan import Plan, PlanError
from keras_shufflenet.export.qat.process import TrainingProcess, check_installed
from keras_shufflenet.export.quantization import are_pixels
from keras_shufflenet.export.report import Report
from keras_shufflenet.keypoints import HeatmapCodec, Skeleton

__all__ = ["Loss", "quantization_aware_training"]

STEPS = 300
LEARNING_RATE = 1e-4


def quantization_aware_training(
    model: keras.Model | str | Path,
    path: str | Path,
    dataset: Iterable[Any],
    *,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    loss: Loss = "distillation",
    representative_dataset: Iterable[Any] | None = None,
    num_calibration_samples: int = 100,
    input_dtype: str = "float32",
    output_dtype: str = "float32",
    input_size: tuple[int, int] | None = None,
    comparison_images: np.ndarray | None = None,
    labels: Sequence[str] | None = None,
    codec: HeatmapCodec | None = None,
    skeleton: str | Skeleton | None = None,
    evaluate: Evaluate | None = None,
    verbose: bool = False,
) -> Report:
    """Train a model further while its weights and activations are rounded to int8, and export it.

    The network is lowered as `litert` does it, rebuilt in tf_keras and trained there with
    tensorflow-model-optimization, in a process of its own: TensorFlow, Keras 3 and the model of
    this process stay as they are. Ranges of activations are those on the calibration images, and
    everything that LiteRT wants one scale for shares one. With `steps=0` the file is that of a
    quantization after training.

    Args:
        model: as for `litert`.
        path: likewise.
        dataset: a `tf.data.Dataset` or an iterable of batches: images (N, H, W, 3), or tuples of
            images, targets and, if wanted, sample weights, such as `ks.data.keypoints` and
            `ks.data.classification` give, of the kind that the model sees in real life. A finite one is
            repeated.
        steps: batches to train on.
        learning_rate: of Adam at its greatest: it rises during the first tenth of the steps and
            falls to 0 along a cosine. Weights count in units of the greatest of their channel.
        loss: "distillation": what the float model says is learned, no targets are needed and few
            images suffice. "labels": those of `dataset`: classes (N,) or probabilities
            (N, classes) for a model that ends in softmax, arrays like its output for others.
            Probabilities are compared by cross-entropy, others by their squared difference.
        representative_dataset: images for the ranges, as for `litert`; `dataset` by default.
        num_calibration_samples: to take from it at most.
        input_dtype: "float32", "uint8" or "int8", as for `litert`.
        output_dtype: likewise.
        input_size: (height, width) in pixels, for a model that leaves them open.
        comparison_images: images (N, H, W, 3) to compare the file with the model on; by default the first 16
            of the calibration.
        labels: names of a classifier's classes, as for `litert`.
        codec: of a pose estimator's heatmaps, as for `litert`.
        skeleton: of a pose estimator, as for `litert`.
        evaluate: measures the file, for the report, as for `litert`.
        verbose: show progress bars, with the loss.

    Returns:
        What came out: size, operators, partitions, quantization, difference to the model.

    Raises:
        ImportError: without ai-edge-litert, tf_keras or tensorflow-model-optimization.
        FileNotFoundError: if `model` is a path to nothing, or the folder of `path` is missing.
        ExportError: (a ValueError) if the model holds what cannot be lowered or rebuilt.
        ValueError: for other arguments than those above.
        RuntimeError: if the training process breaks off.
    """
    check_installed()
    _check_training(steps, learning_rate, loss)
    job = prepare(
        model,
        path,
        "int8",
        dataset if representative_dataset is None else representative_dataset,
        num_calibration_samples=num_calibration_samples,
        input_dtype=input_dtype,
        output_dtype=output_dtype,
        input_size=input_size,
        comparison_images=comparison_images,
        labels=labels,
        codec=codec,
        skeleton=skeleton,
        evaluate=evaluate,
        verbose=verbose,
    )
    images = job.images
    assert images is not None  # int8 is calibrated
    batches = training_batches(dataset, job.size, Targets(job.model, loss))
    if steps:  # what is wrong with the targets is said before the network is lowered
        batches = chain([next(batches)], batches)
    plan = _plan(job.model, images)
    with tempfile.TemporaryDirectory(prefix="keras_shufflenet_") as folder:
        np.save(Path(folder) / "calibration.npy", images)
        plan.write(
            Path(folder),
            pixels=are_pixels(images),
            total_steps=steps,
            learning_rate=learning_rate,
            input_dtype=input_dtype,
            output_dtype=output_dtype,
            output_name=output_name(job.model),
        )
        with TrainingProcess(Path(folder)) as process:
            _train(process, islice(batches, steps), steps, verbose)
            content = process.finish()
    return job.finish(content, "yes")


def _check_training(steps: int, learning_rate: float, loss: str) -> None:
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"`steps` must be a whole number, 0 or more. Received: {steps!r}")
    if not isinstance(learning_rate, (int, float)) or not learning_rate > 0:
        raise ValueError(f"`learning_rate` must be positive. Received: {learning_rate!r}")
    if loss not in get_args(Loss):
        raise ValueError(f"`loss` must be one of {', '.join(get_args(Loss))}. Received: {loss!r}")


def _plan(model: keras.Model, images: np.ndarray) -> Plan:
    try:
        lowered = optimize_for_inference(model, images)
        if not is_worth_it(model, lowered):
            raise PlanError(
                "Quantization-aware training takes networks that lowering does not blow up. "
                f"Received: {len(lowered.operations)} operations after lowering"
            )
        correct_biases(lowered, images)
        return Plan(lowered)
    except (GraphOptimizationError, PlanError) as error:
        raise ExportError(f"The network cannot be trained quantization-aware. {error}") from error


def _train(
    process: TrainingProcess,
    batches: Iterator[dict[str, np.ndarray]],
    steps: int,
    verbose: bool,
) -> None:
    """Feed the process; the next batch is made while it computes."""
    with Progress(disable=not verbose, transient=True) as progress:
        task = progress.add_task("Training", total=steps)
        process.hear()  # it is ready
        waiting = False
        for batch in batches:
            process.send(**batch)
            if waiting:
                progress.update(task, advance=1, description=_describe(process.hear()))
            waiting = True
        if waiting:
            process.hear()


def _describe(message: dict[str, Any]) -> str:
    return f"Training, loss {message['loss']:.2e}"
