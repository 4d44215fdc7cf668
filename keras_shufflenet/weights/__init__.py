"""From a published checkpoint to the variables of a model.

`catalog` lists the published files, `cache` downloads them, `checkpoint` reads them without
executing anything, `layouts` maps the publishers' parameter names to our layers, and
`load_state_dict` assigns the tensors once all keys and shapes match.

Importing this package or its catalog imports neither Keras nor NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_shufflenet.weights import catalog, layouts
    from keras_shufflenet.weights._state_dict import load_state_dict, state_dict
    from keras_shufflenet.weights.cache import download
    from keras_shufflenet.weights.catalog import (
        WeightsEntry,
        default_entry,
        get_entry,
        list_weights,
    )
    from keras_shufflenet.weights.checkpoint import read_checkpoint
    from keras_shufflenet.weights.errors import (
        CheckpointError,
        WeightsMismatchError,
        WeightsUnavailableError,
    )
    from keras_shufflenet.weights.loading import load, read_mean_image, save
    from keras_shufflenet.weights.supernet import supernet_path

SAVE_FORMATS = (".keras", ".weights.h5", ".safetensors")
"""Suffixes of the files that `save` writes."""

__all__ = [
    "SAVE_FORMATS",
    "CheckpointError",
    "WeightsEntry",
    "WeightsMismatchError",
    "WeightsUnavailableError",
    "catalog",
    "default_entry",
    "download",
    "get_entry",
    "layouts",
    "list_weights",
    "load",
    "load_state_dict",
    "read_checkpoint",
    "read_mean_image",
    "save",
    "state_dict",
    "supernet_path",
]

_SUBMODULES = ("catalog", "layouts")
# No function may have the name of a submodule: importing the submodule would replace the function.
_MODULES = {
    "_state_dict": ("load_state_dict", "state_dict"),
    "cache": ("download",),
    "catalog": ("WeightsEntry", "default_entry", "get_entry", "list_weights"),
    "checkpoint": ("read_checkpoint",),
    "errors": ("CheckpointError", "WeightsMismatchError", "WeightsUnavailableError"),
    "loading": ("load", "read_mean_image", "save"),
    "supernet": ("supernet_path",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name in _MODULE_OF:
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
