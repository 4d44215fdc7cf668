"""Check a `.keras` file before Keras opens it: the files in it, its configuration, its weights.

Keras builds what the configuration says. Here that is layers of Keras itself and nothing else:
no code (`Lambda`), no classes of other packages or of the user, no layers that open other files.
"""

import contextlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_shufflenet.weights.assignment import MAX_WEIGHT
from keras_shufflenet.weights.checkpoint import MAX_EXPANSION
from keras_shufflenet.weights.errors import MALFORMED, CheckpointError
from keras_shufflenet.weights.hdf5_checks import check_file

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
COMPILED = "compile_config"  # loss and optimizer, which inference does not open
OPTIMIZER = "optimizer"
ENCRYPTED = 1  # bit of a zip entry's flags
# Values in a configuration that are written as classes.
PLAIN_VALUES = ("keras_tensor", "tensor", "numpy", "bytes", "ellipsis", "slice")
CODE = ("Lambda", "__lambda__")
OPEN_FILES = (
    *("FlaxLayer", "IntegerLookup", "JaxLayer", "StringLookup", "TFSMLayer"),
    *("TextVectorization", "TorchModuleWrapper"),
)
MODULES = (
    *("activations", "constraints", "dtype_policies", "initializers", "layers", "models", "ops"),
    *("quantizers", "random", "regularizers"),
)
FUNCTIONS = ("builtins", "keras.activations")
WIDTHS = ("filters", "units", "input_dim", "output_dim")  # a layer has at least that many weights


@contextlib.contextmanager
def refusing_damage(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise a CheckpointError for whatever zipfile, json and h5py raise on a damaged file."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except (*MALFORMED, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, ValueError) and "Received: " in str(error):
            raise
        reason = str(error) if str(error) else type(error).__name__
        raise CheckpointError(
            f"The Keras file is malformed or truncated ({reason[:300]}); supported are files of "
            f"`model.save_weights` and `model.save`. Received: {os.fspath(path)!r}"
        ) from error


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a `.keras` file whose directory is checked.

    Raises:
        ValueError: If it has other files than a model of Keras, one twice, or a zip bomb.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(set(names)) != len(names):
            raise ValueError("it has several files of one name")
        others = sorted(set(names) - {CONFIG, METADATA, WEIGHTS})
        if others:
            raise ValueError(f"it has {others[0][:80]!r} beside {CONFIG} and {WEIGHTS}")
        for entry in entries:
            if entry.compress_type not in COMPRESSIONS or entry.flag_bits & ENCRYPTED:
                raise ValueError(f"{entry.filename} is encrypted, or compressed in another way")
        claimed, size = sum(entry.file_size for entry in entries), path.stat().st_size
        if claimed > MAX_EXPANSION * size:
            raise ValueError(f"{size} bytes claim to unpack to {claimed}")
        yield archive


def check_model_file(path: Path, registered: Collection[str] = ()) -> None:
    """Check that a `.keras` file can be opened without executing anything of it.

    Args:
        path: Path of the file.
        registered: Registered names of classes of this package that the file may use, too.

    Raises:
        CheckpointError: If it is damaged, its model is not built of Keras' layers alone, or its
            weights are not finite numbers.
        FileNotFoundError: If it is missing.
    """
    with refusing_damage(path), open_archive(path) as archive:
        config = json.loads(archive.read(CONFIG))
        if not isinstance(config, dict):
            raise TypeError(f"{CONFIG} is not a configuration")
        layers = {key: value for key, value in config.items() if key != COMPILED}
        with h5py.File(io.BytesIO(archive.read(WEIGHTS)), "r") as file:
            check_file(file, path.stat().st_size)
            _check_config(layers, _number_of_weights(file), registered, path)


def _check_config(config: Any, weights: int, registered: Collection[str], path: Path) -> None:
    """Check every class in a configuration, however deep."""
    things = [config]
    while things:
        thing = things.pop()
        if isinstance(thing, dict):
            if "class_name" in thing and thing.get("registered_name") not in registered:
                _check_class(thing, path)
            for width in WIDTHS:
                number = thing.get(width, 0)
                if isinstance(number, int) and number > weights:
                    raise ValueError(f"a layer has {width}={number}, {WEIGHTS} {weights} numbers")
            things.extend(thing.values())
        elif isinstance(thing, list):
            things.extend(thing)


def _check_class(thing: dict[str, Any], path: Path) -> None:
    name, module = thing["class_name"], thing.get("module")
    if name in CODE:
        raise _refusal("code (a `Lambda` layer), which is never executed from a file", path)
    if not isinstance(name, str) or not isinstance(module, str | None):
        raise TypeError("a class whose name is not a text")
    if name in OPEN_FILES:
        raise _refusal(f"the layer `{name}`, which opens other files", path)
    if name.strip("_") in PLAIN_VALUES and module is None:
        return
    registered = thing.get("registered_name") not in (None, name)
    if name == "function":
        known = module in FUNCTIONS and not (registered and module != "builtins")
    else:
        known = _is_of_keras(module) and name[:1].isupper() and not registered
    if not known:
        what = thing.get("config") if name == "function" else name
        raise _refusal(f"`{module}.{what}`, which is not a layer of Keras", path)


def _is_of_keras(module: str | None) -> bool:
    """Return whether a module of Keras has parts of models; its private path has a `src` in it."""
    first, *rest = [part for part in (module or "").split(".") if part != "src"]
    return first == "keras" and (not rest or rest[0] in MODULES)


def _refusal(what: str, path: Path) -> CheckpointError:
    return CheckpointError(
        f"The model in the file uses {what}. Files are opened in safe mode and without custom "
        "objects; if you trust it, open it yourself by `keras.saving.load_model` and pass the "
        f"model. Nothing was executed. Received: {str(path)!r}"
    )


def _number_of_weights(file: h5py.File) -> int:
    """Return the number of a model's weights, which must be finite numbers."""
    number = 0

    def add(name: str, thing: h5py.Group | h5py.Dataset) -> None:
        nonlocal number
        if isinstance(thing, h5py.Group) or name.startswith(OPTIMIZER):
            return
        number += thing.size
        if thing.dtype.kind == "f" and not np.abs(thing[()]).max(initial=0) < MAX_WEIGHT:
            raise ValueError(f"{thing.name} has values that no trained network has")

    file.visititems(add)
    return number
