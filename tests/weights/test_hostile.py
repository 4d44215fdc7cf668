"""Hostile and broken checkpoints: a clear error, never an execution, never a full memory."""

import collections
import contextlib
import io
import json
import os
import pickle
import pickletools
import random
import re
import struct
import subprocess
import tarfile
import tracemalloc
import zipfile

import keras
import numpy as np
import pytest
import safetensors.torch
import torch

from keras_shufflenet.weights import CheckpointError, read_checkpoint
from keras_shufflenet.weights._allow_list import ALLOWED
from keras_shufflenet.weights._choice import Request
from keras_shufflenet.weights._nesting import find_tensors
from keras_shufflenet.weights._tensors import ELEMENT_TYPES, Storage, materialize, tensor
from keras_shufflenet.weights._unpickler import hashable
from keras_shufflenet.weights.hdf5 import is_keras_file
from keras_shufflenet.weights.keras_file import load_keras_file


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


# By the name in the pickle; each would leave a file behind or give the pickle a foothold.
CALLS = {
    "system": lambda path: Call(os.system, f"touch {path}"),
    "eval": lambda path: Call(eval, f"open({path!r}, 'w')"),
    "exec": lambda path: Call(exec, f"open({path!r}, 'w')"),
    "open": lambda path: Call(open, path, "w"),
    "mkdir": lambda path: Call(os.mkdir, path),
    "Popen": lambda path: Call(subprocess.Popen, ["touch", path]),
    "getattr": lambda path: Call(getattr, collections.OrderedDict, "fromkeys"),
    "__import__": lambda path: Call(__import__, "antigravity"),
    "torch.serialization.save": lambda path: Call(torch.save, 1, path),
    "numpy.save": lambda path: Call(np.save, path, 1),
}


def save(thing, path, container) -> None:
    if container == "plain":
        path.write_bytes(pickle.dumps(thing, 2))
    else:
        torch.save(thing, path, _use_new_zipfile_serialization=container == "zip")


@pytest.mark.parametrize("container", ["plain", "legacy", "zip"])
@pytest.mark.parametrize("place", ["alone", "beside the weights", "among the weights"])
@pytest.mark.parametrize("name", CALLS)
def test_calls_are_refused_by_name_and_not_executed(tmp_path, name, place, container):
    target = tmp_path / "executed"
    call = CALLS[name](str(target))
    weights = np.ones(2) if container == "plain" else torch.ones(2)
    thing = {
        "alone": call,
        "beside the weights": {"state_dict": {"a": weights}, "meta": {"x": [call]}},
        "among the weights": {"a": weights, "b": call},
    }[place]
    save(thing, tmp_path / "weights.pth", container)
    with pytest.raises(CheckpointError, match=rf"{name}`.*Nothing was executed.*Received: "):
        read_checkpoint(tmp_path / "weights.pth")
    assert not target.exists()


HAND_WRITTEN = {
    "protocol 0": b"cos\nsystem\n(S'touch {path}'\ntR.",
    "INST": b"(S'touch {path}'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'touch {path}'\no.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",
    "NEWOBJ": b"\x80\x02csubprocess\nPopen\nX\x01\x00\x00\x00x\x85\x81.",
    "Python 2": b"\x80\x02ccommands\ngetoutput\nU\x01x\x85R.",
    "copyreg": b"\x80\x02ccopyreg\n_reconstructor\nN\x85R.",
    "setstate": b"\x80\x02ccollections\nOrderedDict\n)R}X\x0c\x00\x00\x00__setst"
    b"ate__cos\nsystem\nsbX\x01\x00\x00\x00xb.",
    "dotted name": b"\x80\x04\x8c\x05torch\x8c\x11_utils.os.systems\x93\x8c\x01x\x85R.",
    "foreign class called": b"\x80\x02cmmcv.runner\nload_checkpoint\nX\x01\x00\x00\x00x\x85R.",
}


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_calls_written_by_hand(tmp_path, name):
    target = tmp_path / "executed"
    path = tmp_path / "weights.pth"
    path.write_bytes(HAND_WRITTEN[name].replace(b"{path}", str(target).encode()))
    with pytest.raises(CheckpointError, match=r"Nothing was executed"):
        read_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("part", range(5))
def test_a_call_in_any_part_of_the_older_container(tmp_path, part):
    good = torch_bytes({"a": torch.ones(2)}, zipped=False)
    stream, ends = io.BytesIO(good), [0]
    for _ in range(5):
        collections.deque(pickletools.genops(stream), maxlen=0)
        ends.append(stream.tell())
    call = pickle.dumps(CALLS["system"](str(tmp_path / "executed")), 2)
    path = tmp_path / "weights.pth"
    path.write_bytes(good[: ends[part]] + call + good[ends[part + 1] :])
    with pytest.raises(CheckpointError, match=r"system.*Nothing was executed"):
        read_checkpoint(path)
    assert not (tmp_path / "executed").exists()


def torch_bytes(thing, zipped=True) -> bytes:
    stream = io.BytesIO()
    torch.save(thing, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def npz_bytes(save_arrays) -> bytes:
    stream = io.BytesIO()
    save_arrays(stream, a=np.arange(6.0), b=np.ones((2, 3), np.float16))
    return stream.getvalue()


STATE = {
    "conv.weight": torch.arange(6.0).reshape(2, 3),
    "conv.bias": torch.ones(3, dtype=torch.float16),
    "steps": torch.tensor(4),
}
GOOD = {
    "legacy": lambda: torch_bytes({"state_dict": STATE, "epoch": 2}, zipped=False),
    "zip": lambda: torch_bytes({"state_dict": STATE, "epoch": 2}),
    "pickle": lambda: pickle.dumps({key: value.numpy() for key, value in STATE.items()}),
    "safetensors": lambda: safetensors.torch.save(STATE),
    "npz": lambda: npz_bytes(np.savez),
    "compressed npz": lambda: npz_bytes(np.savez_compressed),
}


FLIPS = 600


@pytest.mark.parametrize("kind", GOOD)
def test_truncated_anywhere(tmp_path, kind):
    path, good = tmp_path / "weights", GOOD[kind]()
    path.write_bytes(good)
    assert len(read_checkpoint(path)) >= 2
    for end in {*range(0, len(good), 7), *range(len(good) - 30, len(good))}:
        path.write_bytes(good[:end])
        with pytest.raises(CheckpointError, match="Received: "):
            read_checkpoint(path)


@pytest.mark.parametrize("kind", GOOD)
def test_flipped_bits(tmp_path, kind):
    """Damage is an error, or it is in bytes that do not matter or that no format protects."""
    path, good, draw = tmp_path / "weights", GOOD[kind](), random.Random(0)
    path.write_bytes(good)
    expected, detected = read_checkpoint(path), 0
    with bounded_memory():
        for _ in range(FLIPS):
            damaged = bytearray(good)
            damaged[draw.randrange(len(good))] ^= 1 << draw.randrange(8)
            path.write_bytes(damaged)
            try:
                arrays = read_checkpoint(path)
            except CheckpointError as error:
                detected += "Received: " in str(error)
                continue
            assert all(isinstance(array, np.ndarray) for array in arrays.values())
            if "zip" in kind or "npz" in kind:
                assert_same(arrays, expected)
    assert detected > FLIPS / 10


def assert_same(arrays, expected) -> None:
    assert list(arrays) == list(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(arrays[key], array)


@contextlib.contextmanager
def bounded_memory(limit=64 << 20):
    """Fail if more than that is allocated, also if it is given back at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def put(opcodes: bytes) -> bytes:
    return b"\x80\x02" + opcodes + b"."


def tensor_of(count: int, shape: str, strides: str, offset: int = 0) -> bytes:
    """A legacy file with one tensor whose pickle claims what is said here."""
    good = torch_bytes({"a": torch.ones(4)}, zipped=False)
    head = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    claims = f"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuL{count}L\nNtQL{offset}L\n{shape}{strides}"
    tensor = head + claims.encode() + b"\x89}tR"
    keys = pickle.dumps(["0"], 2)
    numbers = struct.pack("<q", min(count, 2**63 - 1)) + np.ones(4, np.float32).tobytes()
    parts = put(b"}X\x01\x00\x00\x00a" + tensor + b"s") + keys + numbers
    stream = io.BytesIO(good)
    for _ in range(3):
        collections.deque(pickletools.genops(stream), maxlen=0)
    return good[: stream.tell()] + parts


def legacy(thing: bytes, keys: bytes) -> bytes:
    """A file of the older container with two pickles of its own."""
    heads = (pickle.dumps(head, 2) for head in (0x1950A86A20F9469CFC6C, 1001, {}))
    return b"".join((*heads, thing, keys))


def integers(*values: int) -> str:
    return "(" + "".join(f"L{value}L\n" for value in values) + "t"


def test_the_tensor_written_by_hand_is_read(tmp_path):
    (tmp_path / "good").write_bytes(tensor_of(4, integers(2, 2), integers(2, 1)))
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "good")["a"], np.ones((2, 2)))


def tree_of_tuples(depth: int = 60) -> bytes:
    """Opcodes of a tuple with 2 ** depth texts, to print or to hash which takes forever."""
    return b"X\x01\x00\x00\x00a" + b"2\x86" * depth


HUGE = 2**60
BOMBS = {
    "memo index": put(b"}r\xff\xff\xff\x7f"),
    "bytes": put(b"\x8e" + struct.pack("<Q", HUGE)),
    "text": put(b"X\xff\xff\xff\x7f"),
    "integer": put(b"\x8b\xff\xff\xff\x7f"),
    "decimals": put(b"L" + b"9" * 100_000 + b"L\n"),
    "copies": put(
        b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\x00"
        b"0](" + b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R" * 3000 + b"e"
    ),
    "deep tuple as a key": put(b"})" + b"\x85" * 100_000 + b"Ns"),
    "deep tuple in a set": b"\x80\x04\x8f()" + b"\x85" * 100_000 + b"\x90.",
    "deep list": put(b"]" * 100_000 + b"a" * 99_999),
    "marks": put(b"(" * 100_000),
    "instructions": put(b"N0" * 600_000),
    "tree as the name of a global": put(tree_of_tuples() + b"X\x01\x00\x00\x00a\x93"),
    "tree as a number type": put(b"cnumpy\ndtype\n" + tree_of_tuples() + b"\x85R"),
    "tree as an encoding": put(
        b"c_codecs\nencode\nX\x00\x00\x00\x00" + tree_of_tuples() + b"\x86R"
    ),
    "tree as a key": put(b"}" + tree_of_tuples() + b"Ns"),
    "tree as a protocol": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + put(tree_of_tuples()),
    "tree as a storage's key": legacy(put(b"}"), put(b"]" + tree_of_tuples() + b"a")),
    "endless wrapper": put(b"}q\x00X\x05\x00\x00\x00modelh\x00s"),
    "storage": tensor_of(HUGE, integers(HUGE), integers(1)),
    "count beyond 64 bits": tensor_of(2**70, integers(4), integers(1)),
    "shape": tensor_of(4, integers(HUGE, HUGE), integers(1, 1)),
    "axes": tensor_of(4, integers(*[1] * 1000), integers(*[1] * 1000)),
    "offset": tensor_of(4, integers(4), integers(1), offset=1),
    "negative offset": tensor_of(4, integers(4), integers(1), offset=-1),
    "negative stride": tensor_of(4, integers(4), integers(-1), offset=3),
    "too few strides": tensor_of(4, integers(2, 2), integers(1)),
    "shape of texts": tensor_of(4, "(X\x01\x00\x00\x00at", integers(1)),
    "header of safetensors": struct.pack("<Q", HUGE) + b"{}",
    "deep header of safetensors": struct.pack("<Q", 100_005) + b'{"a":' + b"[" * 100_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_claims_beyond_the_file(tmp_path, name):
    (tmp_path / "weights").write_bytes(BOMBS[name])
    with bounded_memory(), pytest.raises(CheckpointError, match="Received: "):
        read_checkpoint(tmp_path / "weights")


@pytest.mark.parametrize("kind", ["integers", "tuples"])
def test_keys_of_equal_hash_take_no_quadratic_time(kind):
    """Comparisons are counted, not seconds: each key of equal hash is compared with all others."""
    compared = 0

    class Counted(int):
        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return int(self) == int(other)

        __hash__ = int.__hash__

    keys = [index * (2**61 - 1) for index in range(10, 500)]
    assert len({hash(key) for key in keys}) == 1
    table = {}
    for key in map(Counted, keys):
        table[hashable(key if kind == "integers" else (key, 0))] = None
    assert len(table) == len(keys)
    assert compared < len(keys)


def test_keys_of_ordered_dictionaries_are_bounded_too():
    build = ALLOWED["collections.OrderedDict"].build
    assert list(build([(2**61 - 1 << 60, 1), (2**80, 2), ("a", 3), (7, 4)])) == [
        hex(2**61 - 1 << 60),
        hex(2**80),
        "a",
        7,
    ]
    with pytest.raises(TypeError, match="keys are not strings"):
        build([([], 1)])


def test_views_of_a_storage_decode_it_once():
    storage = [Storage("0", ELEMENT_TYPES["bfloat16"], 8, (first, 2)) for first in range(4)]
    views = {("", str(n)): tensor(each, 0, (2,), (1,)) for n, each in enumerate(storage)}
    reads = []

    def read(each):
        reads.append(each.key)
        return memoryview(np.arange(16256, 16264, dtype=np.uint16).tobytes())

    arrays = materialize(views, read)
    assert reads == ["0"]
    np.testing.assert_array_equal(arrays["", "3"], arrays["", "2"] + 2**-7)


def test_archives_whose_files_share_their_bytes(tmp_path):
    data = bytearray(torch_bytes({"a": torch.ones(1000), "b": torch.zeros(1000)}))
    first, second = (data.rindex(b"data/%d" % key) - 46 - len("archive/") for key in (0, 1))
    assert data[first : first + 4] == data[second : second + 4] == b"PK\1\2"
    data[second + 42 : second + 46] = data[first + 42 : first + 46]  # the same place
    data[second + 20 : second + 28] = struct.pack("<II", 6000, 6000)
    (tmp_path / "weights").write_bytes(data)
    with pytest.raises(CheckpointError, match="share their bytes"):
        read_checkpoint(tmp_path / "weights")


def test_the_number_of_tensors_is_bounded(tmp_path):
    header = {f"a{n}": record(0, 0, (0,)) for n in range(50_001)}
    (tmp_path / "weights").write_bytes(safetensors_bytes(header, b""))
    with pytest.raises(CheckpointError, match="more than 50000 tensors"):
        read_checkpoint(tmp_path / "weights")
    with pytest.raises(CheckpointError, match="more than 50000 tensors"):
        find_tensors(dict.fromkeys(map(str, range(50_001)), 0), lambda thing: thing == 0)


def test_indices_of_the_memo_are_bounded(tmp_path):
    (tmp_path / "weights").write_bytes(b"\x80\x02Np" + str(2**70).encode() + b"\n.")
    with pytest.raises(CheckpointError, match="memo beyond 64 bits"):
        read_checkpoint(tmp_path / "weights")


def test_expanded_tensor_takes_no_memory(tmp_path):
    (tmp_path / "weights").write_bytes(tensor_of(4, integers(2**20, 2**20), integers(0, 0)))
    with bounded_memory():
        assert read_checkpoint(tmp_path / "weights")["a"].shape == (2**20, 2**20)


def safetensors_bytes(header, body=b"\0" * 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def record(begin, end, shape=(1,), kind="F32"):
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


SAFETENSORS = {
    "overlap": {"a": record(0, 4), "b": record(0, 4), "c": record(4, 8)},
    "gap": {"a": record(4, 8)},
    "rest": {"a": record(0, 4)},
    "beyond": {"a": record(0, 4), "b": record(4, 12, (2,))},
    "wrong size": {"a": record(0, 8)},
    "negative": {"a": record(0, 8, (-2,))},
    "reversed": {"a": record(8, 0, (2,))},
    "unknown type": {"a": record(0, 8, (2,), "F33")},
    "fraction": {"a": record(0, 8, (2.0,))},
    "no offsets": {"a": {"dtype": "F32", "shape": [2]}},
    "no record": {"a": 3},
    "huge shape": {"a": record(0, 8, (HUGE, HUGE))},
    "twice": b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"a":{}}',
    "twice, both valid": (
        b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},'
        b'"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}'
    ),
    "unsupported type": {"a": record(0, 8, (8,), "F8_E4M3")},
    "no text": b"{\xff\xfe}",
    "a list": b"{]",
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_bad_safetensors(tmp_path, name):
    (tmp_path / "weights").write_bytes(safetensors_bytes(SAFETENSORS[name]))
    with bounded_memory(), pytest.raises(CheckpointError, match="Received: "):
        read_checkpoint(tmp_path / "weights")


def zip_bytes(entries, compression=zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tar_bytes() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    return stream.getvalue()


def bomb_npz() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, a=np.zeros(1 << 22))
    return stream.getvalue()


def repacked(compression) -> bytes:
    with zipfile.ZipFile(io.BytesIO(GOOD["zip"]())) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    return zip_bytes(entries, compression)


NO_CHECKPOINTS = {
    "empty": (lambda: b"", "empty"),
    "web page": (
        lambda: b"\n<!DOCTYPE html><title>404</title>",
        "HTML page instead of a checkpoint",
    ),
    "text": (lambda: b"epoch,loss\n1,0.5\n", "not a checkpoint"),
    "source code": (lambda: b"import torch\n", "not a checkpoint"),
    "pointer of Git LFS": (
        lambda: b"version https://git-lfs.github.com/spec/v1\n",
        "git lfs pull",
    ),
    "tar archive": (tar_bytes, "tar archive"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "weights.load"),
    "other zip": (lambda: zip_bytes({"a.txt": b"a"}), "neither torch's nor NumPy's"),
    "compressed archive": (lambda: repacked(zipfile.ZIP_DEFLATED), "compressed"),
    "two pickles": (lambda: zip_bytes({"a/data.pkl": b"", "b/data.pkl": b""}), "one data.pkl"),
    "TorchScript": (lambda: zip_bytes({"a/data.pkl": b"", "a/constants.pkl": b""}), "TorchScript"),
    "missing storage": (
        lambda: zip_bytes({"a/data.pkl": zip_pickle(), "a/byteorder": b"little"}),
        "data/0",
    ),
    "byte order": (
        lambda: zip_bytes({"a/data.pkl": zip_pickle(), "a/byteorder": b"middle"}),
        "byte order",
    ),
    "short storage": (
        lambda: zip_bytes({"a/data.pkl": zip_pickle(), "a/data/0": b"1234"}),
        "should hold",
    ),
    "memory bomb": (bomb_npz, "claim to unpack"),
    "npz of objects": (lambda: object_npz(), "allow_pickle|Object arrays"),
    "a tensor": (lambda: torch_bytes(torch.ones(2)), "no tensors by name but Tensor"),
    "a list": (lambda: torch_bytes([torch.ones(2)]), "no tensors by name but list"),
    "no tensors": (lambda: torch_bytes({}), "no tensors by name"),
    "numbers": (lambda: torch_bytes({"a": 2.5, "b": 3}), "no tensors by name"),
    "an object": (lambda: torch_bytes(torch.nn.ReLU()), "`state_dict\\(\\)` instead"),
    "an object by name": (
        lambda: torch_bytes({"epoch": 3, "model": torch.nn.ReLU()}),
        "class `torch.nn.*ReLU`.*`state_dict\\(\\)` instead",
    ),
    "8-bit floats": (
        lambda: torch_bytes({"a": torch.ones(2, dtype=torch.float8_e4m3fn)}),
        r"not supported: `torch\.float8_e4m3fn`; save float32.*and in `weights\.load` .*\.keras",
    ),
    "quantized tensor": (
        lambda: zip_bytes({"a/data.pkl": zip_pickle().replace(b"FloatStorage", b"QInt8Storage")}),
        r"not supported: `torch\.QInt8Storage`",
    ),
    "sparse tensor": (
        lambda: torch_bytes({"a": torch.ones(2).to_sparse()}),
        "_get_layout",
    ),
    "unknown protocol": (
        lambda: pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1002, 2),
        "protocol.*1002",
    ),
    "pickle of a newer Python": (lambda: b"\x80\x09N.", "no tensors by name"),
}


def zip_pickle() -> bytes:
    with zipfile.ZipFile(io.BytesIO(torch_bytes({"a": torch.ones(4)}))) as archive:
        return archive.read("archive/data.pkl")


def object_npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.array([None, 1], dtype=object))
    return stream.getvalue()


@pytest.mark.parametrize("name", NO_CHECKPOINTS)
def test_files_that_are_no_checkpoints(tmp_path, name):
    make, reason = NO_CHECKPOINTS[name]
    (tmp_path / "weights.pth").write_bytes(make())
    with pytest.raises(CheckpointError, match=rf"(?s){reason}.*Received: .*weights\.pth"):
        read_checkpoint(tmp_path / "weights.pth")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "missing.pth")
    with pytest.raises(IsADirectoryError, match="directory"):
        read_checkpoint(tmp_path)
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(CheckpointError, match=r"must be a file\. Received: .*no regular file"):
        read_checkpoint(tmp_path / "pipe.pth")
    (tmp_path / "loop.pth").symlink_to("loop.pth")
    with pytest.raises(
        OSError, match=r"can be read \(Too many levels.*\)\. Received: .*loop\.pth'"
    ):
        read_checkpoint(tmp_path / "loop.pth")


HEADERS = (b"PK\3\4", b"PK\1\2", b"PK\5\6")
METHOD = {b"PK\3\4": 8, b"PK\1\2": 10}  # offset of the compression method


def find_headers(data: bytes, kinds=HEADERS) -> list[tuple[bytes, int]]:
    return [(kind, found.start()) for kind in kinds for found in re.finditer(re.escape(kind), data)]


def keras_bytes() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b"{}")
        archive.writestr("model.weights.h5", GOOD["npz"]())
    return stream.getvalue()


ARCHIVES = {
    "zip": GOOD["zip"],
    "npz": GOOD["npz"],
    "compressed npz": GOOD["compressed npz"],
    "keras": keras_bytes,
}


def read_any(path) -> None:
    """Read a file as `weights.load` does."""
    if is_keras_file(path):
        load_keras_file(keras.Model(x := keras.Input((2,)), x), path, Request())
    else:
        read_checkpoint(path)


@pytest.mark.parametrize("method", [1, 6, 9, 12, 14, 93, 99, 0xFFFF])
@pytest.mark.parametrize("kind", ARCHIVES)
def test_unknown_compressions(tmp_path, kind, method):
    data = bytearray(ARCHIVES[kind]())
    for header, start in find_headers(bytes(data), tuple(METHOD)):
        struct.pack_into("<H", data, start + METHOD[header], method)
    (tmp_path / "weights").write_bytes(data)
    with pytest.raises(CheckpointError, match="Received: "):
        read_any(tmp_path / "weights")


@pytest.mark.parametrize("kind", ARCHIVES)
def test_damaged_headers_of_archives(tmp_path, kind):
    path, good, draw = tmp_path / "weights", ARCHIVES[kind](), random.Random(0)
    places = [start + offset for _, start in find_headers(good) for offset in range(46)]
    detected = 0
    for _ in range(300):
        damaged = bytearray(good)
        for place in draw.sample(places, draw.choice((1, 1, 3, 10))):
            damaged[place % len(good)] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            read_any(path)
        except CheckpointError as error:
            detected += "Received: " in str(error)
    assert detected > 30
