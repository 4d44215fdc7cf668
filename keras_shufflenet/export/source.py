"""What is exported: a model with its representative images and the metadata of its file."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_shufflenet._checks import check_names
from keras_shufflenet._layer_names import PREPROCESSING
from keras_shufflenet._requirements import MEGABYTE, check_free_space
from keras_shufflenet.detection import coco_classes
from keras_shufflenet.detection.priors import Design
from keras_shufflenet.export.concrete_function import in_float32, static_shape
from keras_shufflenet.export.options import ExportOptions
from keras_shufflenet.export.representative import are_pixels, check_images, read_images
from keras_shufflenet.inference.detection import design_of
from keras_shufflenet.inference.heatmap_models import is_pose_estimator
from keras_shufflenet.inference.keras_models import load_keras
from keras_shufflenet.inference.keras_outputs import output_names
from keras_shufflenet.inference.pose import PosePredictor
from keras_shufflenet.inference.predictor import Predictor
from keras_shufflenet.keypoints.codec import HeatmapCodec
from keras_shufflenet.keypoints.skeletons import SkeletonLike
from keras_shufflenet.litert.metadata import ModelMetadata

COMPARED_IMAGES = 16
BYTES_PER_PARAMETER = 5  # of the largest file, float32, with its structure and report


@dataclass(frozen=True, kw_only=True)
class ExportSource:
    """A model ready to be exported.

    Attributes:
        model: The model in float32.
        shape: (batch, height, width, channels) of the file's input; batch None if dynamic.
        output_names: Names of the outputs, in order; None if the model does not declare them.
        images: Representative images; None if there are none.
        comparison_images: Images to compare the file with the model on; None if there are none.
        predictor: Runs the model as it was given.
        metadata: What the file says about itself.
    """

    model: keras.Model
    shape: tuple[int | None, int, int, int]
    output_names: tuple[str, ...] | None
    images: np.ndarray | None
    comparison_images: np.ndarray | None
    predictor: Predictor
    metadata: ModelMetadata

    @property
    def takes_pixels(self) -> bool:
        """Whether the model takes pixels 0..255, as its images or else its layers tell."""
        images = self.comparison_images if self.images is None else self.images
        return preprocesses(self.model) if images is None else are_pixels(images)


def open_source(
    model: keras.Model | str | Path,
    representative_dataset: Any,
    options: ExportOptions,
    name: str = "representative_dataset",
) -> ExportSource:
    """Open a model and read its representative images, the argument of this name.

    Raises:
        FileNotFoundError: If `model` is a path and there is no such file.
        OSError: If the disk has no space for the file.
        ValueError: If the model or the images do not fit the options.
    """
    given = open_model(model)
    needed = BYTES_PER_PARAMETER * given.count_params() + MEGABYTE
    check_free_space(options.path.parent, needed, "The exported file")
    shape = static_shape(given, options.input_size, options.batch_size)
    if options.comparison_images is not None:
        check_images("comparison_images", options.comparison_images, shape[1:])
    images = _read(representative_dataset, given, shape[1:], options, name)
    _warn_of_range(given, images)
    predictor = Predictor.load(given, shape[1:3])
    compared = images
    if options.comparison_images is not None:
        compared = np.asarray(options.comparison_images)
    return ExportSource(
        model=in_float32(given),
        shape=shape,
        output_names=output_names(given),
        images=images,
        comparison_images=None if compared is None else compared[:COMPARED_IMAGES],
        predictor=predictor,
        metadata=describe(predictor, options.labels, options.codec, options.skeleton),
    )


def open_model(model: keras.Model | str | Path) -> keras.Model:
    """Return a model, opened if it is a path.

    Raises:
        FileNotFoundError: If it is a path and there is no such file.
        ValueError: If it is neither a path of a .keras file nor a model, or has weights that are
            not finite.
    """
    if isinstance(model, (str, Path)) and Path(model).suffix == ".keras":
        return load_keras(Path(model))
    if not isinstance(model, keras.Model):
        received = repr(str(model)) if isinstance(model, (str, Path)) else type(model).__name__
        raise ValueError(
            f"`model` must be a keras.Model or the path of a .keras file. Received: {received}"
        )
    for variable in model.weights:
        if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
            raise ValueError(
                "`model` must have finite weights; a training that diverged leaves others. "
                f"Received: NaN or infinity in {variable.path} of {model.name}"
            )
    return model


def _read(
    dataset: Any, model: keras.Model, shape: tuple[int, int, int], options: ExportOptions, name: str
) -> np.ndarray | None:
    if dataset is None and options.calibrates:
        raise ValueError(
            f"{options.precision} requires a `{name}`: images that are typical of the "
            f"application, such as the training set. Received: {name}=None"
        )
    if dataset is None:
        return None
    limit = options.num_calibration_samples if options.calibrates else COMPARED_IMAGES
    images = read_images(dataset, shape, limit, options.verbose, input_name(model), name)
    if options.calibrates and options.input_dtype == "uint8" and not are_pixels(images):
        raise ValueError(
            "Representative images must be pixels 0..255 for a uint8 input. "
            f"Received: values from {images.min():.3g} to {images.max():.3g}"
        )
    return images


def input_name(model: keras.Model) -> str:
    """Return the name of a model's input, empty if it does not declare one."""
    inputs = getattr(model, "inputs", None)
    return str(inputs[0].name) if inputs else ""


def describe(
    predictor: Predictor,
    labels: Sequence[str] | None = None,
    codec: HeatmapCodec | None = None,
    skeleton: SkeletonLike | None = None,
) -> ModelMetadata:
    """Return the metadata of a model's file.

    Args:
        predictor: Runs the model, with the input size of the file.
        labels: Class names of a classifier or detector. Defaults to those that the model is known
            to have, and to COCO's for a detector of 80 classes.
        codec: Codec of a pose estimator. Defaults to the one of the model's sizes and encoding.
        skeleton: Keypoints of a pose estimator. Defaults to those that it was built with,
            else COCO's for 17 heatmaps and MPII's for 16.

    Returns:
        The metadata; empty for a model that is none of the three and carries no names of
        classes, or has several outputs.

    Raises:
        ValueError: If the arguments contradict the model.
    """
    if len(predictor.output_shapes) > 1:
        _refuse_descriptions(predictor, labels=labels, codec=codec, skeleton=skeleton)
        return ModelMetadata()
    shape = predictor.output_shape
    undecided = codec is None and skeleton is None
    if undecided and (design := _design(predictor)) is not None:
        count = design.count_classes(shape[1])
        own = _labels(labels, (count,)) or predictor.metadata.labels
        known = coco_classes.NAMES if count == len(coco_classes.NAMES) else ()
        return ModelMetadata(labels=own or known, design=design)
    if labels is not None or (len(shape) == 1 and undecided):
        return ModelMetadata(labels=_labels(labels, shape) or predictor.metadata.labels)
    if undecided and not is_pose_estimator(predictor):
        return ModelMetadata(labels=predictor.metadata.labels)
    estimator = PosePredictor.load(predictor, codec=codec, skeleton=skeleton)
    return ModelMetadata(codec=estimator.codec, skeleton=estimator.skeleton)


def _design(predictor: Predictor) -> Design | None:
    """Return the design of a detector, None for other models."""
    try:
        design = design_of(predictor)
        design.count_classes(predictor.output_shape[1])
    except ValueError:
        return None
    return design


def _refuse_descriptions(predictor: Predictor, **arguments: Any) -> None:
    given = [name for name, value in arguments.items() if value is not None]
    if given:
        raise ValueError(
            f"`{given[0]}` must be None for a model with several outputs: it describes the only "
            "output of a classifier or pose estimator. "
            f"Received: {predictor.name} with the outputs {', '.join(predictor.output_shapes)}"
        )


def _labels(labels: Sequence[str] | None, shape: tuple[int, ...]) -> tuple[str, ...]:
    if labels is None:
        return ()
    what = "a list with a name for each class of a classifier or detector"
    names = check_names("labels", labels, what, may_repeat=True)
    if len(shape) != 1 or len(names) != shape[0]:
        raise ValueError(
            f"`labels` must be {what}. "
            f"Received: {len(names)} names for a model with outputs of shape {shape}"
        )
    return names


def preprocesses(model: keras.Model) -> bool:
    """Return whether a model, or a model inside it, has layers that take pixels.

    They normalize them, or are this package's for networks of pixels as they are.
    """
    return any(
        layer.name == PREPROCESSING
        or isinstance(layer, (keras.layers.Normalization, keras.layers.Rescaling))
        or (isinstance(layer, keras.Model) and preprocesses(layer))
        for layer in model.layers
    )


def _warn_of_range(model: keras.Model, images: np.ndarray | None) -> None:
    """Warn of normalized images for a model that normalizes pixels itself."""
    if images is not None and preprocesses(model) and not are_pixels(images):
        warnings.warn(
            "The model takes pixels 0..255 and normalizes them itself, but the representative "
            f"images hold values from {images.min():.3g} to {images.max():.3g}.",
            stacklevel=4,
        )
