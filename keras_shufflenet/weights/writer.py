"""Weights in files that others read."""

import os
from pathlib import Path

import keras

from keras_shufflenet._files import write_whole
from keras_shufflenet.weights.state_dict import state_dict

FORMATS = (".keras", ".weights.h5", ".safetensors")


def save(model: keras.Model, path: str | os.PathLike[str], *, layout: str | None = None) -> None:
    """Write a model or its weights; `load` reads all three formats again.

    Args:
        model: made by a builder of this package.
        path: of the file. `.keras` holds the model and opens without this package, `.weights.h5`
            its weights in Keras' format, `.safetensors` the weights as `state_dict` names them.
        layout: of a `.safetensors` file, as for `state_dict`.

    Raises:
        ValueError: if the path has another suffix.
        ImportError: if safetensors is missing.
    """
    path = Path(path)
    if not path.name.endswith(FORMATS):
        raise ValueError(f"Files of weights end in {', '.join(FORMATS)}. Received: {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".keras":
        write_whole(path, model.save)
    elif path.suffix == ".h5":
        write_whole(path, model.save_weights)
    else:
        write_whole(path, lambda beside: _save_safetensors(model, beside, layout))


def _save_safetensors(model: keras.Model, path: Path, layout: str | None) -> None:
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise ImportError(
            "Writing .safetensors needs safetensors: `pip install keras-shufflenet[conversion]`. "
            f"Received: {error}"
        ) from error
    path.write_bytes(save(state_dict(model, layout)))  # `save_file` lets only its owner read it
