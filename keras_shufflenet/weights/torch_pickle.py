"""The containers that torch.save writes, and plain pickles of arrays."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_shufflenet.weights._unpickler import Unpickler
from keras_shufflenet.weights.allowed import ALLOWED, PickledArray
from keras_shufflenet.weights.errors import MALFORMED, CheckpointError
from keras_shufflenet.weights.placeholders import ForeignObject
from keras_shufflenet.weights.tensors import ElementType, Storage, Tensor, materialize

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
WRAPPERS = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema", "net")
DEEPEST_WRAPPER = 4
END_OF_DIRECTORY = b"PK\5\6"
COUNT_OFFSET = 10  # of the number of files, from there
LOCAL_HEADER = struct.Struct("<4s22xHH")


def read_pickle(data: bytes) -> dict[str, np.ndarray]:
    """Read torch's container of before version 1.6, or a plain pickle of NumPy arrays.

    The container is five things in a row: magic number, protocol, a description of the machine, the
    object, the keys of its storages; all pickled. Then the storages, each a count and the numbers.
    """
    storages: dict[str, Storage] = {}
    unpickler = Unpickler(data, ALLOWED, _storage_register(storages))
    first = unpickler.load()
    if first != MAGIC_NUMBER:
        return _arrays(first, _no_storage)
    if (protocol := unpickler.load()) != PROTOCOL:
        raise CheckpointError(
            f"ResizeMethod {protocol!r} of torch is unknown, {PROTOCOL} expected."
        )
    unpickler.load()
    loaded, keys = unpickler.load(), unpickler.load()
    places = _places(data, unpickler.position, keys, storages)
    return _arrays(loaded, lambda storage: places[storage.key])


def _places(
    data: bytes, position: int, keys: Any, storages: dict[str, Storage]
) -> dict[str, memoryview]:
    """Where the bytes of every storage are."""
    view, places = memoryview(data), {}
    for key in keys:
        storage = storages[key]
        (count,) = struct.unpack_from("<q", data, position)
        end = position + 8 + storage.count * storage.type.numpy.itemsize
        if count != storage.count or end > len(data):
            raise CheckpointError(
                f"Storage {key!r} should hold {storage.count} numbers and holds {count}, of which "
                f"{max(0, len(data) - position - 8)} bytes are in the file; it may be truncated."
            )
        places[key] = view[position + 8 : end]
        position = end
    return places


def read_zip(data: bytes, archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """Read torch's container of version 1.6 and later: a pickle and one file per storage.

    Args:
        data: of the whole file.
        archive: the same, opened.
    """
    names = [name for name in archive.namelist() if name.split("/", 1)[-1] == "data.pkl"]
    if len(names) != 1:
        raise CheckpointError(f"A torch archive has one data.pkl, this one {len(names)}.")
    folder = names[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in archive.namelist():
        raise CheckpointError("This is a TorchScript program; save its `state_dict()` instead.")
    return _read_archive(data, archive, folder)


def _read_archive(data: bytes, archive: zipfile.ZipFile, folder: str) -> dict[str, np.ndarray]:
    storages: dict[str, Storage] = {}
    pickle = bytes(entry(data, archive, f"{folder}data.pkl"))
    loaded = Unpickler(pickle, ALLOWED, _storage_register(storages)).load()
    order = b"little"
    if f"{folder}byteorder" in archive.namelist():
        order = bytes(entry(data, archive, f"{folder}byteorder"))
    if order not in (b"little", b"big"):
        raise CheckpointError(f"The byte order {order[:20]!r} is neither b'little' nor b'big'.")

    def read(storage: Storage) -> memoryview:
        raw = entry(data, archive, f"{folder}data/{storage.key}")
        if len(raw) != storage.count * storage.type.numpy.itemsize:
            raise CheckpointError(
                f"Storage {storage.key!r} should hold {storage.count} numbers and holds "
                f"{len(raw)} bytes."
            )
        return raw

    return _arrays(loaded, read, order == b"big")


def entry(data: bytes, archive: zipfile.ZipFile, name: str) -> memoryview:
    """Bytes of an uncompressed file in an archive, without a copy, checked against its CRC.

    torch does not compress. What is compressed here is none of its files, and may be a bomb.
    """
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise CheckpointError(f"{name!r} is compressed or encrypted, which torch never does.")
    signature, *lengths = LOCAL_HEADER.unpack_from(data, info.header_offset)
    start = info.header_offset + LOCAL_HEADER.size + sum(lengths)
    raw = memoryview(data)[start : start + info.file_size]
    if signature != b"PK\3\4" or len(raw) != info.file_size or zlib.crc32(raw) != info.CRC:
        raise CheckpointError(f"{name!r} is damaged (its checksum differs).")
    return raw


def open_zip(data: bytes) -> zipfile.ZipFile:
    """Open an archive.

    Raises:
        CheckpointError: if its directory is broken.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        (count,) = struct.unpack_from("<H", data, data.rindex(END_OF_DIRECTORY) + COUNT_OFFSET)
    except (zipfile.BadZipFile, *MALFORMED) as error:
        raise CheckpointError(
            f"The file begins like a zip archive but is broken or truncated ({error})."
        ) from error
    if count != len(archive.infolist()):  # which `zipfile` does not look at
        raise CheckpointError(f"{len(archive.infolist())} of {count} files are in the archive.")
    return archive


def _storage_register(storages: dict[str, Storage]) -> Callable[[Any], Storage]:
    """A reader of references to storages, which notes them by key."""

    def load(identifier: Any) -> Storage:
        kind, element, key, _, count, *part = identifier
        if kind != "storage" or not isinstance(element, ElementType):
            raise TypeError(f"a reference to {kind!r}")
        if not isinstance(key, str) or type(count) is not int or count < 0:
            raise TypeError(f"a storage {key!r} of {count!r} numbers")
        storages.setdefault(key, Storage(key, element, count))
        return Storage(key, element, count, _part(part))

    return load


def _part(part: list[Any]) -> tuple[int, int] | None:
    if not part or part[0] is None:
        return None
    _, first, count = part[0]
    if type(first) is not int or type(count) is not int or min(first, count) < 0:
        raise TypeError("a part of a storage without bounds")
    return first, count


def _no_storage(storage: Storage) -> memoryview:
    raise CheckpointError(f"Storage {storage.key!r} is not in the file.")


def _arrays(
    loaded: Any, read: Callable[[Storage], memoryview], big_endian: bool = False
) -> dict[str, np.ndarray]:
    """The arrays of whatever was saved."""
    state = _state_dict(loaded)
    views = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    found = materialize(views, read, big_endian)
    for key, value in state.items():
        if isinstance(value, PickledArray) and value.array is not None:
            found[key] = value.array
        elif key not in found:
            raise CheckpointError(
                f"A state dict holds tensors by name; {key!r} is of type {type(value).__name__}."
            )
    return without_wrapper({key: found[key] for key in state})


def _state_dict(loaded: Any) -> dict[Any, Any]:
    """Descend to the state dict that checkpoints of trainings are wrapped around."""
    for _ in range(DEEPEST_WRAPPER):
        _check_mapping(loaded)
        inner = [loaded[name] for name in WRAPPERS if isinstance(loaded.get(name), dict)]
        if not inner:
            return loaded
        loaded = inner[0]
    raise CheckpointError(f"The state dict lies deeper than {DEEPEST_WRAPPER} dictionaries.")


def _check_mapping(loaded: Any) -> None:
    if isinstance(loaded, ForeignObject) and not loaded:
        raise CheckpointError(
            f"The file holds an object of class `{loaded.name}`, not tensors by name. A whole "
            "network was saved: save its `state_dict()` instead."
        )
    if not isinstance(loaded, dict) or not loaded:
        raise CheckpointError(f"The file holds no tensors by name but {type(loaded).__name__}.")


def without_wrapper(state: Mapping[Any, np.ndarray]) -> dict[str, np.ndarray]:
    """Strip the `module.` that torch.nn.DataParallel puts before every name.

    Raises:
        CheckpointError: if a name is there with and without it.
    """
    stripped = {str(key).removeprefix("module."): array for key, array in state.items()}
    if len(stripped) != len(state):
        raise CheckpointError("Some names are there twice, with and without `module.`.")
    return stripped
