"""Check a `.keras` file before Keras opens it: the files in it, its configuration, its weights.

Keras builds what the configuration says. Here that is layers of Keras itself and nothing else:
no code (`Lambda`), no classes of other packages or of the user, no layers that open other files.
"""

import contextlib
import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from keras_shufflenet._keras_private import functional, output_shapes
from keras_shufflenet.weights.assignment import MAX_WEIGHT
from keras_shufflenet.weights.checkpoint import MAX_EXPANSION
from keras_shufflenet.weights.errors import MALFORMED, CheckpointError
from keras_shufflenet.weights.hdf5_checks import check_file

if TYPE_CHECKING:
    import keras

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


MOST_FEATURES = 1 << 28  # of a layer, for one image: a gigabyte
REBUILT = 2  # some layers are built with their configuration, and again with their input
SMALL_SIDE = 64  # stands for sides of any size


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
        if os.path.getsize(path) == 0:
            reason = "the file is empty"
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


def is_model_archive(path: Path) -> bool:
    """Return whether a file is named `.keras` and is a zip archive, as those of Keras 3 are."""
    return path.suffix == ".keras" and path.is_file() and zipfile.is_zipfile(path)


def read_config(path: Path) -> dict[str, Any]:
    """Return the configuration of the model in a `.keras` file, without that of its optimizer.

    Raises:
        CheckpointError: If the file is damaged.
        FileNotFoundError: If it is missing.
    """
    with refusing_damage(path), open_archive(path) as archive:
        return _read_config(archive)


def load_model_file(path: Path, registered: Collection[str] = ()) -> "keras.Model":
    """Open a `.keras` file without executing anything of it, and without its optimizer.

    Args:
        path: Path of the file.
        registered: Registered names of classes of this package that the file may use, too.

    Raises:
        CheckpointError: If it is damaged, its model is not built of Keras' layers alone, its
            weights are not finite numbers, or it needs more of them or far larger feature maps
            than a network has.
        FileNotFoundError: If it is missing.
        Exception: Whatever Keras raises about a configuration.
    """
    import keras

    with _bounded_weights(_check_model_file(path, registered), path):
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    _check_shapes(model, path)
    return model


def _check_model_file(path: Path, registered: Collection[str]) -> int:
    """Check a file before Keras opens it; return the number of its weights."""
    with refusing_damage(path), open_archive(path) as archive:
        layers = _read_config(archive)
        with h5py.File(io.BytesIO(archive.read(WEIGHTS)), "r") as file:
            check_file(file, path.stat().st_size)
            weights = _number_of_weights(file)
            _check_config(layers, weights, registered, path)
    return weights


def _read_config(archive: zipfile.ZipFile) -> dict[str, Any]:
    config = json.loads(archive.read(CONFIG))
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise TypeError(f"{CONFIG} is not a configuration")
    return {key: value for key, value in config.items() if key != COMPILED}


_bound: ContextVar[Callable[[int], None] | None] = ContextVar("bound", default=None)


@contextlib.contextmanager
def _bounded_weights(weights: int, path: Path) -> Iterator[None]:
    """Let layers of this thread make about as many weights as a file has, no more."""
    import keras

    made, add_weight = [0], keras.Layer.add_weight

    def check(number: int) -> None:
        made[0] += number
        if made[0] > REBUILT * weights:
            raise ValueError("too many weights")

    @wraps(add_weight)
    def bounded(layer: Any, shape: Any = None, *args: Any, **arguments: Any) -> Any:
        if (found := _bound.get()) is not None:
            found(math.prod((shape,) if isinstance(shape, int) else shape or ()))
        return add_weight(layer, shape, *args, **arguments)

    token = _bound.set(check)
    keras.Layer.add_weight = bounded
    try:
        yield
    except Exception as error:
        if made[0] <= REBUILT * weights:
            raise
        raise CheckpointError(
            f"The layers of the model must have the weights that are in the file, {weights}; they "
            f"need {made[0]}. Received: {str(path)!r}"
        ) from error
    finally:
        keras.Layer.add_weight = add_weight
        _bound.reset(token)


def _check_shapes(model: "keras.Model", path: Path) -> None:
    """Check what the layers compute from one image; of models of any size, from a small one."""
    if functional(model) is None or any(len(image.shape) != 4 for image in model.inputs):
        return
    for name, shape in output_shapes(model, SMALL_SIDE):
        if math.prod(n or 1 for n in shape) > MOST_FEATURES:
            raise CheckpointError(
                f"The layers of a model must make less than {MOST_FEATURES} numbers of an image. "
                f"Received: {' × '.join(map(str, shape[1:]))} of the layer {name!r} in "
                f"{str(path)!r}"
            )


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
        shown = f"{module}.{what}" if not registered else thing["registered_name"]
        raise _refusal(f"`{shown}`, which is not a layer of Keras", path)


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
