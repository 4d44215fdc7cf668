"""Opening Keras models: files, and networks by name. Keras is imported when one is opened."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from keras_shufflenet._files import received_path
from keras_shufflenet.litert.metadata import ModelMetadata
from keras_shufflenet.weights.catalog import default_dataset

if TYPE_CHECKING:
    import keras


# Keras' message about an object that its configuration does not fit.
NOT_BUILT = re.compile(
    r"^<class '[\w.]*\.(?P<kind>\w+)'> could not be deserialized.*?"
    r"'config': {'name': '(?P<name>[^']*)'.*Exception encountered: (?P<reason>.*)",
    re.DOTALL,
)


def is_model_name(source: str) -> bool:
    """Return whether a text is the name of a model, right or misspelled, rather than a path."""
    path = Path(source)
    return not path.suffix and path.name == source and not path.exists()


def create_published(name: str) -> "keras.Model":
    """Build a model by its registry name, with the default of its published weights.

    Raises:
        FileNotFoundError: If the weights cannot be downloaded.
        ValueError: If there is no such model, or it has no published weights.
    """
    from keras_shufflenet.models import create_model

    return create_model(name, weights=default_dataset(name))


def load_keras(path: Path) -> "keras.Model":
    """Open a `.keras` file for inference, in safe mode: see `weights.keras_archive`.

    Raises:
        CheckpointError: (a ValueError) If it cannot be read, or its model has code or custom
            objects.
        FileNotFoundError: If it is missing.
    """
    if not path.is_file():
        raise FileNotFoundError(f"The .keras file must exist. Received: {received_path(path)}")
    from keras_shufflenet.weights.errors import CheckpointError
    from keras_shufflenet.weights.keras_archive import load_model_file

    try:
        return load_model_file(path)
    except CheckpointError:
        raise
    except Exception as error:  # a broken file fails in zipfile, json, h5py or Keras
        raise CheckpointError(
            "The file must be a model that `model.save` of Keras 3 has written "
            f"({_reason(error)}). Received: {str(path)!r}"
        ) from error


def _reason(error: Exception) -> str:
    """Return the first sentence of an error, whose text may fill pages, or which layer failed."""
    inner: BaseException | None = error
    layer = None
    while inner is not None:  # Keras raises one for each model around the layer
        layer = NOT_BUILT.search(str(inner)) or layer
        inner = inner.__context__
    if layer is not None:
        reason = " ".join(layer["reason"].split())
        return f"{layer['kind']} {layer['name']!r}: {reason[:200].rstrip('.')}"
    first, _, _ = " ".join(str(error).split()).partition(". ")
    return f"{type(error).__name__}: {first[:200].rstrip('.')}" if first else type(error).__name__


def read_metadata(model: "keras.Model") -> ModelMetadata:
    """Return class names (ImageNet's for 1000), and of heatmaps the skeleton and encoding."""
    from keras_shufflenet.models import class_names, model_encoding, model_skeleton
    from keras_shufflenet.models.imagenet import imagenet_classes

    names = class_names(model)
    if not names and model.output_shape[1:] == (len(imagenet_classes()),):
        names = tuple(words for _, words in imagenet_classes())
    return ModelMetadata(
        labels=names, skeleton=model_skeleton(model), encoding=model_encoding(model)
    )
