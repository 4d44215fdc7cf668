"""Quantization-aware training: the one call."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
from rich.progress import Progress

from keras_shufflenet.export.bias_correction import correct_biases
from keras_shufflenet.export.calibration import are_pixels, read_images
from keras_shufflenet.export.converter import ExportError
from keras_shufflenet.export.flatbuffer import float_softmax
from keras_shufflenet.export.graph import in_float32, output_name, static_size
from keras_shufflenet.export.litert import (
    MOST_GROWTH,
    check_arguments,
    check_calibration,
    check_samples,
    compare,
    keras_model,
    warn_of_range,
    write,
)
from keras_shufflenet.export.lowering import LoweringError, lower
from keras_shufflenet.export.metadata import attach, describe
from keras_shufflenet.export.qat.batches import Loss, Targets, training_batches
from keras_shufflenet.export.qat.plan import Plan, PlanError
from keras_shufflenet.export.qat.process import TrainingProcess, check_installed
from keras_shufflenet.export.report import Report, examine
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.keypoints import HeatmapCodec, Skeleton

__all__ = ["Loss", "quantization_aware"]

STEPS = 300
LEARNING_RATE = 1e-4


def quantization_aware(
    model: keras.Model | str | Path,
    path: str | Path,
    dataset: Iterable[Any],
    *,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    loss: Loss = "distillation",
    calibration: Iterable[Any] | None = None,
    calibration_images: int = 100,
    input_dtype: str = "float32",
    output_dtype: str = "float32",
    input_size: tuple[int, int] | None = None,
    samples: np.ndarray | None = None,
    labels: Sequence[str] | None = None,
    codec: HeatmapCodec | None = None,
    skeleton: str | Skeleton | None = None,
    evaluate: Callable[[Path], Mapping[str, float]] | None = None,
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
            `ks.data.imagenet` give, of the kind that the model sees in real life. A finite one is
            repeated.
        steps: batches to train on.
        learning_rate: of Adam at its greatest: it rises during the first tenth of the steps and
            falls to 0 along a cosine. Weights count in units of the greatest of their channel.
        loss: "distillation": what the float model says is learned, no targets are needed and few
            images suffice. "targets": those of `dataset`: classes (N,) or probabilities
            (N, classes) for a model that ends in softmax, arrays like its output for others.
            Probabilities are compared by cross-entropy, others by their squared difference.
        calibration: images for the ranges, as for `litert`; `dataset` by default.
        calibration_images: to take from it at most.
        input_dtype: "float32", "uint8" or "int8", as for `litert`.
        output_dtype: likewise.
        input_size: (height, width) in pixels, for a model that leaves them open.
        samples: images (N, H, W, 3) to compare the file with the model on; by default the first 16
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
    path = check_arguments(path, "int8", input_dtype, output_dtype)
    _check_training(steps, learning_rate, loss)
    model = in_float32(keras_model(model))
    size = static_size(model, input_size)
    check_samples(samples, size)
    images = read_images(
        dataset if calibration is None else calibration, size, calibration_images, verbose
    )
    check_calibration(images, "int8", input_dtype)
    warn_of_range(model, images)
    predictor = Predictor.load(model, size)
    description = describe(predictor, labels, codec, skeleton)
    batches = training_batches(dataset, size, Targets(model, loss))
    if steps:  # what is wrong with the targets is said before the network is lowered
        batches = chain([next(batches)], batches)
    plan = _plan(model, images)
    with tempfile.TemporaryDirectory(prefix="keras_shufflenet_") as folder:
        np.save(Path(folder) / "calibration.npy", images)
        plan.write(
            Path(folder),
            pixels=are_pixels(images),
            total_steps=steps,
            learning_rate=learning_rate,
            input_dtype=input_dtype,
            output_dtype=output_dtype,
            output_name=output_name(model),
        )
        with TrainingProcess(Path(folder)) as process:
            _train(process, islice(batches, steps), steps, verbose)
            content = float_softmax(process.finish())
    content = attach(content, predictor.name, description, are_pixels(images))
    deviation = compare(predictor, content, images if samples is None else samples)
    return write(examine(content, path, "int8", "yes", deviation), content, evaluate)


def _check_training(steps: int, learning_rate: float, loss: str) -> None:
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"`steps` has to be a whole number, 0 or more. Received: {steps!r}")
    if not isinstance(learning_rate, (int, float)) or not learning_rate > 0:
        raise ValueError(f"`learning_rate` has to be positive. Received: {learning_rate!r}")
    if loss not in get_args(Loss):
        raise ValueError(f"`loss` has to be one of {', '.join(get_args(Loss))}. Received: {loss!r}")


def _plan(model: keras.Model, images: np.ndarray) -> Plan:
    try:
        lowered = lower(model, images)
        if len(lowered.operations) > MOST_GROWTH * len(model.operations):
            raise PlanError(
                "Quantization-aware training takes networks that lowering does not blow up. "
                f"Received: {len(lowered.operations)} operations of {len(model.operations)}"
            )
        correct_biases(lowered, images)
        return Plan(lowered)
    except (LoweringError, PlanError) as error:
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
