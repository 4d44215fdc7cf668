"""Quantization-aware training."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
from rich.progress import Progress

from keras_shufflenet._checks import check_choice, check_integer, check_positive
from keras_shufflenet._requirements import QAT_PACKAGES, check_free_space, check_installed
from keras_shufflenet.export.bias_correction import correct_biases
from keras_shufflenet.export.converter import ExportError
from keras_shufflenet.export.optimization import (
    GraphOptimizationError,
    is_worth_it,
    optimize_for_inference,
)
from keras_shufflenet.export.options import Evaluate, ExportOptions
from keras_shufflenet.export.qat.plan import Plan, PlanError
from keras_shufflenet.export.qat.process import (
    Loss,
    Targets,
    TrainingProcess,
    find_boxes,
    training_batches,
)
from keras_shufflenet.export.report import Report
from keras_shufflenet.export.representative import are_pixels
from keras_shufflenet.export.source import (
    BYTES_PER_PARAMETER,
    ExportSource,
    input_name,
    open_source,
)
from keras_shufflenet.export.write import write
from keras_shufflenet.keypoints import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import SkeletonLike

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
    num_calibration_samples: int = 200,
    input_dtype: str = "float32",
    output_dtype: str = "float32",
    input_size: tuple[int, int] | None = None,
    comparison_images: np.ndarray | None = None,
    labels: Sequence[str] | None = None,
    codec: HeatmapCodec | None = None,
    skeleton: SkeletonLike | None = None,
    evaluate: Evaluate | None = None,
    verbose: bool = False,
) -> Report:
    """Fine-tune a model with its weights and activations quantized to int8, and export it.

    The network is optimized as `litert` does, rebuilt in tf_keras and trained there with
    tensorflow-model-optimization in a separate process: TensorFlow, Keras 3 and the model of this
    process stay unchanged. Activation ranges are those on the representative images, and tensors
    for which LiteRT requires a common scale share one. With `steps=0` the file is that of
    post-training quantization.

    Args:
        model: As for `litert`.
        path: As for `litert`.
        dataset: A `tf.data.Dataset` or an iterable of batches: images (N, H, W, 3), or tuples of
            images, labels and optional sample weights, as `ks.data.keypoints` and
            `ks.data.classification` yield them, typical of the application. A finite dataset is
            repeated.
        steps: Number of batches to train on.
        learning_rate: Peak learning rate of Adam: it rises during the first tenth of the steps and
            falls to 0 along a cosine. It is relative to the largest weight of each channel.
        loss: "distillation" (the float model's outputs are the targets; the dataset needs no
            labels) or "labels" (those of the dataset). Models that end in softmax are trained
            with cross-entropy, on classes (N,) or probabilities (N, classes); others with the
            squared error, on arrays of the shape of the output. Detectors have "distillation" only:
            the cross-entropies of the classes and of the distances to the sides, the latter
            weighted with the float model's scores.
        representative_dataset: Images for the activation ranges, as for `litert`. Defaults to
            `dataset`.
        num_calibration_samples: Maximum number of images to take from it.
        input_dtype: "float32", "uint8" or "int8", as for `litert`.
        output_dtype: "float32", "uint8" or "int8", as for `litert`.
        input_size: (height, width) in pixels, for a model with a variable input size.
        comparison_images: As for `litert`.
        labels: Class names of a classifier, as for `litert`.
        codec: Codec of a pose estimator's heatmaps, as for `litert`.
        skeleton: Keypoints of a pose estimator, as for `litert`.
        evaluate: Function that returns metrics for the report, as for `litert`.
        verbose: Whether to show progress bars, with the loss.

    Returns:
        The report, as for `litert`.

    Raises:
        ImportError: If ai-edge-litert, tf_keras or tensorflow-model-optimization is not installed.
        FileNotFoundError: If `model` is a path and there is no such file.
        OSError: If `path` cannot be written; a missing folder is made.
        ExportError: (a ValueError) If the model cannot be optimized or rebuilt in tf_keras.
        ValueError: If an argument is invalid.
        RuntimeError: If the training process fails.
    """
    check_installed("Quantization-aware training", "qat", QAT_PACKAGES)
    check_integer("steps", steps, minimum=0)
    check_positive("learning_rate", learning_rate)
    check_choice("loss", loss, get_args(Loss))
    options = ExportOptions(
        path=Path(path) if isinstance(path, str) else path,
        precision="int8",
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
    if representative_dataset is None:
        source = open_source(model, dataset, options, "dataset")
    else:
        source = open_source(model, representative_dataset, options)
    name = _only_output(source)
    targets = Targets(source.model, loss)
    batches = training_batches(dataset, source.shape[1:], targets, input_name(source.model))
    if steps:  # errors in the labels come before the network is optimized
        batches = chain([next(batches)], batches)
    content = _train(source, islice(batches, steps), steps, learning_rate, name, options)
    return write(content, "yes", source, options)


def _train(
    source: ExportSource,
    batches: Iterator[dict[str, np.ndarray]],
    steps: int,
    learning_rate: float,
    name: str,
    options: ExportOptions,
) -> bytes:
    """Train in a separate process and return the bytes of the file."""
    images = source.images
    assert images is not None  # int8 requires them
    with tempfile.TemporaryDirectory(prefix="keras_shufflenet_") as temporary:
        folder = Path(temporary)
        needed = 2 * BYTES_PER_PARAMETER * source.model.count_params() + images.nbytes
        check_free_space(folder, needed, "Quantization-aware training")
        plan = _plan(source.model, images)
        np.save(folder / "calibration.npy", images)
        plan.write(
            folder,
            pixels=are_pixels(images),
            total_steps=steps,
            learning_rate=learning_rate,
            input_dtype=options.input_dtype,
            output_dtype=options.output_dtype,
            output_name=name,
            box_channels=find_boxes(source.model),
        )
        with TrainingProcess(folder) as process:
            _send_batches(process, batches, steps, options.verbose)
            return process.finish()


def _only_output(source: ExportSource) -> str:
    """Return the name of the only output."""
    names = source.output_names or ()
    if len(names) != 1:
        raise ExportError(
            "`model` must be functional or sequential and have one output for quantization-aware "
            f"training. Received: {source.model.name} with {len(names)} named outputs"
        )
    return names[0]


def _plan(model: keras.Model, images: np.ndarray) -> Plan:
    try:
        network = optimize_for_inference(model, images)
        if not is_worth_it(model, network):
            raise PlanError(
                "Quantization-aware training requires a network that optimization keeps small. "
                f"Received: {len(network.operations)} operations after optimization"
            )
        correct_biases(network, images)
        return Plan(network)
    except (GraphOptimizationError, PlanError) as error:
        raise ExportError(f"The network cannot be rebuilt for training. {error}") from error


def _send_batches(
    process: TrainingProcess,
    batches: Iterator[dict[str, np.ndarray]],
    steps: int,
    verbose: bool,
) -> None:
    """Send the batches; the next one is prepared while the process computes."""
    with Progress(disable=not verbose, transient=True) as progress:
        task = progress.add_task("Training", total=steps)
        process.receive()  # it is ready
        waiting = False
        for batch in batches:
            process.send(**batch)
            if waiting:
                progress.update(task, advance=1, description=_describe(process.receive()))
            waiting = True
        if waiting:
            process.receive()


def _describe(message: dict[str, Any]) -> str:
    return f"Training, loss {message['loss']:.2e}"
