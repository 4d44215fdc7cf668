"""Files of tensors by name, read without torch and without executing anything in them."""

import os
from pathlib import Path

import numpy as np

from keras_shufflenet.weights.array_file import is_safetensors, read_npz, read_safetensors
from keras_shufflenet.weights.errors import MALFORMED, CheckpointError
from keras_shufflenet.weights.torch_pickle import open_zip, read_pickle, read_zip

HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\3\4"
TAR = b"ustar"
TAR_OFFSET = 257


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the tensors of a checkpoint.

    What the file is, is told by its content, not by its name: a file of `torch.save` in the zip or
    in the older format (.pth, .pt, .pth.tar, .pkl), a plain pickle of NumPy arrays, .safetensors,
    or .npz. A pickle is read by a machine that can build tensors and containers and nothing else.

    Args:
        path: of the file.

    Returns:
        Arrays by key, in the order of the file. A surrounding dictionary (`state_dict`, `model`,
        ...) and a leading `module.` are stripped. bfloat16 becomes float32; other types stay.
        The arrays are read-only and may share memory with each other.

    Raises:
        CheckpointError: if the file is no checkpoint, is broken, or its pickle asks for anything
            that tensors do not need.
        OSError: if it cannot be read at all.
    """
    data = Path(path).read_bytes()
    try:
        return _read(data)
    except MALFORMED as error:
        reason = (
            error if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}."
        )
        raise CheckpointError(
            f"{reason} Readable are files of `torch.save`, .safetensors and .npz. Received: "
            f"{os.fspath(path)!r}, {len(data)} bytes that begin with {data[:16]!r}"
        ) from error


def _read(data: bytes) -> dict[str, np.ndarray]:
    if data.startswith(ZIP):
        return _read_zip(data)
    if is_safetensors(data):
        return read_safetensors(data)
    _refuse_other_files(data)
    return read_pickle(data)


def _read_zip(data: bytes) -> dict[str, np.ndarray]:
    with open_zip(data) as archive:
        names = archive.namelist()
        if any(name.endswith("data.pkl") for name in names):
            return read_zip(data, archive)
        if names and all(name.endswith(".npy") for name in names):
            return read_npz(archive, len(data))
    raise CheckpointError("The zip archive is neither torch's nor NumPy's.")


def _refuse_other_files(data: bytes) -> None:
    if not data:
        raise CheckpointError("The file is empty.")
    if data.startswith(HDF5):
        raise CheckpointError("This is a file of Keras weights: use `weights.load`.")
    if data[TAR_OFFSET : TAR_OFFSET + len(TAR)] == TAR:
        raise CheckpointError(
            "This is a tar archive, as torch wrote before version 0.2, or a packed folder; save it "
            "anew with a later torch, or unpack it. (A .pth.tar of today is no tar archive.)"
        )
    if data.lstrip()[:1] == b"<":
        raise CheckpointError("This is a web page, probably the error page of a failed download.")
