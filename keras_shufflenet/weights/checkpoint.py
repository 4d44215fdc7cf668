"""Read checkpoints without torch and without executing anything in them.

A file's format is told by its content. PyTorch's containers are read by `torch_pickle`;
.safetensors and NumPy's .npz, which hold arrays without a pickle, are read here.
"""

import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.lib import format as npy

from keras_shufflenet._files import received_path
from keras_shufflenet.weights._nesting import MAX_TENSORS, Contents
from keras_shufflenet.weights._subsets import pick_state_dict
from keras_shufflenet.weights._tensors import ELEMENT_TYPES
from keras_shufflenet.weights.errors import MALFORMED, BrokenPickleError, CheckpointError
from keras_shufflenet.weights.torch_pickle import ZIP_MAGIC, open_zip, read_pickle, read_zip

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_EXPANSION = 100  # of compressed files, so that a small one cannot fill the memory
PICKLE_MAGIC = b"\x80"  # of protocol 2 and later
GIT_LFS = b"version https://git-lfs"
TAR_MAGIC = b"ustar"
TAR_OFFSET = 257
MAX_HEADER = 10_000_000  # bytes
NPZ_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
SAFETENSORS_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}


def read_checkpoint(
    path: str | os.PathLike[str], *, ema: bool | None = None
) -> dict[str, np.ndarray]:
    """Read the tensors of a checkpoint.

    The format is told by the content, not by the name: a file of `torch.save` in the zip or in the
    legacy format (.pth, .pt, .ckpt, .pth.tar, .pkl), a plain pickle of NumPy arrays, .safetensors,
    or .npz. Pickles are read by a restricted unpickler that can build tensors and containers only.

    Args:
        path: Path of the file.
        ema: Whether to return averaged (EMA) weights. By default they are taken if there are some.

    Returns:
        Arrays by key, in the order of the file: those of the dictionary of a training checkpoint
        (`state_dict`, `model`, ...) that a layout explains best, or else of the largest one.
        `module.` and other names of torch's wrappers, and a prefix that all keys share beyond
        those of a layout, are stripped. bfloat16 becomes float32; other types stay. The arrays are
        read-only and may share memory with each other.

    Raises:
        CheckpointError: If the file is not a checkpoint, is malformed, or if its pickle asks for
            anything but tensors and containers.
        ValueError: If `ema` is True and there are no averaged weights, or False and there are no
            others.
        OSError: If the file cannot be read at all.
    """
    return pick_state_dict(read_tensors(path), ema)


def read_tensors(path: str | os.PathLike[str]) -> Contents[np.ndarray]:
    """Read all tensors of a checkpoint, those of nested dictionaries included.

    Args:
        path: Path of the file.

    Raises:
        CheckpointError: As `read_checkpoint`.
        OSError: If the file cannot be read at all.
    """
    path = Path(path)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
            raise CheckpointError(f"A checkpoint must be a file. Received: {received_path(path)}")
        data = path.read_bytes()
    except OSError as error:
        raise type(error)(
            f"A checkpoint must be a file that can be read ({error.strerror}). "
            f"Received: {os.fspath(path)!r}"
        ) from error
    try:
        contents = _read(data)
        if not contents.tensors:
            raise CheckpointError("The file holds no tensors by name.")
        return contents
    except MALFORMED as error:
        reason = (
            error if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}."
        )
        raise CheckpointError(
            f"{reason} Supported are files of `torch.save`, .safetensors and .npz, and in "
            "`weights.load` those of Keras (.keras, .weights.h5). "
            f"Received: {os.fspath(path)!r}, {len(data)} bytes that begin with {data[:16]!r}"
        ) from error


def _read(data: bytes) -> Contents[np.ndarray]:
    if data.startswith(ZIP_MAGIC):
        return _read_zip(data)
    if _is_safetensors(data):
        return Contents({"": _read_safetensors(data)}, {})
    _refuse_other_formats(data)
    if data.startswith(PICKLE_MAGIC):
        return read_pickle(data)
    try:  # protocols 0 and 1 begin with anything
        return read_pickle(data)
    except BrokenPickleError as error:
        raise CheckpointError("The file is not a checkpoint.") from error


def _read_zip(data: bytes) -> Contents[np.ndarray]:
    with open_zip(data) as archive:
        names = archive.namelist()
        if any(name.endswith("data.pkl") for name in names):
            return read_zip(data, archive)
        if names and all(name.endswith(".npy") for name in names):
            return Contents({"": _read_npz(archive, len(data))}, {})
    raise CheckpointError("The zip archive is neither torch's nor NumPy's.")


def _refuse_other_formats(data: bytes) -> None:
    if not data:
        raise CheckpointError("The file is empty.")
    if data.startswith(HDF5_MAGIC):
        raise CheckpointError("This is a Keras weights file: use `weights.load`.")
    if data[TAR_OFFSET : TAR_OFFSET + len(TAR_MAGIC)] == TAR_MAGIC:
        raise CheckpointError(
            "This is a tar archive, either of torch before version 0.2 or a packed folder: save "
            "it again with a later torch, or unpack it. (Today's .pth.tar is not a tar archive.)"
        )
    if data.startswith(GIT_LFS):
        raise CheckpointError(
            "This is a pointer of Git LFS instead of a checkpoint: `git lfs pull` gets the file."
        )
    if data.lstrip()[:1] == b"<":
        raise CheckpointError(
            "This is an HTML page instead of a checkpoint, probably the error page of a failed "
            "download."
        )


def _is_safetensors(data: bytes) -> bool:
    """Return whether data begins like .safetensors: length of the header, header in JSON."""
    return len(data) > 8 and data[8:9] == b"{" and _header_length(data) <= MAX_HEADER


def _header_length(data: bytes) -> int:
    (length,) = struct.unpack_from("<Q", data)
    return int(length)


def _read_safetensors(data: bytes) -> dict[str, np.ndarray]:
    """Read a .safetensors file.

    `safetensors.numpy.load` knows no bfloat16 and keeps the last of several tensors of one name,
    so the raw bytes are taken and the names are checked here.
    """
    header = json.loads(data[8 : 8 + _header_length(data)], object_pairs_hook=_unique)
    if len(header) > MAX_TENSORS:
        raise CheckpointError(f"The file has more than {MAX_TENSORS} tensors.")
    try:
        records = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f"The .safetensors file is malformed or truncated: {error}."
        ) from error
    return {name: _decode(name, records[name]) for name in header if name != "__metadata__"}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise CheckpointError("The header of the .safetensors file has a duplicate name.")
    return dict(pairs)


def _decode(name: str, record: dict[str, Any]) -> np.ndarray:
    if record["dtype"] not in SAFETENSORS_DTYPES:
        raise CheckpointError(f"{name!r} has the unsupported type {record['dtype']!r}.")
    kind = ELEMENT_TYPES[SAFETENSORS_DTYPES[record["dtype"]]]
    array = kind.decode(memoryview(record["data"]), big_endian=False).reshape(record["shape"])
    array.flags.writeable = False
    return array


def _read_npz(archive: zipfile.ZipFile, size: int) -> dict[str, np.ndarray]:
    """Read the arrays of a NumPy archive; arrays of objects, which are pickles, are refused.

    Args:
        archive: The opened file.
        size: Size of the file in bytes.
    """
    if any(info.compress_type not in NPZ_COMPRESSIONS for info in archive.infolist()):
        raise CheckpointError("The arrays are compressed in a way that NumPy does not use.")
    unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > MAX_EXPANSION * size:
        raise CheckpointError(f"{size} bytes claim to unpack to {unpacked}.")
    return {name.removesuffix(".npy"): _read_npy(archive, name) for name in archive.namelist()}


def _read_npy(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    try:
        stream = io.BytesIO(archive.read(name))  # all of it first, so that the CRC is checked
    except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise CheckpointError(f"{name!r} is damaged ({error}).") from error
    array = npy.read_array(stream, allow_pickle=False)
    array.flags.writeable = False
    return array
