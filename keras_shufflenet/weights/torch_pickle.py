"""Read the containers that torch.save writes, and plain pickles of arrays."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from keras_shufflenet.weights._allow_list import ALLOWED, PickledArray, unsupported_type
from keras_shufflenet.weights._nesting import Contents, find_tensors
from keras_shufflenet.weights._tensors import ElementType, Storage, Tensor, materialize
from keras_shufflenet.weights._unpickler import ForeignClass, ForeignObject, Unpickler
from keras_shufflenet.weights.errors import MALFORMED, CheckpointError

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
ZIP_MAGIC = b"PK\3\4"
END_OF_DIRECTORY = b"PK\5\6"
COUNT_OFFSET = 10  # of the number of files, from there
LOCAL_HEADER = struct.Struct("<4s22xHH")


def read_pickle(data: bytes) -> Contents[np.ndarray]:
    """Read torch's legacy container (before version 1.6), or a plain pickle of NumPy arrays.

    The container is a sequence of five pickles (magic number, protocol, description of the machine,
    the object, the keys of its storages), followed by the storages, each a count and the numbers.
    """
    storages: dict[str, Storage] = {}
    unpickler = Unpickler(data, ALLOWED, _storage_register(storages))
    first = unpickler.load()
    if first != MAGIC_NUMBER:
        return _arrays(first, _no_storage)
    if (protocol := unpickler.load()) != PROTOCOL:
        received = protocol if isinstance(protocol, int) else type(protocol).__name__
        raise CheckpointError(
            f"The protocol of a torch file must be {PROTOCOL}. Received: {received}."
        )
    unpickler.load()
    loaded, keys = unpickler.load(), unpickler.load()
    ranges = _ranges(data, unpickler.position, keys, storages)
    return _arrays(loaded, lambda storage: ranges[storage.key])


def _ranges(
    data: bytes, position: int, keys: Any, storages: dict[str, Storage]
) -> dict[str, memoryview]:
    """Return the bytes of every storage."""
    view, ranges = memoryview(data), {}
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise TypeError("keys of storages that are not texts")
    for key in keys:
        storage = storages[key]
        (count,) = struct.unpack_from("<q", data, position)
        end = position + 8 + storage.count * storage.type.numpy.itemsize
        if count != storage.count or end > len(data):
            raise CheckpointError(
                f"Storage {key!r} should hold {storage.count} numbers and declares {count}, but "
                f"{max(0, len(data) - position - 8)} bytes are in the file; it may be truncated."
            )
        ranges[key] = view[position + 8 : end]
        position = end
    return ranges


def read_zip(data: bytes, archive: zipfile.ZipFile) -> Contents[np.ndarray]:
    """Read torch's container of version 1.6 and later: a pickle and one file per storage.

    Args:
        data: Content of the whole file.
        archive: The same file, opened.
    """
    names = [name for name in archive.namelist() if name.split("/", 1)[-1] == "data.pkl"]
    if len(names) != 1:
        raise CheckpointError(f"A torch archive has one data.pkl, but this one has {len(names)}.")
    folder = names[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in archive.namelist():
        raise CheckpointError("This is a TorchScript program: save its `state_dict()` instead.")
    if sum(info.file_size for info in archive.infolist()) > len(data):
        raise CheckpointError("The files in the archive are compressed or share their bytes.")
    return _read_archive(data, archive, folder)


def _read_archive(data: bytes, archive: zipfile.ZipFile, folder: str) -> Contents[np.ndarray]:
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
                f"Storage {storage.key!r} should hold {storage.count} numbers, but has "
                f"{len(raw)} bytes."
            )
        return raw

    return _arrays(loaded, read, order == b"big")


def entry(data: bytes, archive: zipfile.ZipFile, name: str) -> memoryview:
    """Return the bytes of an uncompressed file in an archive, without a copy, after a CRC check.

    torch does not compress: a compressed file is not one of torch's and may be a zip bomb.
    """
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise CheckpointError(f"{name!r} is compressed or encrypted, which torch never does.")
    signature, *lengths = LOCAL_HEADER.unpack_from(data, info.header_offset)
    start = info.header_offset + LOCAL_HEADER.size + sum(lengths)
    raw = memoryview(data)[start : start + info.file_size]
    if signature != ZIP_MAGIC or len(raw) != info.file_size or zlib.crc32(raw) != info.CRC:
        raise CheckpointError(f"{name!r} is damaged: its checksum differs.")
    return raw


def open_zip(data: bytes) -> zipfile.ZipFile:
    """Open an archive.

    Raises:
        CheckpointError: If its directory is damaged.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        (count,) = struct.unpack_from("<H", data, data.rindex(END_OF_DIRECTORY) + COUNT_OFFSET)
    except (zipfile.BadZipFile, *MALFORMED) as error:
        raise CheckpointError(
            f"The file begins like a zip archive, but is damaged or truncated ({error})."
        ) from error
    if count != len(archive.infolist()):  # `zipfile` does not check this
        raise CheckpointError(f"{len(archive.infolist())} of {count} files are in the archive.")
    return archive


def _storage_register(storages: dict[str, Storage]) -> Callable[[Any], Any]:
    """Return a `persistent_load` that registers storages by key."""

    def load(identifier: Any) -> Storage | ForeignClass:
        if identifier[0] == "module" and isinstance(identifier[1], ForeignClass):
            return identifier[1]  # of a whole network in the older container
        kind, element, key, _, count, *part = identifier
        if isinstance(element, ForeignClass):
            raise unsupported_type(element)
        if kind != "storage" or not isinstance(element, ElementType):
            raise TypeError("a reference to something else than a storage")
        if not isinstance(key, str) or type(count) is not int or count < 0:
            raise TypeError("a storage without a name or a number of elements")
        storages.setdefault(key, Storage(key, element, count))
        return Storage(key, element, count, _part(part))

    return load


def _part(part: list[Any]) -> tuple[int, int] | None:
    if not part or part[0] is None:
        return None
    _, first, count = part[0]
    if type(first) is not int or type(count) is not int or min(first, count) < 0:
        raise TypeError("a view of a storage without bounds")
    return first, count


def _no_storage(storage: Storage) -> memoryview:
    raise CheckpointError(f"Storage {storage.key!r} is not in the file.")


def _arrays(
    loaded: Any, read: Callable[[Storage], memoryview], big_endian: bool = False
) -> Contents[np.ndarray]:
    """Return the arrays of the object that was saved."""
    contents = find_tensors(loaded, _is_tensor)
    _check_tensors(loaded, contents)
    views = {
        (path, name): value
        for path, tensors in contents.tensors.items()
        for name, value in tensors.items()
        if isinstance(value, Tensor)
    }
    found = materialize(views, read, big_endian)
    arrays = {
        path: {
            name: value.array if isinstance(value, PickledArray) else found[path, name]
            for name, value in tensors.items()
        }
        for path, tensors in contents.tensors.items()
    }
    return replace(contents, tensors=arrays)


def _is_tensor(thing: Any) -> bool:
    array = isinstance(thing, PickledArray) and thing.array is not None
    return array or isinstance(thing, Tensor)


def _check_tensors(loaded: Any, contents: Contents[Any]) -> None:
    if contents.tensors:
        return
    values = [loaded, *loaded.values()] if isinstance(loaded, dict) else [loaded]
    objects = [thing for thing in values if isinstance(thing, ForeignObject) and not thing]
    if objects:
        raise CheckpointError(
            f"The file holds an object of class `{objects[0].name}`, not tensors by name: save the "
            "model's `state_dict()` instead."
        )
    raise CheckpointError(f"The file holds no tensors by name but {type(loaded).__name__}.")
