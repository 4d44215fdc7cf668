"""Load weights of every kind into a model, and save them."""

import os
from pathlib import Path
from xml.etree import ElementTree

import keras
import numpy as np
from numpy.typing import NDArray

from keras_shufflenet._files import atomic_write, check_output, received_path
from keras_shufflenet.weights import SAVE_FORMATS, catalog
from keras_shufflenet.weights._choice import Request
from keras_shufflenet.weights._outputs import MatchOutputs
from keras_shufflenet.weights._state_dict import assign_tensors, state_dict
from keras_shufflenet.weights.assignment import ADAPT, RGB, stem_channels
from keras_shufflenet.weights.cache import download
from keras_shufflenet.weights.checkpoint import read_tensors
from keras_shufflenet.weights.errors import CheckpointError
from keras_shufflenet.weights.hdf5 import is_keras_file
from keras_shufflenet.weights.keras_file import load_keras_file

CHECKPOINT_SUFFIXES = (".pth", ".pt", ".tar", ".pkl", ".npz", ".safetensors", ".h5", ".keras")
MEAN_IMAGE_SIZE = 224
MEAN_IMAGE_NODE = "MeanImg/data"


def load(
    model: keras.Model,
    source: str | os.PathLike[str],
    *,
    model_name: str | None = None,
    include_head: bool = True,
    skip_mismatched_head: bool = False,
    match_outputs: MatchOutputs | None = None,
    ema: bool | None = None,
    prefix: str | None = None,
) -> None:
    """Load weights into a model.

    Args:
        model: A model made by a builder of this package.
        source: "imagenet", "coco" or "mpii" (the dataset of the default published weights), a
            name of `list_weights()`, or the path of a file: a PyTorch checkpoint (see
            `read_checkpoint`), a `.weights.h5` or a `.keras` file.
        model_name: Name of the model in `list_models()`, for which the published weights of a
            dataset are looked up. Defaults to `model.name`.
        include_head: Whether to load the classifier or keypoint head, too. If False, the model's
            head stays as it is, and the file's is ignored.
        skip_mismatched_head: Whether to keep the model's head, instead of raising an error, where
            a file has one of another number of classes or none; a warning says so. Published
            weights are then loaded without their head. A head of the model's shapes is loaded as
            strictly as the rest.
        match_outputs: Called for the last layers, those whose shape depends on the number of
            classes, with the name of a layer, the number of its outputs and that of the file's.
            Returns for each output its index in the file, or None for one that stays new.
        ema: Whether to take the averaged (EMA) weights of a PyTorch checkpoint. By default they
            are taken if there are some, with a warning if there are others, too.
        prefix: What precedes the names of the network's tensors in a PyTorch checkpoint, such as
            "student.". Defaults to the only prefix below which the model's weights are.

    Raises:
        ValueError: If there are no such weights; a `CheckpointError` if the file is malformed; a
            `WeightsMismatchError` if it is of another model. The model is left unchanged.
        FileNotFoundError: If there is no such file; a `WeightsUnavailableError` if a file of the
            catalog cannot be downloaded.
    """
    _check_channels(model, str(source))
    path, layout = _locate(source, model_name or model.name)
    if match_outputs is not None or (skip_mismatched_head and layout is not None):
        include_head = False
    skips = include_head and skip_mismatched_head
    request = Request(layout, include_head, ema, prefix, skips, match_outputs)
    if is_keras_file(path):
        for name, value in (("ema", request.ema), ("prefix", request.prefix)):
            if value is not None:
                raise ValueError(
                    f"`{name}` must not be given for a file of Keras. Received: {path}"
                )
        load_keras_file(model, path, request)
    else:
        assign_tensors(model, read_tensors(path), request, path)


def _check_channels(model: keras.Model, source: str) -> None:
    """Refuse published weights, which are all for RGB, before they are downloaded."""
    channels = stem_channels(model)
    published = source in catalog.CATALOG or source in catalog.DATASETS
    if published and channels not in (None, RGB):
        raise ValueError(
            "`weights` must be a file of the same network or None for images with other than 3 "
            f"channels; published weights are for RGB. {ADAPT} "
            f"Received: weights={source!r}, an input with {channels} channels"
        )


def _locate(source: str | os.PathLike[str], model_name: str) -> tuple[Path, str | None]:
    """Return the path of the file, and the name of its layout if that is known."""
    name = str(source)
    path, is_dataset = Path(name).expanduser(), name in catalog.DATASETS
    if name not in catalog.CATALOG and path.is_file():
        return path, None
    is_path = path.suffix in CHECKPOINT_SUFFIXES or os.sep in name
    if name not in catalog.CATALOG and (is_path or (not is_dataset and path.exists())):
        raise FileNotFoundError(
            f"`weights` must be an existing file. Received: weights={received_path(path)}"
        )
    entry = catalog.default_entry(model_name, name) if is_dataset else catalog.get_entry(name)
    return download(entry), entry.layout


def save(model: keras.Model, path: str | os.PathLike[str], *, layout: str | None = None) -> None:
    """Save a model or its weights; `load` reads all three formats.

    Args:
        model: A model made by a builder of this package.
        path: Path of the file. `.keras` holds the model and opens without this package,
            `.weights.h5` holds the weights in Keras' format, `.safetensors` holds them with the
            parameter names of `state_dict`.
        layout: Layout of a `.safetensors` file, as for `state_dict`.

    Raises:
        OSError: If the file cannot be written; a missing folder is made.
        ValueError: If the path has another suffix.
    """
    path = check_output("path", path, SAVE_FORMATS)
    if path.suffix == ".keras":
        atomic_write(path, model.save)
    elif path.suffix == ".h5":
        atomic_write(path, model.save_weights)
    else:
        atomic_write(path, lambda partial: _save_safetensors(model, partial, layout))


def _save_safetensors(model: keras.Model, path: Path, layout: str | None) -> None:
    from safetensors.numpy import save as serialize

    # `safetensors.numpy.save_file` would make the file readable by its owner only.
    path.write_bytes(serialize(state_dict(model, layout)))


def read_mean_image(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Read ``ImageNet_1000_scale224_mean.xml``, published beside ShuffleNetV2.Large's weights.

    Args:
        path: Path of the file, in OpenCV's storage format.

    Returns:
        An array of shape (224, 224, 3), RGB in 0..255, for ``ShuffleNetV2Large(mean_image=...)``.

    Raises:
        CheckpointError: If the file is not such an image.
        FileNotFoundError: If there is no file.
    """
    content = Path(path).read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise CheckpointError(f"A mean image must not have a document type. Received: {path}")
    try:
        numbers = (ElementTree.fromstring(content).findtext(MEAN_IMAGE_NODE) or "").split()
        values = np.array(numbers, np.float32)
    except (ElementTree.ParseError, ValueError) as error:
        raise CheckpointError(f"{path} is not a mean image: {error}. Received: {path}") from error
    size = MEAN_IMAGE_SIZE
    if values.size != size * size * 3 or not np.isfinite(values).all():
        raise CheckpointError(
            f"A mean image must have {size} × {size} × 3 finite numbers under {MEAN_IMAGE_NODE}. "
            f"Received: {values.size} numbers in {path}"
        )
    bgr = values.reshape(size, size, 3)
    return np.ascontiguousarray(bgr[:, :, ::-1])
