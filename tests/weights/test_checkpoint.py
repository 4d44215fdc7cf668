"""Readable checkpoints: what torch, safetensors and NumPy write comes out bit for bit."""

import argparse
import collections
import datetime
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch

from keras_shufflenet.weights import CheckpointError, read_checkpoint

CONTAINERS = {"zip": True, "legacy": False}
TYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
]


@pytest.fixture(params=CONTAINERS)
def save(request, tmp_path):
    """Save an object with torch and return the path, in the newer and the older container."""

    def save(thing, name="weights.pth") -> pathlib.Path:
        path = tmp_path / name
        torch.save(thing, path, _use_new_zipfile_serialization=CONTAINERS[request.param])
        return path

    return save


def numbers(*shape, kind=torch.float32) -> torch.Tensor:
    return (torch.arange(int(np.prod(shape))) - 3).reshape(shape).to(kind)


def check(path, expected) -> None:
    arrays = read_checkpoint(path)
    assert list(arrays) == list(expected)
    for key, tensor in expected.items():
        tensor = tensor.detach()
        wanted = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        assert arrays[key].dtype == wanted.dtype
        assert arrays[key].shape == wanted.shape
        np.testing.assert_array_equal(arrays[key], wanted)


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_every_type(save, kind):
    state = {"a": numbers(2, 3, 4, kind=kind), "scalar": numbers(1, kind=kind)[0]}
    check(save(state), state)


def test_unsigned_types_without_a_storage_class(save):
    state = {"a": torch.tensor([1, 65535], dtype=torch.uint16)}
    check(save(state), state)


def test_views_share_their_storage(save):
    base = numbers(6, 8)
    state = {
        "base": base,
        "transposed": base.t(),
        "slice": base[1:4, 2::3],
        "offset": base.flatten()[5:9],
        "expanded": base[0, 3].expand(3, 2),
        "empty": base[:0],
    }
    path = save(state)
    check(path, state)
    arrays = read_checkpoint(path)
    assert np.shares_memory(arrays["base"], arrays["slice"])
    assert not any(array.flags.writeable for array in arrays.values())


def test_state_dict_of_a_real_module(save):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = module.state_dict()
    assert "1.num_batches_tracked" in state
    check(save(state), state)


def test_parameters(save):
    state = collections.OrderedDict(a=torch.nn.Parameter(numbers(3, 2)))
    check(save(state), state)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "state_dict_ema"])
def test_wrapper_and_prefix_are_stripped(save, wrapper):
    state = {"conv.weight": numbers(2, 2), "conv.bias": numbers(2)}
    wrapped = {f"module.{key}": value for key, value in state.items()}
    optimizer = {"state": {0: {"momentum_buffer": numbers(5)}}, "param_groups": [{"lr": 0.1}]}
    path = save({"epoch": 3, wrapper: wrapped, "optimizer": optimizer}, "weights.pth.tar")
    check(path, state)


class Config(dict):
    """Stands for a class that the reader does not know."""


def test_foreign_objects_beside_the_weights_do_no_harm(save):
    config = Config(optimizer=Config(lr=0.1))
    config.filename = "config.py"
    meta = {
        "config": config,
        "options": argparse.Namespace(lr=0.1),
        "path": pathlib.PurePosixPath("/data/imagenet"),
        "time": datetime.datetime(2020, 9, 21),
        "classes": ("person",),
        "scores": {"top1": np.float64(69.5), "history": np.arange(4.0), "names": {"a", "b"}},
        "objects": np.array([None, "text"], dtype=object),
        "device": torch.device("cpu"),
        "size": torch.Size([1, 2]),
        "type": torch.float32,
        "activation": torch.nn.functional.relu,
        "counts": collections.defaultdict(int, a=1),
    }
    state = {"a": numbers(2)}
    check(save({"meta": meta, "state_dict": state}), state)


def test_prefix_may_not_hide_a_name(save):
    path = save({"module.a": numbers(1), "a": numbers(1)})
    with pytest.raises(CheckpointError, match="twice"):
        read_checkpoint(path)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickle_of_arrays(tmp_path, protocol):
    state = {"a": np.arange(6, dtype=">f4").reshape(2, 3), "b": np.asfortranarray(np.eye(3)[:2])}
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(state, protocol))
    arrays = read_checkpoint(path)
    for key, array in state.items():
        np.testing.assert_array_equal(arrays[key], array)


class OrderedDictionary(collections.OrderedDict):
    """Pickles itself as Python 2 did."""

    def __reduce__(self):
        return collections.OrderedDict, ([list(item) for item in self.items()],)


def test_ordered_dictionary_as_python_2_pickled_it(save):
    state = {"b": numbers(3), "a": numbers(2)}
    check(save(OrderedDictionary(state)), state)


def test_folder_in_the_archive_may_have_any_name(tmp_path):
    state = {"a": numbers(4)}
    torch.save(state, tmp_path / "other name.bin")
    with zipfile.ZipFile(tmp_path / "other name.bin") as archive:
        assert "other name/data.pkl" in archive.namelist()
    check(tmp_path / "other name.bin", state)


def test_big_endian_archive(tmp_path):
    torch.save({"a": numbers(3), "b": numbers(2, kind=torch.bfloat16)}, tmp_path / "little.pth")
    with zipfile.ZipFile(tmp_path / "little.pth") as little:
        entries = {name: little.read(name) for name in little.namelist()}
    with zipfile.ZipFile(tmp_path / "big.pth", "w") as big:
        for name, data in entries.items():
            if name.endswith("byteorder"):
                data = b"big"
            elif "/data/" in name:
                width = "f4" if len(data) == 12 else "u2"
                data = np.frombuffer(data, f"<{width}").astype(f">{width}").tobytes()
            big.writestr(name, data)
    check(tmp_path / "big.pth", {"a": numbers(3), "b": numbers(2, kind=torch.bfloat16)})


def test_safetensors(tmp_path):
    state = {str(kind): numbers(2, 3, kind=kind) for kind in TYPES if not kind.is_complex}
    state["empty"] = numbers(0, 3)
    safetensors.torch.save_file(state, tmp_path / "a.safetensors", metadata={"format": "pt"})
    arrays = read_checkpoint(tmp_path / "a.safetensors")
    assert set(arrays) == set(state)
    for key, tensor in state.items():
        np.testing.assert_array_equal(arrays[key], tensor.float().numpy())


@pytest.mark.parametrize("save_arrays", [np.savez, np.savez_compressed])
def test_npz(tmp_path, save_arrays):
    state = {"conv.weight": np.arange(6.0).reshape(2, 3), "conv.bias": np.zeros(3, np.float16)}
    save_arrays(tmp_path / "weights.npz", **state)
    arrays = read_checkpoint(tmp_path / "weights.npz")
    assert list(arrays) == list(state)
    for key, array in state.items():
        np.testing.assert_array_equal(arrays[key], array)
        assert arrays[key].dtype == array.dtype


def test_content_decides_not_the_name(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.ones(2))
    (tmp_path / "a.npz").rename(tmp_path / "a.pth")
    assert list(read_checkpoint(tmp_path / "a.pth")) == ["a"]


def test_real_weights_equal_what_torch_reads(shared):
    for path in sorted((shared / "weights").glob("*.pth")):
        check(path, torch.load(path))
