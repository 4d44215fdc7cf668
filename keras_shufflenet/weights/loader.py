"""One way in for every kind of weights."""

import os
from pathlib import Path

import keras

from keras_shufflenet.weights import catalog
from keras_shufflenet.weights.cache import download
from keras_shufflenet.weights.checkpoint import read_checkpoint
from keras_shufflenet.weights.errors import WeightsMismatchError
from keras_shufflenet.weights.hdf5 import is_keras_file, load_keras_file
from keras_shufflenet.weights.state_dict import load_state_dict

SUFFIXES = (".pth", ".pt", ".tar", ".pkl", ".npz", ".safetensors", ".h5", ".keras")


def load(
    model: keras.Model,
    source: str | os.PathLike[str],
    *,
    model_name: str | None = None,
    backbone_only: bool = False,
    head_if_it_fits: bool = False,
) -> None:
    """Load weights into a model.

    Args:
        model: made by a builder of this package.
        source: "imagenet", "coco" or "mpii" (what the publisher trained on), a name of
            `list_weights()`, or the path of a file: a checkpoint of PyTorch (see
            `read_checkpoint`), a `.weights.h5` or a `.keras` file.
        model_name: name of the model in `list_models()`, which a dataset is looked up by; default
            is `model.name`.
        backbone_only: load everything but the classifier or keypoint head.
        head_if_it_fits: load the classifier, too, if it is the file's; else `backbone_only`.

    Raises:
        ValueError: if there are no such weights; `CheckpointError` if the file is broken;
            `WeightsMismatchError` if it is of another model. The model is as it was.
        FileNotFoundError: `WeightsUnavailableError` if a file of the catalog cannot be fetched.
    """
    path, layout = _locate(source, model_name or model.name)
    if head_if_it_fits:
        try:
            return _load(model, path, layout, backbone_only=False)
        except WeightsMismatchError:
            backbone_only = True
    return _load(model, path, layout, backbone_only)


def _load(model: keras.Model, path: Path, layout: str | None, backbone_only: bool) -> None:
    if is_keras_file(path):
        load_keras_file(model, path, backbone_only=backbone_only)
    else:
        load_state_dict(model, read_checkpoint(path), layout, backbone_only=backbone_only)


def _locate(source: str | os.PathLike[str], model_name: str) -> tuple[Path, str | None]:
    """The file, and the layout if that is known."""
    name = str(source)
    path = Path(name).expanduser()
    if name not in catalog.CATALOG and path.is_file():
        return path, None
    if name not in catalog.CATALOG and (path.suffix in SUFFIXES or os.sep in name):
        raise FileNotFoundError(f"There is no such file of weights. Received: {name!r}")
    known = name in catalog.DATASETS
    entry = catalog.default_entry(model_name, name) if known else catalog.get_entry(name)
    return download(entry), entry.layout
