"""Arrays by name without a pickle: .safetensors and NumPy's .npz."""

import io
import json
import math
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.lib import format as npy

from keras_shufflenet.weights.errors import CheckpointError
from keras_shufflenet.weights.tensors import ELEMENT_TYPES

LONGEST_HEADER = 100_000_000
LARGEST_EXPANSION = 100  # of compressed arrays
NUMPY_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ELEMENT_CODES = {
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


def is_safetensors(data: bytes) -> bool:
    """Whether data begins as a .safetensors file: length of the header, header in JSON."""
    return len(data) > 8 and data[8:9] == b"{" and _header_length(data) <= LONGEST_HEADER


def _header_length(data: bytes) -> int:
    (length,) = struct.unpack_from("<Q", data)
    return int(length)


def read_safetensors(data: bytes) -> dict[str, np.ndarray]:
    """Read a .safetensors file, whose tensors must fill it without gap or overlap."""
    start = 8 + _header_length(data)
    if start > len(data):
        raise CheckpointError(f"The header ends at byte {start}, the file at {len(data)}.")
    header = json.loads(data[8:start].decode("utf-8"), object_pairs_hook=_unique)
    header.pop("__metadata__", None)
    body, end, arrays = memoryview(data)[start:], 0, {}
    for name, record in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        arrays[name], end = _safetensor(name, record, body, end)
    if end != len(body):
        raise CheckpointError(f"The tensors end at byte {end} of {len(body)}; truncated or odd.")
    return {name: arrays[name] for name in header}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise CheckpointError("A name is there twice.")
    return dict(pairs)


def _safetensor(
    name: str, record: dict[str, Any], body: memoryview, expected_begin: int
) -> tuple[np.ndarray, int]:
    code, shape, (begin, end) = record["dtype"], record["shape"], record["data_offsets"]
    if code not in ELEMENT_CODES:
        raise CheckpointError(f"{name!r} has the unknown type {code!r}.")
    kind = ELEMENT_TYPES[ELEMENT_CODES[code]]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise CheckpointError(f"{name!r} has a shape or place that is no count.")
    size = math.prod(shape) * kind.numpy.itemsize
    if begin != expected_begin or end - begin != size or end > len(body):
        raise CheckpointError(
            f"{name!r} of shape {shape} lies at bytes {begin} to {end}; {size} bytes from "
            f"{expected_begin} are due, and the file has {len(body)}."
        )
    array = kind.decode(body[begin:end], big_endian=False).reshape(shape)
    array.flags.writeable = False
    return array, end


def read_npz(archive: zipfile.ZipFile, size: int) -> dict[str, np.ndarray]:
    """Read the arrays of a NumPy archive; arrays of objects, which are pickles, are refused.

    Args:
        archive: the opened file.
        size: of the file in bytes.
    """
    if any(info.compress_type not in NUMPY_COMPRESSIONS for info in archive.infolist()):
        raise CheckpointError("The arrays are compressed in a way that NumPy does not use.")
    unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > LARGEST_EXPANSION * size:
        raise CheckpointError(f"{size} bytes claim to unpack to {unpacked}.")
    return {name.removesuffix(".npy"): _npy(archive, name) for name in archive.namelist()}


def _npy(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    try:
        stream = io.BytesIO(archive.read(name))  # at once, so that the checksum comes first
    except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise CheckpointError(f"{name!r} is damaged ({error}).") from error
    array = npy.read_array(stream, allow_pickle=False)
    array.flags.writeable = False
    return array
